"""The mind `always`: it asks nobody and says the same in every round, in a form that knows such answers.

It is how a rule of a scenario sits in seats of its own: the answer names the rule, and the scenario goes by it.
"""

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from swarm.agents.decisions import Decisions, decisions_of, read_single
from swarm.agents.forms.protocol import Fixed
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.plan import ShardPlan
from swarm.agents.turns import Turns
from swarm.coordination.standing import default_stand
from swarm.errors import ConfigError
from swarm.llm.protocol import ModelClient, ModelReply, TokenUsage
from swarm.schema import StrictModel


class AlwaysConfig(StrictModel):
    """One answer for every round."""

    form: str
    """The form that the answer is given in."""

    says: str = Field(min_length=1, max_length=100)
    """The answer."""


class AlwaysMind:
    """Traders who always say the same."""

    def __init__(self, name: str, section: AlwaysConfig, plan: ShardPlan) -> None:
        self.name, self._plan, self._says = name, plan, section.says
        self.models: frozenset[str] = frozenset()
        self.most = TurnBound(0, 0)
        key = f"traders.define.{name}"
        form = plan.forms.get(section.form)
        if not isinstance(form, Fixed):
            known = ", ".join(sorted(own for own, one in plan.forms.items() if isinstance(one, Fixed))) or "none"
            raise ConfigError(f"{key}.form", f"{section.form!r} knows no answer for every round", f"that do: {known}")
        if section.says not in form.fixed:
            raise ConfigError(f"{key}.says", f"{section.says!r} is no such answer", f"known: {', '.join(form.fixed)}")
        self._form = plan.forms[section.form]

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        """Returns the one answer for each seat, without a call."""
        reply = ModelReply(self._says, TokenUsage(0, 0), "stop", 0.0)
        nothing = np.zeros(len(seats), dtype=np.int64)
        said = Turns.asked_once(self.name, "", seats.trader, [reply] * len(seats), [0] * len(seats), nothing)
        return said.without_calls()

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        """Returns what the answer means to each seat."""
        plan, rows = self._plan, seats.rows.tolist()
        readings = read_single(turns, 0, lambda i, text, cut: self._form.read(text, cut, seats.seen, rows[i]))
        stand = default_stand(plan.traders.standing)
        return decisions_of(turns, readings, plan.rules.goods, plan.traders.max_gossip_chars, stand, self._form.stands)


MIND = MindPlugin(
    name="always",
    summary="Asks nobody and says the same in every round: the seat of a scenario's rule.",
    Config=AlwaysConfig,
    build=AlwaysMind,
    reads=lambda section: (section.form,),
)
