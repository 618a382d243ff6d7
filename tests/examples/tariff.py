"""A staffing that asks half of the traders, as the seed draws them, at a cheaper model, and has all pay for tokens."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from swarm.coordination.assignment import OWN, Chosen, Int64
from swarm.coordination.staffing import Charges, Due, Paced, Setup, Spent, StaffingPlugin, TurnCosts
from swarm.schema import StrictModel
from swarm.seeding import draw


class TariffConfig(StrictModel):
    """Which model is the cheaper one, and what tokens cost."""

    cheaper: str
    """The model that half of the traders are asked at."""

    cents_per_1000_tokens: int = Field(default=10, ge=0, le=1_000_000)
    """What a trader pays for prompts and replies, rounded down for each round."""


class Tariff:
    """Draws who is asked at the cheaper model, and charges all for what was read and written for them."""

    def __init__(self, config: TariffConfig, setup: Setup) -> None:
        self.config, self.seed, self.traders = config, setup.seed, setup.traders

    def assign(self, due: Due, costs: TurnCosts) -> Chosen:
        """Returns all who are due, half of them at the cheaper model."""
        trader = np.sort(due.trader)
        drawn = np.argsort(draw(self.seed, "tariff", due.round, trader), kind="stable") if len(trader) else trader
        model = np.full(len(trader), OWN)
        model[drawn[: len(trader) // 2]] = 0
        return Chosen(trader, model, (self.config.cheaper,))

    def keep(self, paced: Paced) -> None:
        """Takes no note of what a round took."""

    def settle(self, spent: Spent, earned: Int64) -> Sequence[Charges]:
        """Returns what each trader pays for its tokens."""
        tokens = np.zeros(self.traders, dtype=np.int64)
        np.add.at(tokens, spent.trader, spent.prompt_tokens + spent.completion_tokens)
        cents = tokens * self.config.cents_per_1000_tokens // 1_000
        return [Charges("tokens", np.arange(self.traders), cents)]


STAFFING = StaffingPlugin(
    "tariff",
    "Half at a cheaper one; all pay.",
    TariffConfig,
    Tariff,
    lambda keys: (keys.cheaper,),
    charges=True,
)
