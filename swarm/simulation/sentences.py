"""Keeps who has sentenced whom in one market, since what one authority lifts another may still hold.

A market itself knows one bound of each kind for a trader. Here stand those of each party, and what the market is told
is the longest freeze and the lowest cap of them all.
"""

import numpy as np

from swarm.market.restrictions import FOR_EVER, UNCHANGED
from swarm.scenarios.protocol import Restriction
from swarm.simulation.party import Cap, Exile, Freeze, Pardon

Sentence = Freeze | Cap | Exile | Pardon


class Sentences:
    """By party, and by trader: the last round of a freeze, and the most lots of a cap; 0 where there is none."""

    def __init__(self) -> None:
        self._frozen: dict[str, dict[int, int]] = {}
        self._caps: dict[str, dict[int, int]] = {}

    def after(self, party: str, act: Sentence, round_: int) -> list[Restriction]:
        """Returns what holds once a party has spoken a sentence after a round, traders of one bound together.

        Of a party's freezes the longest counts, of its caps the last, and its pardon lifts its own alone.
        """
        traders = np.asarray(act.trader)
        for trader in traders.tolist():
            self._spoken(party, act, round_, trader)
        through = [self._through(trader, round_) for trader in traders.tolist()]
        caps = [self._cap(trader) for trader in traders.tolist()]
        # A sentence says nothing of what it is not about; a pardon is about both.
        if isinstance(act, Cap):
            through = [UNCHANGED] * len(traders)
        elif not isinstance(act, Pardon):
            caps = [UNCHANGED] * len(traders)
        bounds = list(zip(through, caps, strict=True))
        return [
            Restriction(act.cause, traders[[own == bound for own in bounds]], *bound) for bound in dict.fromkeys(bounds)
        ]

    def _spoken(self, party: str, act: Sentence, round_: int, trader: int) -> None:
        frozen, caps = self._frozen.setdefault(party, {}), self._caps.setdefault(party, {})
        match act:
            case Freeze():
                frozen[trader] = max(frozen.get(trader, 0), round_ + act.rounds)
            case Exile():
                frozen[trader] = FOR_EVER
            case Cap():
                caps[trader] = act.lots
            case Pardon():
                frozen.pop(trader, None)
                caps.pop(trader, None)

    def _through(self, trader: int, round_: int) -> int:
        """Returns the last round in which anybody has a trader frozen; 0 where that is over."""
        last = max((frozen.get(trader, 0) for frozen in self._frozen.values()), default=0)
        return last if last > round_ else 0

    def _cap(self, trader: int) -> int:
        """Returns the lowest cap that anybody has given a trader; 0 where there is none."""
        return min((caps[trader] for caps in self._caps.values() if trader in caps), default=0)
