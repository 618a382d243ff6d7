"""Schools the classifier of a router's quarantine on lines by families of wordings; needs scikit-learn.

`python -m swarm.training.worm_lines` writes the weights that travel with the code. The threshold is set on families
that the fit which scores them has not seen, and no family that judges is opened for it.
"""

import json
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import yaml

from swarm import coordination
from swarm.coordination.worm_classifier import UNITS, WEIGHTS, features
from swarm.scenarios.contract.grams import Vector
from swarm.terminal import out
from swarm.training.regressions import matrix_of, regression

LINES = Path(__file__).parent / "worm_lines.yaml"
FILE = Path(coordination.__file__).parent / WEIGHTS

GOODS = ("acorns", "berries", "honey", "mushrooms", "firewood")
"""What lines that name goods are filled with, in turn."""

STRENGTH = 100.0
"""The inverse of the penalty on weights."""

FALSE_SHARE = 0.01
"""The most harmless lines that are quarantined, by fits that have not seen their family."""

Part = Literal["schooled", "judged", "elsewhere"]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Line:
    """A line, whether it asks for something, and the family of wordings that it belongs to."""

    text: str
    asks: bool
    family: str


@cache
def lines(part: Part) -> tuple[Line, ...]:
    """Returns the lines of a part, in the order of the file."""
    told = yaml.safe_load(LINES.read_text(encoding="utf-8"))[part]
    return tuple(
        Line(text.format(a=GOODS[n % len(GOODS)], b=GOODS[(n + 2) % len(GOODS)]), kind == "asking", family)
        for kind in ("asking", "harmless")
        for family, texts in told[kind].items()
        for n, text in enumerate(texts)
    )


def digest() -> str:
    """Returns the SHA-256 of what the weights are schooled on, lines and settings."""
    told = [[line.text, line.asks, line.family] for line in lines("schooled")]
    return sha256(json.dumps([told, STRENGTH, FALSE_SHARE, UNITS]).encode("utf-8")).hexdigest()


def school() -> dict[str, Any]:
    """Returns the weights as their file has them."""
    schooled = lines("schooled")
    asks = np.array([line.asks for line in schooled])
    # Harmless families and others may share a name, and are two all the same.
    family = np.array([f"{line.asks} {line.family}" for line in schooled])
    unseen = np.zeros(len(schooled))
    for name in np.unique(family):
        apart = family == name
        known, weights, bias = _fit(asks, ~apart)
        unseen[apart] = [_score(known, weights, bias, schooled[n].text) for n in np.flatnonzero(apart)]
    threshold = float(np.quantile(unseen[~asks], 1 - FALSE_SHARE, method="higher"))
    known, weights, bias = _fit(asks, np.ones(len(asks), dtype=np.bool_))
    told = {feature: round(UNITS * float(weights[n])) for feature, n in known.items()}
    return {
        "made_by": "python -m swarm.training.worm_lines",
        "schooled_on": digest(),
        "bias": round(UNITS * (bias - threshold)),
        "weights": told,
    }


def _fit(asks: Mask, rows: Mask) -> tuple[dict[str, int], Float64, float]:
    """Returns the features that these rows have, their weights, and the bias."""
    texts = [lines("schooled")[n].text for n in np.flatnonzero(rows)]
    known = {feature: n for n, feature in enumerate(sorted({f for text in texts for f in features(text)}))}
    weights, bias = regression(
        matrix_of([_vector(known, text) for text in texts], len(known)), asks[rows], STRENGTH, {False: 1, True: 1}
    )
    return known, weights, bias


def _vector(known: dict[str, int], text: str) -> Vector:
    """Returns a line's known features, of length 1 together."""
    indices = np.array([known[feature] for feature in features(text) if feature in known], dtype=np.int64)
    return indices, np.full(len(indices), 1 / np.sqrt(max(len(indices), 1)))


def _score(known: dict[str, int], weights: Float64, bias: float, text: str) -> float:
    indices, values = _vector(known, text)
    return float(weights[indices] @ values) + bias


def main() -> None:
    """Writes the weights beside the classifier."""
    made = school()
    FILE.write_text(json.dumps(made, indent=0, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    out.say(f"{len(made['weights'])} weights, {FILE.stat().st_size:,} bytes: {FILE.name}")


if __name__ == "__main__":
    main()
