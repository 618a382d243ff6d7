"""A party that moves money: after each round a benefactor gives a sum to the poorest traders, and lets them know."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from swarm.market.ledger import CASH
from swarm.schema import StrictModel
from swarm.simulation.parties import PartyPlugin
from swarm.simulation.party import Act, Announce, Move, RoundView, Say


class BenefactorConfig(StrictModel):
    """What a benefactor has for others."""

    gift_cents: int = Field(default=200, ge=1, le=1_000_000)
    """What each of the poorest gets after a round."""

    traders: int = Field(default=2, ge=1, le=100)
    """How many of the poorest get it."""


class Benefactor:
    """Gives to the poorest of each market, out of the account that endowments come from."""

    def __init__(self, name: str, config: BenefactorConfig) -> None:
        self.name, self.config = name, config

    def act(self, view: RoundView) -> Sequence[Act]:
        """Returns a gift, a word to whoever gets it, and a line of news."""
        acts: list[Act] = []
        for number, market in enumerate(view.markets):
            poorest = np.argsort(market.state.balances[:, CASH], kind="stable")[: self.config.traders]
            cents = np.full(len(poorest), self.config.gift_cents)
            acts += [
                Move("gift", "issue", poorest, np.full(len(poorest), CASH), cents, number),
                Say(self.name, poorest, "this is for you, spend it well", market=number),
                Announce(f"{self.name} has given to the {len(poorest)} poorest", number),
            ]
        return acts


PARTY = PartyPlugin(
    "benefactor", "Gives to the poorest.", BenefactorConfig, lambda name, section, seed: Benefactor(name, section)
)
