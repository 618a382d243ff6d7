"""The mind `guest`: an agent from outside decides for its seats. What it sends is read here, in a run as in a replay.

Its seats lie in the driver (`swarm.simulation.guests`), which asks it over the network; no shard does.
"""

from collections.abc import Mapping, Sequence

from swarm.agents.config import GuestConfig
from swarm.agents.decisions import Decisions
from swarm.agents.forms.orders import FORM
from swarm.agents.guest import decisions_sent
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.plan import ShardPlan
from swarm.agents.recall import Recollection
from swarm.agents.turns import Call, Turns
from swarm.llm.protocol import ModelClient


class GuestMind:
    """Traders whom a guest decides for; it asks no model of the run and takes none of its tokens."""

    def __init__(self, name: str, section: GuestConfig, plan: ShardPlan) -> None:
        self.name = name
        self.models: frozenset[str] = frozenset()
        self.most = TurnBound(0, 0)
        self._plan = plan

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        """Returns no turns of nobody; RuntimeError where somebody is to be asked, which no shard can do."""
        if len(seats):
            raise RuntimeError(f"{self.name} is a guest: it is asked by a run that has opened its seats, and not here")
        return Turns.empty()

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        """Returns the decisions that the guest has sent."""
        return decisions_sent(self._plan, turns, seats)

    def recall(self, text: str, calls: Sequence[Call], seats: Seats) -> Recollection:
        """Returns no questions, and what the guest has sent."""
        return Recollection((), f"the guest {self.name} sent {text}")


MIND = MindPlugin(
    name="guest",
    summary="An agent from outside, which takes seats and sends its decisions.",
    Config=GuestConfig,
    build=GuestMind,
    reads=(FORM.name,),
    orders=True,
)
