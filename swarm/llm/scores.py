"""The answer of an engine that scores: for each branch of a request the log-odds of yes over no, as a short text.

A text is a JSON list of the scores, and where one of the branches was drawn by chance, an object that names it beside
them. So a journal has how sure a model was of each, and reading it again takes no chance. Which engine has scored, and
what a branch means, this module does not know.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from swarm.seeding import draw_unit

YES, NO = " yes", " no"
"""The two tokens that are compared behind a branch."""

DECIMALS = 3
"""A score is rounded, so that what differs by the order of a sum alone is a tie, and the earlier branch wins it."""

MOST = 99.0
"""Largest score, of what is certain."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a request's branches, and the index of the one that was taken."""

    values: tuple[float, ...]
    taken: int

    def shares(self) -> list[float]:
        """Returns the chance of each branch where one of them is right, by their odds against each other."""
        highest = max(self.values)
        odds = [math.exp(value - highest) for value in self.values]
        return [one / sum(odds) for one in odds]

    @property
    def margin(self) -> float:
        """The chance of the taken branch less the largest chance of another; 0 where another's is larger."""
        shares = self.shares()
        others = [share for i, share in enumerate(shares) if i != self.taken]
        return max(shares[self.taken] - max(others, default=0.0), 0.0)

    def to_text(self, drawn: bool) -> str:
        """Returns the text of a reply; `drawn` if the branch was taken by chance, so that the text has to name it."""
        values = list(self.values)
        return json.dumps({"taken": self.taken, "scores": values} if drawn else values, separators=(",", ":"))


def scored(values: Sequence[float], temperature: float, seed: int) -> Scores:
    """Returns the scores with the branch that is taken: the best, or one drawn by `seed` where it is hotter than 0."""
    kept = tuple(round(min(max(value, -MOST), MOST), DECIMALS) + 0.0 for value in values)
    best = max(range(len(kept)), key=kept.__getitem__)
    if temperature <= 0:
        return Scores(kept, best)
    # One number between 0 and 1 of the request's own, cut where the shares add up to it.
    left = float(draw_unit(seed, "branch", 0)[0])
    cooled = Scores(tuple(value / temperature for value in kept), best).shares()
    for index, share in enumerate(cooled):
        left -= share
        if left < 0:
            return Scores(kept, index)
    return Scores(kept, best)


def read_scores(text: str, branches: int) -> Scores | None:
    """Returns what `to_text` wrote for so many branches; None where the text is no such answer. Never raises."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    taken = found.get("taken") if isinstance(found, dict) else None
    values = found.get("scores") if isinstance(found, dict) else found
    if not isinstance(values, list) or len(values) != branches or not branches:
        return None
    if not all(type(value) in (int, float) and abs(value) <= MOST for value in values):
        return None
    # A list names no branch, since its best one was taken; an object names the one that was drawn.
    if isinstance(found, dict):
        if type(taken) is not int or not 0 <= taken < branches:
            return None
    else:
        taken = max(range(branches), key=values.__getitem__)
    return Scores(tuple(float(value) for value in values), taken)
