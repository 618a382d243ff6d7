"""What decisions were worth beside others that could have been taken, for the minds that learn from it.

A round is cleared again for some of its turns. Orders that rest and debts from earlier rounds are left out of it.
"""

from dataclasses import replace

from swarm.agents.forms.menu import MenuForm
from swarm.agents.observation import Observation
from swarm.agents.turns import Turns
from swarm.simulation.auction_outcomes import JudgedBids, auctions_held, judged_bids
from swarm.simulation.basis import RoundBasis
from swarm.simulation.cascade_outcomes import CascadeOutcomes, JudgedCascade
from swarm.simulation.council_outcomes import CouncilOutcomes, Judged
from swarm.simulation.plan import RunPlan


class Outcomes:
    """What councils and cascades have learned, from round to round, and what bids were worth.

    Nothing is cleared again where there are none.
    """

    def __init__(self, plan: RunPlan) -> None:
        self._councils, self._cascades = CouncilOutcomes(plan), CascadeOutcomes(plan)
        self._plan = plan

    def under(self, plan: RunPlan) -> None:
        """Goes by this plan from now on."""
        self._plan = plan
        self._councils.under(plan)
        self._cascades.under(plan)

    def shown(self, seen: Observation) -> Observation:
        """Returns the same with what is known before the round."""
        public = replace(seen.public, members_worth=self._councils.worth, calibrations=self._cascades.calibrations)
        return Observation(public, replace(seen.private, forced_round=self._cascades.forced_round))

    def settled(self, basis: RoundBasis, turns: Turns) -> tuple[Judged | JudgedCascade | JudgedBids, ...]:
        """Takes in a round, and returns what was judged of it."""
        menus = self._plan.shard.forms.get(MenuForm.name)
        held = auctions_held(self._plan, turns)
        if not isinstance(menus, MenuForm) or not (self._councils or self._cascades or held):
            return ()
        seen, again = basis.seen, basis.counterfactual(self._plan)
        round_ = seen.public.round
        return (
            *self._councils.judge(seen, turns, menus, again, round_),
            *self._cascades.judge(seen, turns, menus, again, round_),
            *judged_bids(self._plan, seen, held, menus, again),
        )
