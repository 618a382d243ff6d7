"""What honest traders come to in each statistic of surveillance, and who stands out beside them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from swarm.market.evidence import Float64
from swarm.market.surveillance import ABUSES, LEAST, Abuse, Surveillance

Ground = Literal["call", "continuous", "margin"]
"""What honest traders were watched in: goods matched in a call or continuously, or accounts that may borrow."""

TAIL_SCORES = 32
"""How many of the highest honest scores tell how their tail falls."""

KEPT_SCORES = 64
"""How many of the highest honest scores a calibration keeps, for each abuse and window."""


class Rule(Protocol):
    """What says how unusual scores are among the honest."""

    @property
    def traders(self) -> Mapping[Abuse, int]:
        """Of how many honest traders it knows that, by abuse."""
        ...

    def p_values(self, abuse: Abuse, scores: Float64) -> Float64:
        """Returns how likely an honest trader scores as high in any window, [traders], for [windows, traders]."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What honest traders come to: by abuse the largest scores of a run, [windows, kept], ascending, and of how many.

    Of all of them only the highest are kept, since nobody is accused who scores lower.
    """

    honest: Mapping[Abuse, Float64]
    traders: Mapping[Abuse, int]

    def p_values(self, abuse: Abuse, scores: Float64) -> Float64:
        """Returns how likely an honest trader scores as high in any window, [traders], for scores [windows, traders].

        The least of the windows' shares, since windows lie in one another; 1 where a score is below what anybody could
        be accused of.
        """
        windows = zip(self.honest[abuse], scores, strict=True)
        least = np.min([self._share(known, own, abuse) for known, own in windows], axis=0)
        values: Float64 = np.where(scores.max(axis=0) < LEAST[abuse], 1.0, least)
        return values

    def _share(self, known: Float64, scores: Float64, abuse: Abuse) -> Float64:
        """Returns the share of honest traders who reach each score in one window."""
        traders = self.traders[abuse]
        above = (len(known) - np.searchsorted(known, scores, side="left")).astype(np.float64)
        # Who scores below all that are kept is as any honest trader; oneself is counted among them.
        above[(above == len(known)) & (len(known) < traders)] = traders
        share = (above + 1.0) / (traders + 1.0)
        # Beyond all honest ones the tail goes on as it fell among the highest: exponentially, by their mean excess.
        start = known[-min(TAIL_SCORES, len(known))]
        fall = max(float((known[known >= start] - start).mean()), LEAST[abuse] / 16.0)
        beyond = np.minimum(share, np.exp(-np.maximum(scores - known[-1], 0.0) / fall) / (traders + 1.0))
        found: Float64 = np.where(scores > known[-1], beyond, share)
        return found


class AllOf:
    """Several calibrations at once, for a market like none of them: nobody is accused whom one of them explains."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self.traders: Mapping[Abuse, int] = {abuse: min(rule.traders[abuse] for rule in rules) for abuse in ABUSES}

    def p_values(self, abuse: Abuse, scores: Float64) -> Float64:
        """Returns the highest of the calibrations' p-values, [traders]."""
        highest: Float64 = np.max([rule.p_values(abuse, scores) for rule in self._rules], axis=0)
        return highest


def calibrated(runs: Iterable[Surveillance]) -> Calibration:
    """Returns the calibration by honest runs that are over."""
    scores: dict[Abuse, list[Float64]] = {abuse: [] for abuse in ABUSES}
    for run in runs:
        for abuse, found in scores.items():
            found.append(run.scores(abuse))
    joined = {abuse: np.sort(np.concatenate(found, axis=1), axis=1) for abuse, found in scores.items()}
    traders = {abuse: found.shape[1] for abuse, found in joined.items()}
    return Calibration({abuse: found[:, -KEPT_SCORES:] for abuse, found in joined.items()}, traders)


def accused(p_values: Float64, rate: float) -> npt.NDArray[np.bool_]:
    """Returns who is accused where a share `rate` of accusations may be false (Benjamini and Hochberg 1995)."""
    order = np.argsort(p_values, kind="stable")
    below = np.flatnonzero(p_values[order] <= rate * np.arange(1, len(order) + 1) / len(order))
    found = np.zeros(len(p_values), dtype=np.bool_)
    # All up to the last one below its bound, whatever lies between.
    found[order[: below[-1] + 1 if len(below) else 0]] = True
    return found
