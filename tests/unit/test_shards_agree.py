"""One shard or eight, in any order: the same decisions and the same journal."""

import asyncio
from functools import cache

import numpy as np
import pytest

from swarm.agents.memory import Memory
from swarm.agents.observation import Observation
from swarm.agents.shard import Shard
from swarm.config_file import resolve
from swarm.llm import engines
from swarm.llm.protocol import ModelClient
from swarm.planning import compose
from swarm.runtime.play import play
from swarm.simulation.entries import to_record
from swarm.simulation.plan import RunPlan
from swarm.simulation.traders import Gathered, TradersPort, gather
from tests.playing import SplitTraders

TRADERS = 43
CONFIG = {
    "seed": 11,
    "rounds": 6,
    "population": TRADERS,
    "models": [
        {"name": "value", "temperament": "value"},
        {"name": "panic", "temperament": "panic", "fault_rate": 0.1},
    ],
    "traders": {
        "minds": {"value": 2, "panic": 2, "careful": 2, "zi_c": 2, "zip": 2, "truthful": 1},
        "cascades": [{"name": "careful", "small": "panic", "large": "value", "samples": 2, "price_ticks": 1.0}],
        "hears": 4,
    },
    "scenario": {"name": "wood", "shocks": [{"kind": "blight", "round": 3, "good": "berries"}]},
}


@cache
def split(shards: int, backwards: bool) -> tuple[str, list[Gathered]]:
    """The hash of a run in so many shards, and what came back in its rounds."""
    made: list[SplitTraders] = []

    def traders(plan: RunPlan, _: TradersPort) -> SplitTraders:
        assert {"careful", "value", "zip"} <= set(plan.minds)
        made.append(SplitTraders(plan.shard, engines.all_in_process(plan.models), shards, backwards))
        return made[-1]

    sha256 = play(resolve(CONFIG), traders=traders).journal_sha256
    return sha256, made[0].rounds


@pytest.mark.parametrize(("shards", "backwards"), [(8, True), (TRADERS, False)])
def test_a_run_does_not_depend_on_how_its_traders_are_spread(shards: int, backwards: bool) -> None:
    (sha256, together), (other, rounds) = split(1, False), split(shards, backwards)
    assert sha256 == other
    for one, many in zip(together, rounds, strict=True):
        assert to_record(one.entry(1)) == to_record(many.entry(1))
        assert one.decisions.gossip == many.decisions.gossip
        assert one.decisions.errors == many.decisions.errors
        assert one.decisions.cut_gossip == many.decisions.cut_gossip
        assert one.decisions.orders.trader.tolist() == many.decisions.orders.trader.tolist()


def test_a_run_in_one_process_is_the_run_of_one_shard() -> None:
    assert play(resolve(CONFIG)).journal_sha256 == split(1, False)[0]


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

    assert play(resolve(CONFIG), traders=lambda *_: Late()).rounds == plan.rounds == len(rounds)
