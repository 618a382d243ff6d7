"""What a line of gossip claims of the market, and whether it is so: the crude reading of a few words.

A claim is a good's name and a word for where its price goes, or for how much of it there is. A line that denies, or
that has no such pair, claims nothing that can be looked up.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from swarm.agents.observation import Int64, PublicView

_PRICE = {1: "rise rises rising higher climb climbs soar soars", -1: "fall falls falling lower drop drops dropping"}
_SUPPLY = {1: "short shortage scarce rare", -1: "plenty abundant plentiful glut"}
_WORDS = {
    word: (of_price, sign)
    for of_price, ways in ((True, _PRICE), (False, _SUPPLY))
    for sign, words in ways.items()
    for word in words.split()
}
_DENIES = frozenset({"not", "never", "no", "won't", "isn't", "aren't"})
_WORD = re.compile(r"[a-z']+")


@dataclass(frozen=True, slots=True)
class Claim:
    """One good's price, or what there is of it, goes up (1) or down (-1)."""

    good: int
    of_price: bool
    sign: int


def claim_of(line: str, goods: Sequence[str]) -> Claim | None:
    """Returns what a line claims, by its first good and its first word of a direction; None where that is nothing."""
    words = _WORD.findall(line.lower())
    if _DENIES & set(words):
        return None
    good = next((goods.index(word) for word in words if word in goods), None)
    way = next((_WORDS[word] for word in words if word in _WORDS), None)
    return None if good is None or way is None else Claim(good, *way)


@dataclass(slots=True)
class Truth:
    """What lines of gossip claimed: how many could be looked up, and of how many it was so."""

    claims: int = 0
    true: int = 0
    _pending: list[Claim] = field(default_factory=list)
    _prices: Int64 | None = None

    @property
    def counted(self) -> tuple[int, int]:
        """Returns the claims that were looked up, and those that were so."""
        return self.claims, self.true

    def begin(self, public: PublicView) -> None:
        """Looks up what was said of prices a round ago, by what they are now; one that did not move tells nothing."""
        for claim in self._pending:
            moved = 0 if self._prices is None else int(public.reference_ticks[claim.good] - self._prices[claim.good])
            if moved:
                self._count(moved * claim.sign > 0)
        self._pending = []
        self._prices = public.reference_ticks.copy()

    def hear(self, line: str, public: PublicView, goods: Sequence[str]) -> None:
        """Takes one line; what it says of supply is held against the bids and asks that were left over."""
        if (claim := claim_of(line, goods)) is None:
            return
        # What a price will do shows a round later.
        if claim.of_price:
            self._pending.append(claim)
            return
        excess = int(np.subtract(public.unfilled_buy_lots[claim.good], public.unfilled_sell_lots[claim.good]))
        self._count(excess * claim.sign > 0)

    def _count(self, true: bool) -> None:
        self.claims += 1
        self.true += true
