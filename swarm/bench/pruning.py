"""The cost of pruning messages in behaviour: the same markets with everything heard, some of it, or nothing.

Minds are scripted policies, which act on what they hear as far as rules do.
"""

from dataclasses import dataclass
from statistics import mean
from typing import Any, Literal

import numpy as np

from swarm.bench.form import Result
from swarm.config_file import resolve
from swarm.experiments.statistics import interval
from swarm.figures import figure
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.training.surplus import Surplus

SEEDS = 20
MARKET_TRADERS = 60
MARKET_ROUNDS = 30
HEARING = {"hears": 8, "minds": {"momentum": 3, "panic-menu": 1, "value": 1, "maker": 1}}
WAYS: dict[str, dict[str, Any]] = {
    "everything": HEARING,
    "weighted": {**HEARING, "router": {"message_tokens": 20}},
    "random": {**HEARING, "router": {"message_tokens": 20, "ranker": "random"}},
    "silent": {**HEARING, "hears": 0},
}
"""The same markets with all that contacts say, with it pruned, with it pruned by lot, and with nothing heard at all."""


@dataclass(slots=True)
class Behaviour:
    """The outcome of a market, and how many deliveries were pruned on the way."""

    efficiency: float
    volume_lots: float
    price_error: float
    gini: float
    delivered: int
    addressed: int


def market(seed: int, traders: dict[str, Any]) -> dict[str, Any]:
    """Returns the config of a wood with two shocks, whose minds act on what they hear as far as rules do."""
    return {
        "seed": seed,
        "rounds": MARKET_ROUNDS,
        "population": MARKET_TRADERS,
        "scenario": {
            "name": "wood",
            "shocks": [
                {"kind": "mania", "round": 6, "good": "acorns"},
                {"kind": "blight", "round": 16, "good": "mushrooms"},
            ],
        },
        "models": [
            *({"name": t, "temperament": t} for t in ("momentum", "value", "maker")),
            {"name": "panic-menu", "temperament": "panic", "form": "menu"},
        ],
        "traders": traders,
    }


def behaviour(seed: int, traders: dict[str, Any]) -> Behaviour:
    """Returns what one such market came to."""
    gains = Surplus()
    summary = play(resolve(market(seed, traders)), gains).summary
    errors = list(summary["quality"]["relative_absolute_deviation"]["by_good"].values())
    # Where nothing was traded, no price was wrong.
    return Behaviour(
        efficiency=gains.efficiency,
        volume_lots=summary["volume_lots"],
        price_error=mean(errors) if errors else 0.0,
        gini=summary["wealth"]["gini_end"],
        delivered=summary["messages"]["delivered"],
        addressed=summary["messages"]["addressed"],
    )


MEASURES: tuple[tuple[str, str, Literal["lower", "higher"]], ...] = (
    ("efficiency", "ratio", "higher"),
    ("volume_lots", "lots", "higher"),
    ("price_error", "ratio", "lower"),
    ("gini", "ratio", "lower"),
)
"""Fields of `Behaviour`, each with its unit and which of two values is better."""


def measure(narrator: Narrator) -> list[Result]:
    """Returns what pruning changes in a market, paired by seed with the same market in which nothing is pruned."""
    found: dict[str, list[Behaviour]] = {way: [] for way in WAYS}
    for seed in range(1, SEEDS + 1):
        narrator.phase(f"market {seed} of {SEEDS}, {len(WAYS)} ways to hear")
        # The same seed four ways: the market differs in what traders hear alone.
        for way, traders in WAYS.items():
            found[way].append(behaviour(seed, traders))
    shares = [1 - m.delivered / m.addressed for m in found["weighted"]]
    pruned = Result(
        "pruned_share_of_deliveries",
        round(mean(shares), 6),
        "ratio",
        "higher",
        runs=tuple(round(s, 6) for s in shares),
        note=(
            f"mean of {SEEDS} seeds; {MARKET_TRADERS} traders who hear 8 others, offers included; scripted "
            "momentum and panic, two traders of three, act on what they hear, the others do not"
        ),
    )
    return [pruned, *(_difference(found, *of) for of in MEASURES)]


def _difference(found: dict[str, list[Behaviour]], name: str, unit: str, better: Literal["lower", "higher"]) -> Result:
    """Returns what pruning changes in one measure, with what chance and silence change in its note."""
    columns = {way: np.array([getattr(m, name) for m in markets], dtype=np.float64) for way, markets in found.items()}
    against = columns.pop("everything")
    # By seed: the same shocks, worths and traders stand on both sides.
    differences = {way: column - against for way, column in columns.items()}
    words = {way: _interval(d) for way, d in differences.items()}
    return Result(
        f"pruning_{name.removesuffix('_lots')}_difference",
        round(float(differences["weighted"].mean()), 6),
        unit,
        better,
        runs=tuple(round(float(d), 6) for d in differences["weighted"]),
        note=(
            f"{words['weighted']}, mean and 95% interval over {SEEDS} seeds, against {figure(against.mean(), 4)} with "
            f"nothing pruned; pruned by lot: {words['random']}; nothing heard at all: {words['silent']}"
        ),
    )


def _interval(differences: Any) -> str:
    middle, half = interval(differences)
    told, low, high = (figure(value, 4, "+") for value in (middle, middle - half, middle + half))
    return f"{told} ({low} to {high})"
