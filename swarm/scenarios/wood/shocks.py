"""Owns the shocks of the Wood: those of its config, and those that somebody lets befall it while it is played.

It says what each is called, what the news has of it and what it makes of worths. What a shock moves is the creatures'.
"""

from collections.abc import Sequence

import numpy as np

from swarm.scenarios.protocol import Int64, ShockMark
from swarm.scenarios.wood.config import GOODS, MOST_SHOCK_PERMILLE, MOST_SHOCK_ROUNDS, Shock

MOST_STRUCK = 200
"""The most shocks that befall a run beside those of its config."""

TITLES = {
    "mania": "The Great {good} Mania",
    "venture": "The Hollow Log Trading Company",
    "run": "The Run on Oona's Hoard",
    "blight": "The {good} Blight",
}
KINDS = tuple(TITLES)

_BEGINS = {
    "mania": "{title}! Everybody must have {good}",
    "venture": "{title} takes deposits and promises riches",
    "run": "{title}! Hoards of {good} are stormed",
    "blight": "{title}! Stores rot and harvests fail",
}
_ENDS = {
    "mania": "{title} is over: {good} crash",
    "venture": "{title} has failed: deposits are lost",
    "run": "{title} has ended",
    "blight": "{title} has ended",
}


class Shocks:
    """The shocks of a run; those that were `struck` come behind those of the config, in the order of their coming."""

    def __init__(self, configured: Sequence[Shock]) -> None:
        self._configured = tuple(configured)
        self._struck: tuple[Shock, ...] = ()

    @property
    def all(self) -> tuple[Shock, ...]:
        """All of them."""
        return self._configured + self._struck

    def marks(self, rounds: int) -> tuple[ShockMark, ...]:
        """Returns those that begin within so many rounds, as a chart shows them."""
        return tuple(
            ShockMark(title(s), s.round, s.round + s.rounds - 1, s.good) for s in self.all if s.round <= rounds
        )

    def news(self, round_: int) -> tuple[str, ...]:
        """Returns what is told of them in a round: that one begins, or that it is over."""
        # A shock that ends as another begins is told in the order of their coming.
        lines = []
        for shock in self.all:
            words = {"title": title(shock), "good": shock.good}
            if round_ == shock.round:
                lines.append(_BEGINS[shock.kind].format(**words))
            if round_ == shock.round + shock.rounds:
                lines.append(_ENDS[shock.kind].format(**words))
        return tuple(lines)

    def refusal(self, kind: str, good: int, rounds: int, size_permille: int) -> str:
        """Returns why no such shock can befall the Wood; empty where it can."""
        if kind not in KINDS:
            return f"there is no shock {kind[:40]!r}; there are {', '.join(KINDS)}"
        if not 0 <= good < len(GOODS):
            return f"there is no good {good}"
        if not 1 <= rounds <= MOST_SHOCK_ROUNDS:
            return f"a shock lasts 1 to {MOST_SHOCK_ROUNDS} rounds, not {rounds}"
        if not 1 <= size_permille <= MOST_SHOCK_PERMILLE:
            return f"a shock's size is 1 to {MOST_SHOCK_PERMILLE} permille, not {size_permille}"
        return f"{MOST_STRUCK} shocks have befallen this run already" if len(self._struck) >= MOST_STRUCK else ""

    def strike(self, round_: int, kind: str, good: int, rounds: int, size_permille: int) -> None:
        """Lets a shock begin in a round."""
        self._struck = (*self._struck, _shock((KINDS.index(kind), round_, rounds, good, size_permille)))

    def snapshot(self) -> Int64:
        """Returns those that were struck, [shocks, 5] numbers."""
        rows = [(KINDS.index(s.kind), s.round, s.rounds, GOODS.index(s.good), s.size_permille) for s in self._struck]
        return np.array(rows, dtype=np.int64).reshape(-1, 5)

    def restore(self, struck: Int64) -> None:
        """Goes on with those that were struck."""
        self._struck = tuple(_shock(row) for row in struck.tolist())


def fashion_permille(shock: Shock, round_: int) -> Int64:
    """Returns what a mania makes of worths in 1/1000, [goods], while it lasts and for as long after."""
    fashion = np.full(len(GOODS), 1_000, dtype=np.int64)
    if shock.kind == "mania":
        since = round_ - shock.round
        if 0 <= since < shock.rounds:
            fashion[GOODS.index(shock.good)] = 1_000 + 2 * shock.size_permille
        elif shock.rounds <= since < 2 * shock.rounds:
            fashion[GOODS.index(shock.good)] = 1_000 - shock.size_permille
    return fashion


def title(shock: Shock) -> str:
    """Returns what a shock is called."""
    return shock.title or TITLES[shock.kind].format(good=shock.good.capitalize())


def _shock(numbers: Sequence[int]) -> Shock:
    """Returns a shock without a title of its own from five numbers: kind, round, rounds, good and size."""
    kind, round_, rounds, good, size = numbers
    return Shock(kind=KINDS[kind], round=round_, rounds=rounds, good=GOODS[good], size_permille=size)  # type: ignore[arg-type]
