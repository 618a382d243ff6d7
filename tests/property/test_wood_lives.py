"""Twenty seeds of the Wood with its four shocks: it trades, prices move, moods keep their bounds, nothing is lost."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from swarm.config_file import resolve
from swarm.market.ledger import ISSUE
from swarm.runtime.play import play
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "configs" / "wood-scripted.yaml").read_text(encoding="utf-8"))
ROUNDS, TRADERS, WINDOW = 200, 20, 10


class Witness:
    """Checks every round as it is settled, and keeps what only the whole run can show."""

    def __init__(self) -> None:
        self.volume: list[int] = []
        self.clearing: list[np.ndarray] = []
        self.moods: set[int] = set()

    def started(self, plan: RunPlan, opening: MarketState, named: np.ndarray) -> None:
        self.plan = plan
        self.issue = plan.market.named_accounts.index(ISSUE)

    def round_done(self, outcome: RoundOutcome) -> None:
        assert (outcome.state.balances >= 0).all(), "a stock or purse is negative"
        total = outcome.state.balances.sum(axis=0) + outcome.named_balances.sum(axis=0)
        assert not total.any(), "what traders and sinks have is not what was issued"
        assert (np.delete(outcome.named_balances, self.issue, axis=0) >= 0).all()
        turns = outcome.gathered.turns
        assert len(turns) == TRADERS
        assert not any(outcome.gathered.decisions.errors)
        assert (turns.prompt_tokens + turns.completion_tokens <= self.plan.shard.budget.tokens_per_turn).all()
        assert (outcome.state.reference_ticks >= 1).all()
        assert (outcome.state.reference_ticks <= self.plan.market.config.max_price_ticks).all()
        mood = outcome.trader_columns["mood_permille"]
        assert (mood >= 10).all()
        assert (mood <= 1_000).all()
        self.moods |= set(mood.tolist())
        self.volume.append(int(outcome.cleared.volume_lots.sum()))
        self.clearing.append(outcome.cleared.clearing_ticks)


@pytest.mark.parametrize("seed", range(20))
def test_the_wood_lives(seed: int) -> None:
    config = resolve(CONFIG | {"seed": seed, "rounds": ROUNDS, "population": TRADERS})
    witness = Witness()
    played = play(config, witness)
    plan, record = played.plan.run, played.record
    assert {s.title.split()[1] for s in plan.scenario.shocks} == {"Great", "Hollow", "Run", "Mushrooms"}
    assert played.rounds == ROUNDS

    traded = np.convolve(witness.volume, np.ones(WINDOW, dtype=np.int64), mode="valid")
    assert (traded > 0).all(), "ten rounds in a row without a trade"
    clearing = np.array(witness.clearing)
    for good, name in enumerate(plan.scenario.goods):
        prices = clearing[clearing[:, good] > 0, good]
        assert len(set(prices.tolist())) >= 5, f"the price of {name} hardly moves"
        assert len(set(prices[-50:].tolist())) >= 2, f"the price of {name} stands still in the end"
    assert len(witness.moods) > 50
    assert record.summary["decision_errors"] == {}
    for name, flow in record.summary["conservation"].items():
        assert flow["unexplained"] == 0, name
        assert flow["end"] > 0, name
    assert record.summary["conservation"]["cash"]["issued"] == 0, "pebbles are neither made nor burnt"
