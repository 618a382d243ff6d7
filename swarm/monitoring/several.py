"""What minds of several models add to a run's series: calls by member, vetoes, escalations, awards of work."""

from collections.abc import Sequence

import numpy as np

from swarm.agents.config import CascadeConfig, CouncilConfig
from swarm.agents.escalation import turns_of
from swarm.agents.minds import own_models
from swarm.agents.votes import count, turns_in
from swarm.market.ledger import CASH
from swarm.market.orders import Int64
from swarm.monitoring.series import Series
from swarm.simulation.auction_outcomes import awards, section_of
from swarm.simulation.compute import COMPUTE
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Several:
    """The minds of all plans of a run that ask several models, and what each round adds for them."""

    def __init__(self, plans: Sequence[RunPlan]) -> None:
        asked = {mind: models for plan in plans for mind, models in own_models(plan.shard).items()}
        auctions = [section for plan in plans if (section := section_of(plan)) is not None]
        self._cascades = {name for plan in plans for name in plan.shard.sections(CascadeConfig)}
        self._councils = {name for plan in plans for name in plan.shard.sections(CouncilConfig)}
        several = {mind: models for mind, models in asked.items() if len(models) > 1}
        self.sets: dict[str, tuple[str, ...]] = {
            "several_mind": tuple(sorted(several)),
            "member": tuple(sorted({model for models in several.values() for model in models})),
            "cascade": tuple(sorted(self._cascades)),
            "council": tuple(sorted(self._councils)),
            "tier": tuple(dict.fromkeys(model for section in auctions for model in section.models)),
        }

    def show(self, series: Series, plan: RunPlan, named: Int64) -> None:
        """Shows what traders have paid for models' tokens, where they pay."""
        if COMPUTE in (names := plan.market.named_accounts):
            series.set("swarm_compute_cents", int(named[names.index(COMPUTE)][CASH]))

    def count(self, series: Series, outcome: RoundOutcome) -> None:
        """Adds what a round came to."""
        turns, calls = outcome.gathered.turns, outcome.gathered.turns.calls
        # [minds, models] calls of the round, each pair as one number.
        pair = turns.mind[calls.turn] * len(turns.models) + calls.model
        made = np.bincount(pair, minlength=len(turns.minds) * len(turns.models))
        for index in np.flatnonzero(made).tolist():
            mind, model = turns.minds[index // len(turns.models)], turns.models[index % len(turns.models)]
            if mind in self.sets["several_mind"]:
                series.add("swarm_mind_calls_total", int(made[index]), mind, model)
        for name, council in outcome.plan.shard.sections(CouncilConfig).items():
            if name in turns.minds:
                series.add("swarm_vetoes_total", _vetoes(name, council, outcome), name)
        for name, _, turn in turns_of(turns, self._cascades):
            if turn is not None and turn.large is not None:
                series.add("swarm_escalations_total", 1, name, str(turn.reason))
        if (auction := section_of(outcome.plan)) is not None:
            for model, times in awards(turns, auction).items():
                series.add("swarm_awards_total", times, model)


def _vetoes(name: str, config: CouncilConfig, outcome: RoundOutcome) -> int:
    """How many decisions of a council were vetoed in a round."""
    turns = outcome.gathered.turns
    if not config.overseers:
        return 0
    rows = np.flatnonzero(turns.mind == turns.minds.index(name))
    own = list(turns_in((turns.text[row] for row in rows.tolist()), len(config.seats)))
    return sum(one.vetoed for one in count(own, config.rule, config.overseers))
