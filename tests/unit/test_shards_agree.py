"""One shard or eight, in any order: the same decisions and the same journal."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from swarm.agents.memory import Memory
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.shard import Shard, ShardAnswer
from swarm.config_file import resolve
from swarm.llm import engines
from swarm.llm.protocol import ModelClient
from swarm.planning import compose
from swarm.simulation.entries import to_record
from swarm.simulation.market import Market
from swarm.simulation.plan import RunPlan
from swarm.simulation.traders import Gathered, LocalTraders, TradersPort, gather
from swarm.simulation.world import run_rounds

TRADERS = 43
CONFIG = {
    "seed": 11,
    "rounds": 10,
    "population": TRADERS,
    "models": [
        {"name": "value", "temperament": "value"},
        {"name": "panic", "temperament": "panic", "fault_rate": 0.1},
    ],
    "traders": {"minds": {"value": 2, "panic": 2, "zi_c": 2, "zip": 2, "truthful": 1}, "hears": 4},
    "scenario": {"name": "wood", "shocks": [{"kind": "blight", "round": 3, "good": "berries"}]},
}


class SplitTraders:
    """The traders of a run in several shards that answer in another order than they are asked."""

    def __init__(self, plan: ShardPlan, clients: dict[str, ModelClient], shards: int, backwards: bool) -> None:
        self.rows = np.array_split(np.arange(len(plan.minds)), shards)
        self.shards = [
            Shard(replace(plan, first_trader=int(rows[0]), minds=plan.minds[rows[0] : rows[-1] + 1]), clients)
            for rows in self.rows
        ]
        self.memory = [Memory.empty() for _ in self.rows]
        self.backwards = backwards
        self.rounds: list[Gathered] = []

    def decide(self, seen: Observation) -> Gathered:
        async def ask(shard: int) -> ShardAnswer:
            part = Observation(seen.public, seen.private.take(self.rows[shard]))
            answer = await self.shards[shard].decide(part, self.memory[shard])
            self.memory[shard] = answer.memory
            return answer

        answers = [asyncio.run(ask(shard)) for shard in range(len(self.shards))]
        self.rounds.append(gather(answers[::-1] if self.backwards else answers, np.empty(0, dtype=np.int64)))
        return self.rounds[-1]


class OneShard(LocalTraders):
    """All traders in one shard, as a run in one process has them."""

    def __init__(self, plan: ShardPlan, clients: dict[str, ModelClient]) -> None:
        super().__init__(plan, clients)
        self.rounds: list[Gathered] = []

    def decide(self, seen: Observation) -> Gathered:
        self.rounds.append(super().decide(seen))
        return self.rounds[-1]


def run(make: Callable[[ShardPlan, dict[str, ModelClient]], TradersPort]) -> str:
    plan: RunPlan = compose(resolve(CONFIG)).run
    market = Market(plan.market, None)
    run_rounds(plan, market, make(plan.shard, {m.name: engines.in_process(m) for m in plan.models}))
    return market.close().journal_sha256


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("shards", [1, 8, TRADERS])
def test_a_run_does_not_depend_on_how_its_traders_are_spread(shards: int, backwards: bool) -> None:
    plan = compose(resolve(CONFIG)).run.shard
    assert set(plan.minds) == {"value", "panic", "zi_c", "zip", "truthful"}
    made: list[SplitTraders | OneShard] = []

    def together(plan: ShardPlan, clients: dict[str, ModelClient]) -> TradersPort:
        made.append(OneShard(plan, clients))
        return made[-1]

    def split(plan: ShardPlan, clients: dict[str, ModelClient]) -> TradersPort:
        made.append(SplitTraders(plan, clients, shards, backwards))
        return made[-1]

    assert run(together) == run(split)
    for one, many in zip(made[0].rounds, made[1].rounds, strict=True):
        assert to_record(one.entry(1)) == to_record(many.entry(1))
        assert one.decisions.gossip == many.decisions.gossip
        assert one.decisions.errors == many.decisions.errors
        assert one.decisions.cut_gossip == many.decisions.cut_gossip
        assert one.decisions.orders.trader.tolist() == many.decisions.orders.trader.tolist()


def test_a_shard_that_is_late_leaves_its_traders_out_and_the_others_as_they_were() -> None:
    plan = compose(resolve(CONFIG)).run
    clients: dict[str, ModelClient] = {m.name: engines.in_process(m) for m in plan.models}
    split = SplitTraders(plan.shard, clients, 8, False)
    rounds: list[Gathered] = []

    class Late:
        def decide(self, seen: Observation) -> Gathered:
            everybody = split.decide(seen)
            late = split.rows[3]
            answers = [
                asyncio.run(
                    Shard(s.plan, clients).decide(Observation(seen.public, seen.private.take(rows)), Memory.empty())
                )
                for s, rows in zip(split.shards, split.rows, strict=True)
                if rows is not late
            ]
            rounds.append(gather(answers, late[::-1]))
            kept = ~np.isin(everybody.turns.trader, late)
            assert rounds[-1].late.tolist() == late.tolist()
            assert rounds[-1].turns.trader.tolist() == everybody.turns.trader[kept].tolist()
            assert not np.isin(rounds[-1].baseline_orders.trader, late).any()
            return rounds[-1]

    market = Market(plan.market, None)
    assert run_rounds(plan, market, Late()) == plan.rounds == len(rounds)
