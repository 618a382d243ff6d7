"""A scenario without a market: each round whoever is nearest to two thirds of the mean number takes a prize."""

from typing import Any

import numpy as np

from swarm.agents.forms.protocol import FormPlugin
from swarm.agents.observation import Observation
from swarm.market.ledger import CASH, ISSUE
from swarm.scenarios import protocol
from swarm.scenarios.protocol import Choices, MarketState, Movement, Resolved
from swarm.schema import StrictModel
from tests.examples.number import NumberForm


class GuessConfig(StrictModel):
    name: str = "guess"
    prize_cents: int = 100


class Guess:
    goods: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("guesser",)
    named_accounts: tuple[str, ...] = (ISSUE,)
    shocks: tuple[protocol.ShockMark, ...] = ()
    opening_reference_ticks = np.empty(0, dtype=np.int64)

    def __init__(self, config: GuessConfig, seed: int, traders: int, rounds: int, market: Any) -> None:
        self.config, self.rounds, self.traders = config, rounds, traders
        self.trader_kind = np.zeros(traders, dtype=np.int64)

    def rules_text(self) -> str:
        return "All say a number. Whoever is nearest to two thirds of the mean takes the prize."

    def forms(self) -> dict[str, FormPlugin]:
        return {"number": FormPlugin("number", "A number up to 100.", lambda terms: NumberForm(terms, 100))}

    def observe(self, round_: int, market: MarketState, last: Any) -> Observation:
        public = protocol.public_view(round_, self.rounds, "", (), market, last)
        return Observation(public, protocol.private_views(market, last, ("a guesser",) * self.traders))

    def resolve(self, round_: int, choices: Choices, market: MarketState) -> Resolved:
        numbers = np.array(choices.chosen or [0])
        nearest = np.argmin(np.abs(3 * len(numbers) * numbers - 2 * numbers.sum()))
        winner = choices.trader[nearest : nearest + 1]
        prize = (winner, np.full(len(winner), CASH), np.full(len(winner), self.config.prize_cents))
        return Resolved(choices.orders, (Movement("prize", ISSUE, *prize),))

    def opening(self, *_: Any) -> list[Any]:
        return []

    def snapshot(self) -> dict[str, Any]:
        return {}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """There is nothing to go on from."""

    after_clearing, trader_columns = opening, snapshot


SCENARIO = protocol.ScenarioPlugin("guess", "A number, and two thirds of the mean.", GuessConfig, Guess)
