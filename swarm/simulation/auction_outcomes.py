"""What bids in auctions were worth: the round is cleared again with each action of the menu, and what it brought kept.

It says whether a tier would have succeeded where another one won, which is what decides whether an auction can pay. It
keeps nothing and changes nothing: awards follow from the bids alone.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm.agents.forms.menu import MenuForm
from swarm.agents.forms.menus import LETTERS
from swarm.agents.observation import Observation
from swarm.agents.turns import Turns
from swarm.coordination.bids import UNKNOWN, Award, Work, read_turn
from swarm.coordination.staffing.auction import NAME, AuctionConfig
from swarm.market.counterfactual import Counterfactual
from swarm.market.orders import Int64
from swarm.seeding import draw_some
from swarm.simulation.gains import realised_ticks
from swarm.simulation.plan import RunPlan


@dataclass(frozen=True, slots=True)
class JudgedBids:
    """One auction whose bids were cleared: by tier the claim and what its action would have brought, in ticks.

    A tier without a bid has brought nothing, and claims UNKNOWN. `actions` is how long the menu was.
    """

    round: int
    trader: int
    claim_permille: Int64
    gain_ticks: Int64
    best_ticks: int
    actions: int
    winner: int

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """[tiers]: whose bid brought as much as the best of the menu."""
        found: npt.NDArray[np.bool_] = (self.gain_ticks >= self.best_ticks) & (self.claim_permille != UNKNOWN)
        return found


def section_of(plan: RunPlan) -> AuctionConfig | None:
    """Returns the auction that staffs a run, if one does."""
    return plan.shard.sections(AuctionConfig).get(NAME)


def auction_turns(turns: Turns, config: AuctionConfig) -> list[tuple[int, Award | Work]]:
    """Returns the index of each turn of an auctioned trader, with its record; what is none is left out."""
    if NAME not in turns.minds:
        return []
    found = []
    for row in np.flatnonzero(turns.mind == turns.minds.index(NAME)).tolist():
        try:
            found.append((row, read_turn(turns.text[row], len(config.tiers))))
        except (ValueError, RecursionError):
            continue
    return found


def awards(turns: Turns, config: AuctionConfig) -> Counter[str]:
    """Returns how often each tier was awarded work in a round, by its model."""
    found = (turn.winner for _, turn in auction_turns(turns, config) if isinstance(turn, Award))
    return Counter(config.models[winner] for winner in found if winner != UNKNOWN)


Held = list[tuple[int, Award]]
"""Auctions of a round, each with its trader."""


def auctions_held(plan: RunPlan, turns: Turns) -> Held:
    """Returns the auctions of a round."""
    if (config := section_of(plan)) is None:
        return []
    found = auction_turns(turns, config)
    return [(int(turns.trader[row]), turn) for row, turn in found if isinstance(turn, Award)]


def judged_bids(
    plan: RunPlan, seen: Observation, held: Held, menus: MenuForm, again: Counterfactual
) -> tuple[JudgedBids, ...]:
    """Returns what the bids of some of a round's auctions were worth, by clearing the round `again`."""
    config = section_of(plan)
    if config is None or not held or seen.private.barter is None:
        return ()
    # Who is judged is drawn, since clearing a round again costs more than deciding it.
    trader = np.array([number for number, _ in held])
    chosen = draw_some(config.judged_per_round, plan.seed, "judged bids", seen.public.round, trader)
    row_of = {number: i for i, number in enumerate(seen.private.trader.tolist())}
    found = []
    for index in chosen.tolist():
        number, award = held[index]
        row = row_of[number]
        actions = menus.menu(seen, row).actions
        # Every action is cleared, since bids that are all wrong can only be told by what nobody has bid.
        gains = [realised_ticks(again, number, action, seen, row) for action in actions]
        made = [LETTERS.index(bid.letters[0]) if bid.made else None for bid in award.first.bids]
        found.append(
            JudgedBids(
                seen.public.round,
                number,
                np.array([bid.claim_permille for bid in award.first.bids], dtype=np.int64),
                np.array([0 if bid is None else gains[bid] for bid in made], dtype=np.int64),
                max(gains),
                len(actions),
                award.winner,
            )
        )
    return tuple(found)
