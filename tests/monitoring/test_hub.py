"""The hub: its series are closed, its figures are those of the run's record, and its port says what is wrong."""

import asyncio
import json
import math
import re
import socket
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from swarm.agents.memory import Memory
from swarm.agents.observation import Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.shard import Shard
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.llm import engines
from swarm.llm.protocol import ModelClient, ModelReply, ModelRequest, TokenUsage
from swarm.monitoring.hub import Hub, run_label
from swarm.monitoring.metrics import FIXED_SETS, METRICS
from swarm.monitoring.port import exported
from swarm.planning import compose
from swarm.runtime.play import Played, play
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.scenarios.protocol import MarketState
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import RoundOutcome, Watcher
from swarm.simulation.market import Market, MarketPlan
from swarm.simulation.plan import Fork, RunPlan, WorldPlan
from swarm.simulation.remote import Lost, RemoteMarket
from swarm.simulation.traders import Gathered, gather
from tests.monitoring.conftest import Prometheus
from tests.playing import Phased

CONFIG: dict[str, Any] = {
    "name": "small",
    "seed": 4,
    "rounds": 12,
    "population": 40,
    "models": [
        {"name": "calm", "temperament": "value"},
        {"name": "garbling", "temperament": "panic", "fault_rate": 0.4},
    ],
    "traders": {"minds": {"calm": 2, "garbling": 2, "zip": 2, "zi_c": 1}},
    "scenario": {"name": "wood", "shocks": [{"kind": "blight", "round": 3, "good": "berries"}]},
}
PRICED = {
    "engine": "openai",
    "base_url": "http://127.0.0.1:9/v1",
    "model": "m",
    "usd_per_million_prompt_tokens": 3.0,
    "usd_per_million_completion_tokens": 15.0,
}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Quiet:
    """Watches nothing and tells nobody."""

    def phase(self, text: str) -> None:
        """Say nothing."""


class Once:
    """A watcher that looks at the hub after certain rounds; it comes after the hub, so that the round is in."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.seen: dict[int, Samples] = {}

    def started(self, *_: object) -> None:
        """Look at what is there before the first round."""
        self.seen[0] = samples(self.hub)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Look again."""
        self.seen[outcome.round] = samples(self.hub)


class Answering:
    """A `ModelClient` that passes, with the same use of tokens each time."""

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """No orders and a line of gossip."""
        text = json.dumps({"orders": [], "gossip": "fine weather"})
        return [ModelReply(text, TokenUsage(500, 20, 200), "stop", 0.03)] * len(requests)


def exposition(hub: Hub) -> str:
    """What a scrape reads."""
    registry = CollectorRegistry()
    registry.register(hub)
    return generate_latest(registry).decode()


def samples(hub: Hub) -> Samples:
    """All series with their values."""
    return parsed(exposition(hub))


def parsed(text: str) -> Samples:
    """All series of an exposition; a series that stands there twice is an error."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(found: Samples, metric: str, /, **labels: str) -> float:
    """One series, which must be there."""
    (run,) = {dict(have)["run"] for _, have in found}
    return found[metric, frozenset({"run": run, **labels}.items())]


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum of all series of a name that have these labels."""
    return sum(v for (n, have), v in found.items() if n == name and frozenset(labels.items()) <= have)


def configured(**changes: Any) -> RunConfig:
    return resolve(CONFIG | changes)


def planned(**changes: Any) -> RunPlan:
    return compose(configured(**changes)).run


def hub_of(plan: RunPlan, folder: Path, **more: Any) -> Hub:
    return Hub(plan, "one process", folder, clock=lambda: 1_000.0, **more)


def run(plan: RunPlan, *watchers: Watcher, **how: Any) -> Played:
    """The whole run of a plan in this process."""
    played = play(resolve(plan.config_record), *watchers, plan=WorldPlan.of(plan), **how)
    assert played.rounds == plan.rounds
    return played


class FragileLink:
    """A link to a market that dies in some of its calls, before or after doing what it was asked, and comes back."""

    def __init__(self, plan: MarketPlan, journal: Path, dies_at: dict[int, bool]) -> None:
        self._plan, self._journal, self._dies_at = plan, journal, dies_at
        self._market = Market(plan, journal)
        self._calls = 0
        self._now = 0.0

    def call(self, method: str, *arguments: Any) -> Any:
        """The answer, or Lost with a new market in the place of the old."""
        self._calls += 1
        if (done_first := self._dies_at.get(self._calls)) is None:
            return getattr(self._market, method)(*arguments)
        if done_first:
            getattr(self._market, method)(*arguments)
        self._market.close()
        self._market = Market(self._plan, self._journal)
        raise Lost

    def now(self) -> float:
        """Seconds on a clock that only waiting moves."""
        return self._now

    def pause(self, seconds: float) -> None:
        """Wait."""
        self._now += seconds


class HalfLate:
    """Traders in two shards, the second of which is late in every round but the first."""

    def __init__(self, plan: ShardPlan, clients: dict[str, ModelClient]) -> None:
        half = len(plan.minds) // 2
        self.rows = (np.arange(half), np.arange(half, len(plan.minds)))
        parts = (plan.minds[:half], plan.minds[half:])
        self.shards = [
            Shard(replace(plan, first_trader=int(rows[0]), minds=minds), clients)
            for rows, minds in zip(self.rows, parts, strict=True)
        ]

    def decide(self, seen: Observation) -> Gathered:
        """The first shard's answer, and in the first round the other's, too."""
        in_time = 2 if seen.public.round == 1 else 1
        answers = [
            asyncio.run(shard.decide(Observation(seen.public, seen.private.take(rows)), Memory.empty()))
            for shard, rows in zip(self.shards[:in_time], self.rows, strict=False)
        ]
        return gather(answers, np.concatenate([np.empty(0, dtype=np.int64), *self.rows[in_time:]]))


def test_series_do_not_grow_with_rounds(tmp_path: Path) -> None:
    plan = planned(rounds=60)
    hub = hub_of(plan, tmp_path)
    looks = Once(hub)
    run(plan, hub, looks)
    assert set(looks.seen[0]) == set(looks.seen[3]) == set(looks.seen[60])
    assert value(looks.seen[3], "swarm_round") == 3
    assert value(looks.seen[60], "swarm_round") == 60


def test_only_traders_that_are_there_are_shown_and_counted(tmp_path: Path) -> None:
    steps = [{"from_round": 1, "traders": 12}, {"from_round": 3, "traders": 40}, {"from_round": 5, "traders": 20}]
    plan = planned(population=steps, rounds=6)
    hub = hub_of(plan, tmp_path)
    once = Once(hub)
    run(plan, hub, once)
    turns = 0.0
    for round_, present in enumerate([12, 12, 12, 40, 40, 20, 20]):
        found = once.seen[round_]
        by_mind = {mind: plan.minds[:present].count(mind) for mind in sorted(set(plan.minds))}
        assert {mind: value(found, "swarm_traders", mind=mind) for mind in by_mind} == by_mind
        now = sum(value(found, "swarm_turns_total", mind=mind) for mind in by_mind)
        if round_:
            assert value(found, "swarm_woken_traders") == now - turns == present
            assert value(found, "swarm_wealth_cents", mind="calm", stat="p10") > 0
        turns = now


def test_series_do_not_grow_with_traders(tmp_path: Path) -> None:
    found: dict[int, Samples] = {}
    for population in (40, 400):
        plan = planned(population=population, rounds=3)
        hub = hub_of(plan, tmp_path)
        run(plan, hub)
        found[population] = samples(hub)
        assert value(found[population], "swarm_woken_traders") == population
    assert set(found[40]) == set(found[400])
    assert 150 < len(found[40]) < 400


def test_series_do_not_grow_with_restarts_of_the_market(tmp_path: Path) -> None:
    plan = planned()
    hub = hub_of(plan, tmp_path)
    # The opening is call 1; each round has three: a death before, one after the orders, one in the end of a round.
    market = RemoteMarket(FragileLink(plan.market, tmp_path / "journal.swarm", {5: False, 14: True, 25: True}), 60.0)
    hub.attach(1, lambda: len(market.outages_s))
    looks = Once(hub)
    run(plan, hub, looks, new_market=lambda *_: market)
    last = looks.seen[plan.rounds]
    assert set(last) == set(looks.seen[1])
    assert value(last, "swarm_market_restarts_total") == 3
    # Each new process counts its syncs from 0, and the series must not.
    syncs = [value(looks.seen[r], "swarm_journal_syncs_total") for r in range(1, plan.rounds + 1)]
    assert syncs == sorted(syncs)
    assert syncs[-1] >= plan.rounds - 3
    assert value(last, "swarm_journal_bytes") == market.close().journal.bytes
    assert not any(v for (name, _), v in last.items() if name == "swarm_conservation_error")


def test_labels_are_of_closed_sets_and_names_follow_the_rules() -> None:
    hub = hub_of(planned(), Path())
    found = samples(hub)
    known = {
        **{label: set(values) for label, values in FIXED_SETS.items()},
        "mind": {"calm", "garbling", "zip", "zi_c"},
        "model": {"calm", "garbling"},
        "priced_model": {"calm", "garbling"},
        "streaming_model": set(),
        "good": {"acorns", "berries", "mushrooms", "honey", "firewood"},
        "asset": {"cash", "acorns", "berries", "mushrooms", "honey", "firewood"},
    }
    # This run has no cascade, and so no series of one.
    absent = {"swarm_escalations_total"}
    assert not absent & {name for name, _ in found}
    for metric in METRICS:
        assert metric.name.startswith("swarm_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert (metric.kind == "histogram") == bool(metric.buckets)
        for label, domain in metric.labels.items():
            if domain in known and metric.name not in absent:
                values = {dict(have)[label] for (name, have) in found if name == metric.name and label in dict(have)}
                assert metric.kind == "histogram" or values == known[domain], metric.name
    assert {dict(have)["run"] for _, have in found} == {hub.run}


def test_the_figures_are_those_of_the_record(tmp_path: Path) -> None:
    plan = planned()
    hub = hub_of(plan, tmp_path)
    record = run(plan, hub, journals_in=tmp_path).record
    found = samples(hub)
    summary, tables = record.summary, record.tables
    assert total(found, "swarm_rounds_total") == summary["rounds"] == 12
    assert total(found, "swarm_fills_total") == summary["fills"] > 0
    assert total(found, "swarm_volume_lots_total") == summary["volume_lots"]
    assert total(found, "swarm_orders_total") == tables["rounds"]["orders"].sum()
    refused = {dict(have)["outcome"]: int(v) for (n, have), v in found.items() if n == "swarm_orders_total" and v}
    refused.pop("accepted")
    assert refused == summary["order_rejections"]
    errors: dict[str, int] = {}
    for (name, have), v in found.items():
        if name == "swarm_decision_errors_total" and v:
            errors[dict(have)["kind"]] = errors.get(dict(have)["kind"], 0) + int(v)
    assert errors == summary["decision_errors"]
    assert errors
    for kind in ("prompt", "completion", "cached_prompt"):
        assert total(found, "swarm_tokens_total", kind=kind) == summary["tokens"][kind]
    assert total(found, "swarm_turns_total") == 12 * 40
    assert {m: value(found, "swarm_traders", mind=m) for m in ("calm", "zip")} == {
        m: summary["minds"][m] for m in ("calm", "zip")
    }
    outcomes = {dict(have)["outcome"]: int(v) for (name, have), v in found.items() if name == "swarm_messages_total"}
    assert outcomes.pop("delivered") == summary["messages"]["delivered"] > 0
    lost = {reason: n for reason, n in summary["pruned_messages"].items() if n}
    assert {reason: n for reason, n in outcomes.items() if n} == lost
    assert lost
    assert value(found, "swarm_journal_bytes") == summary["journal"]["bytes"]
    # Closing the journal syncs once more.
    assert value(found, "swarm_journal_syncs_total") == summary["journal"]["syncs"] - 1
    assert value(found, "swarm_wealth_gini") == pytest.approx(summary["wealth"]["gini_end"], abs=1e-6)
    last = tables["prices"].filter(tables["prices"]["round"] == 12)
    for good, ticks, bids in last.select("good", "reference_ticks", "unfilled_buy_lots").iter_rows():
        assert value(found, "swarm_price_ticks", good=good) == ticks
        assert value(found, "swarm_unfilled_lots", good=good, side="buy") == bids
    rich = tables["traders"].filter((tables["traders"]["round"] == 12) & (tables["traders"]["mind"] == "zip"))
    median_cents = float(np.median(rich["wealth_cents"].to_numpy()))
    assert value(found, "swarm_wealth_cents", mind="zip", stat="p50") == median_cents


def test_histograms_count_every_round_and_every_reply(tmp_path: Path) -> None:
    plan = planned()
    hub = hub_of(plan, tmp_path)
    tables = run(plan, hub).tables
    found = samples(hub)
    for name, column in (
        ("round_duration", "duration_s"),
        ("decide_duration", "decide_s"),
        ("clear_duration", "clear_s"),
    ):
        seconds = tables["rounds"][column].to_numpy()
        in_buckets(found, f"swarm_{name}_seconds", seconds)
    decisions = tables["decisions"]
    for model in ("calm", "garbling"):
        own = decisions.filter(decisions["mind"] == model)["latency_s"].to_numpy()
        in_buckets(found, "swarm_decision_latency_seconds", own, model=model)


def in_buckets(found: Samples, name: str, seconds: np.ndarray[Any, Any], **labels: str) -> None:
    """The histogram is that of these values: count, sum, and each bucket up to and with its bound."""
    assert value(found, f"{name}_count", **labels) == len(seconds) > 0
    assert value(found, f"{name}_sum", **labels) == pytest.approx(float(seconds.sum()))
    bounds = {dict(have)["le"] for (n, have) in found if n == f"{name}_bucket"}
    assert "+Inf" in bounds
    for bound in bounds:
        assert value(found, f"{name}_bucket", le=bound, **labels) == int((seconds <= float(bound)).sum())


def test_the_first_token_is_timed_where_an_engine_tells(tmp_path: Path) -> None:
    models = [{**PRICED, "name": "streaming", "stream": True}, {**PRICED, "name": "whole"}]
    plan = planned(rounds=2, models=models, traders={"minds": {"streaming": 1, "whole": 1}})

    class Telling(Answering):
        async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
            told, *others = await super().complete(requests, deadline_s)
            return [replace(told, first_token_s=0.0125), *others]

    hub = hub_of(plan, tmp_path)
    run(plan, hub, clients={"streaming": Telling(), "whole": Answering()})
    found = samples(hub)
    name = "swarm_time_to_first_token_seconds"
    in_buckets(found, name, np.array([0.0125, 0.0125]), model="streaming")
    assert {dict(have)["model"] for n, have in found if n.startswith(name)} == {"streaming"}


def test_a_value_on_a_bound_belongs_below_it(tmp_path: Path) -> None:
    plan = planned(rounds=1, models=[{**PRICED, "name": "priced"}], traders={"minds": {"priced": 1}})
    hub = hub_of(plan, tmp_path)

    class OnTheBound(Answering):
        async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
            return [replace(reply, latency_s=0.25) for reply in await super().complete(requests, deadline_s)]

    run(plan, hub, clients={"priced": OnTheBound()})
    found = samples(hub)
    assert value(found, "swarm_decision_latency_seconds_bucket", model="priced", le="0.1") == 0
    assert value(found, "swarm_decision_latency_seconds_bucket", model="priced", le="0.25") == 40


def test_conservation_is_zero_until_something_is_missing(tmp_path: Path) -> None:
    plan = planned()
    hub = hub_of(plan, tmp_path)
    kept: list[tuple[MarketState, Any]] = []

    class Keeper:
        def started(self, plan: RunPlan, opening: MarketState, named: Any) -> None:
            kept.append((opening, named))

        def round_done(self, outcome: RoundOutcome) -> None:
            kept.append((outcome.state, outcome.named_balances))
            assert not any(v for (name, _), v in samples(hub).items() if name == "swarm_conservation_error")

    run(plan, hub, Keeper())
    state, named = kept[-1]
    assert state.balances.any()
    robbed = state.balances.copy()
    robbed[3, 4] -= 2
    hub.started(plan, replace(state, balances=robbed), named)
    found = samples(hub)
    assert value(found, "swarm_conservation_error", asset=plan.scenario.goods[3]) == -2
    assert value(found, "swarm_conservation_error", asset="cash") == 0


def test_what_is_not_known_yet_is_no_number(tmp_path: Path) -> None:
    found = samples(hub_of(planned(), tmp_path))
    assert math.isnan(value(found, "swarm_last_round_timestamp_seconds"))
    assert math.isnan(value(found, "swarm_conservation_error", asset="cash"))
    assert value(found, "swarm_run_finished") == 0
    assert value(found, "swarm_rounds_planned") == 12
    assert value(found, "swarm_disk_total_bytes") > value(found, "swarm_disk_free_bytes") > 0


def test_tokens_cost_what_the_config_says(tmp_path: Path) -> None:
    models = [{**PRICED, "name": "priced"}, {**PRICED, "name": "unknown", "usd_per_million_prompt_tokens": None}]
    plan = planned(models=models, traders={"minds": {"priced": 1, "unknown": 1, "zip": 2}}, rounds=2)
    hub = hub_of(plan, tmp_path)
    run(plan, hub, clients={"priced": Answering(), "unknown": Answering()})
    found = samples(hub)
    turns = value(found, "swarm_turns_total", mind="priced")
    assert turns == 2 * plan.minds.count("priced") > 0
    expected = turns * (500 * 3.0 + 20 * 15.0) / 1e6
    assert value(found, "swarm_cost_dollars_total", model="priced") == pytest.approx(expected)
    assert ("swarm_cost_dollars_total", frozenset({"run": hub.run, "model": "unknown"}.items())) not in found
    assert value(found, "swarm_tokens_total", model="priced", kind="cached_prompt") == turns * 200


def test_a_late_shard_costs_turns_and_messages(tmp_path: Path) -> None:
    plan = planned(rounds=4)
    hub = hub_of(plan, tmp_path)
    summary = run(plan, hub, traders=lambda plan, _: HalfLate(plan.shard, engines.all_in_process(plan.models))).summary
    found = samples(hub)
    assert total(found, "swarm_late_traders_total") == 3 * 20 == summary["late_turns"]
    assert total(found, "swarm_turns_total") == 4 * 40 - 60
    for mind in ("calm", "zip"):
        late = plan.minds[20:].count(mind)
        assert value(found, "swarm_late_traders_total", mind=mind) == 3 * late
        assert value(found, "swarm_turns_total", mind=mind) == 4 * plan.minds.count(mind) - 3 * late
    assert value(found, "swarm_queued_requests", model="calm") == plan.minds[20:].count("calm")
    assert value(found, "swarm_messages_total", outcome="late") > 0
    assert value(found, "swarm_woken_traders") == 40


def test_wealth_is_summed_up_as_numpy_does(tmp_path: Path) -> None:
    plan = planned()
    hub = hub_of(plan, tmp_path)
    table = run(plan, hub).tables["traders"]
    last = table.filter(table["round"] == plan.rounds)
    found = samples(hub)
    for mind in set(plan.minds):
        cents = last.filter(last["mind"] == mind)["wealth_cents"].to_numpy()
        expected = {"mean": cents.mean(), **{f"p{q}": np.quantile(cents, q / 100) for q in (10, 50, 90)}}
        for stat, wanted in expected.items():
            assert value(found, "swarm_wealth_cents", mind=mind, stat=stat) == pytest.approx(wanted)


def test_a_run_of_baselines_alone_has_no_series_of_models(tmp_path: Path) -> None:
    plan = planned(models=[], traders={"minds": {"zip": 1, "zi_c": 1}}, rounds=3)
    hub = hub_of(plan, tmp_path)
    run(plan, hub)
    found = samples(hub)
    assert value(found, "swarm_turns_total", mind="zip") == 3 * 20
    assert not [have for _, have in found if "model" in dict(have)]


def test_requests_that_a_model_did_not_answer_in_time_are_queued(tmp_path: Path) -> None:
    models = [{"name": "slow", "temperament": "value", "latency_s": 30.0}]
    plan = planned(models=models, traders={"minds": {"slow": 1, "zip": 1}}, rounds=1, budget={"round_deadline_s": 0.2})
    hub = hub_of(plan, tmp_path)
    run(plan, hub)
    found = samples(hub)
    assert value(found, "swarm_queued_requests", model="slow") == 20
    assert value(found, "swarm_decision_errors_total", model="slow", kind="engine_deadline") == 20


def test_rounds_without_trades_are_counted_in_a_row(tmp_path: Path) -> None:
    plan = planned(models=[{**PRICED, "name": "priced"}], traders={"minds": {"priced": 1}}, rounds=3)
    hub = hub_of(plan, tmp_path)
    run(plan, hub, clients={"priced": Answering()})
    assert value(samples(hub), "swarm_rounds_without_trades") == 3
    busy = planned(rounds=3)
    hub = hub_of(busy, tmp_path)
    run(busy, hub)
    assert value(samples(hub), "swarm_rounds_without_trades") == 0


def test_rounds_from_a_journal_are_part_of_the_runs_counters_and_took_no_time(tmp_path: Path) -> None:
    plan, through = planned(), planned()
    hub, other = hub_of(plan, tmp_path, recorded_rounds=9), hub_of(through, tmp_path)
    looks = Once(hub)
    run(plan, hub, looks)
    run(through, other)
    found, expected = samples(hub), samples(other)
    timed = ("_seconds", "_seconds_sum", "_seconds_count", "_seconds_bucket", "_seconds_total", "_bytes")
    for (name, have), wanted in expected.items():
        if not name.endswith(timed) and not name.startswith("swarm_journal"):
            assert found[name, have] == pytest.approx(wanted, nan_ok=True), name
    assert value(found, "swarm_round_duration_seconds_count") == 3
    # No counter is shown before it holds all that the journal has, so none ever falls behind what was shown before.
    counters = {metric.name for metric in METRICS if metric.kind == "counter"}
    assert not any(name in counters for name, _ in looks.seen[8])
    assert value(looks.seen[9], "swarm_rounds_total") == 9
    assert value(looks.seen[8], "swarm_round") == 8


def test_two_runs_of_one_config_are_two_series_and_a_resumed_run_is_one(tmp_path: Path) -> None:
    plan = planned()
    one, other = hub_of(plan, tmp_path / "a" / "run"), hub_of(plan, tmp_path / "b" / "run")
    assert {name for name, _ in samples(one)} == {name for name, _ in samples(other)}
    assert not set(samples(one)) & set(samples(other))
    assert set(samples(one)) == set(samples(hub_of(plan, tmp_path / "a" / "run", recorded_rounds=0)))


@pytest.mark.parametrize("name", ["wood-1", "a b", 'quo"te', "x" * 200, "\u20ac\udcff"])
def test_a_runs_label_is_short_and_plain(tmp_path: Path, name: str) -> None:
    label = run_label(tmp_path / name)
    assert re.fullmatch(r"[A-Za-z0-9._-]{7,71}", label)
    assert label[:3] == re.sub(r"[^A-Za-z0-9._-]", "_", name)[:3] or len(name) < 3


def test_a_fork_has_the_minds_of_both_its_futures(tmp_path: Path) -> None:
    later = planned(traders={"minds": {"calm": 1, "truthful": 1}})
    plan = replace(planned(), fork=Fork(5, "", (), later))
    hub = hub_of(plan, tmp_path)
    looks = Once(hub)
    run(plan, hub, looks, traders=lambda plan, _: Phased(plan))
    assert set(looks.seen[1]) == set(looks.seen[12])
    assert value(looks.seen[5], "swarm_turns_total", mind="truthful") == 0
    assert value(looks.seen[5], "swarm_traders", mind="truthful") == 0
    assert value(looks.seen[12], "swarm_turns_total", mind="truthful") == 7 * 20
    assert value(looks.seen[12], "swarm_traders", mind="zip") == 0


def test_promtool_finds_nothing_wrong(prometheus: Prometheus, tmp_path: Path) -> None:
    plan = planned(rounds=3)
    hub = hub_of(plan, tmp_path)
    before = exposition(hub)
    run(plan, hub)
    for text in (before, exposition(hub)):
        checked = prometheus.check("check", "metrics", text=text)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    broken = exposition(hub).replace("swarm_rounds_total", "swarm_roundsCount")
    assert prometheus.check("check", "metrics", text=broken).returncode != 0


@contextmanager
def taken_port() -> Iterator[int]:
    """A port of loopback that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def execute_with(folder: Path, runtime: dict[str, Any], *watchers: Watcher, **changes: Any) -> dict[str, Any]:
    config = resolve(CONFIG | {"rounds": 3} | changes | {"runtime": runtime})
    return (
        Session(RunsOn(local=True), RunFolder(folder), watchers=watchers, report=False).execute(config).record.summary
    )


def test_a_run_serves_its_metrics_until_its_end(tmp_path: Path) -> None:
    said: list[str] = []
    read: list[Samples] = []

    class Narrator:
        def phase(self, text: str) -> None:
            said.append(text)

    class Reader:
        def started(self, *_: object) -> None:
            pass

        def round_done(self, outcome: RoundOutcome) -> None:
            read.append(parsed(get(said[0].removeprefix("metrics at "))))

    config = resolve(CONFIG | {"rounds": 3, "runtime": {"metrics_port": 0}})
    result = Session(
        RunsOn(local=True), RunFolder(tmp_path / "run"), watchers=(Reader(),), narrator=Narrator(), report=False
    ).execute(config)
    assert [value(found, "swarm_rounds_total") for found in read] == [1, 2, 3]
    assert value(read[-1], "swarm_run_info", name="small", scenario="wood", runs_on="one process", version="0.1.0") == 1
    assert value(read[-1], "swarm_shards") == 1
    address = result.record.summary["metrics_address"]
    assert said[0] == f"metrics at {address}"
    with pytest.raises(OSError, match="refused"):
        get(address)


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as response:
        text: str = response.read().decode()
        return text


def test_without_a_port_there_are_no_metrics_and_the_history_is_the_same(tmp_path: Path) -> None:
    without = execute_with(tmp_path / "without", {})
    with_ = execute_with(tmp_path / "with", {"metrics_port": 0})
    assert without["metrics_address"] is None
    assert without["journal_sha256"] == with_["journal_sha256"]
    assert (tmp_path / "without/journal.swarm").read_bytes() == (tmp_path / "with/journal.swarm").read_bytes()


def test_a_taken_port_is_said_before_anything_is_kept(tmp_path: Path) -> None:
    with taken_port() as port, pytest.raises(ConfigError, match=f"runtime.metrics_port: port {port} of 127.0.0.1"):
        execute_with(tmp_path / "run", {"metrics_port": port})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "not a host"])
def test_an_address_that_is_none_is_said(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=r"^runtime\.metrics_host: "):
        execute_with(tmp_path / "run", {"metrics_port": 0, "metrics_host": host})


def test_a_port_is_free_again_after_the_block(tmp_path: Path) -> None:
    hub = hub_of(planned(), tmp_path)
    with exported(hub, "127.0.0.1", 0) as address:
        assert "swarm_run_info" in get(address)
        port = int(address.rpartition(":")[2].removesuffix("/metrics"))
    with exported(hub, "127.0.0.1", port) as again:
        assert again == address


def test_a_resumed_run_has_metrics(tmp_path: Path) -> None:
    calls = 0

    def stop_after_four() -> bool:
        nonlocal calls
        calls += 1
        return calls > 4

    folder = RunFolder(tmp_path / "run")
    config = resolve(CONFIG | {"runtime": {"metrics_port": 0}})
    stopped = Session(RunsOn(local=True), folder, stop=stop_after_four, report=False).execute(config)
    assert not stopped.finished
    read: list[str] = []

    class Reader(Quiet):
        address = ""

        def phase(self, text: str) -> None:
            if text.startswith("metrics at "):
                self.address = text.removeprefix("metrics at ")

        def started(self, *_: object) -> None:
            pass

        def round_done(self, outcome: RoundOutcome) -> None:
            if outcome.round == 12:
                read.append(get(self.address))

    reader = Reader()
    summary = (
        Session(RunsOn(local=True), folder, watchers=(reader,), narrator=reader, report=False).resume().record.summary
    )
    found = parsed(read[0])
    for kind in ("prompt", "completion"):
        assert total(found, "swarm_tokens_total", kind=kind) == summary["tokens"][kind]
    assert total(found, "swarm_turns_total") == 12 * 40
    assert total(found, "swarm_fills_total") == summary["fills"]
    assert value(found, "swarm_round") == 12
    assert value(found, "swarm_rounds_total") == 12
    assert value(found, "swarm_round_duration_seconds_count") == 12 - stopped.record.summary["rounds"]


def test_metrics_linger_until_told_to_stop(tmp_path: Path) -> None:
    """The last figures can be read after the last round; a stop ends the wait long before its time."""
    found: list[Samples] = []

    class Narrator(Quiet):
        address = ""
        lingering = False

        def phase(self, text: str) -> None:
            if text.startswith("metrics at "):
                self.address = text.removeprefix("metrics at ")
            self.lingering = text.startswith("keeping")

    narrator = Narrator()

    def should_stop() -> bool:
        if narrator.lingering:
            found.append(parsed(get(narrator.address)))
        return narrator.lingering

    config = resolve(CONFIG | {"rounds": 3, "runtime": {"metrics_port": 0, "metrics_linger_s": 3600}})
    result = Session(
        RunsOn(local=True), RunFolder(tmp_path / "run"), narrator=narrator, stop=should_stop, report=False
    ).execute(config)
    assert result.finished
    assert value(found[0], "swarm_round") == 3
    assert value(found[0], "swarm_run_finished") == 1


def test_reading_is_safe_while_rounds_come_in(tmp_path: Path) -> None:
    """A scrape between any two statements of the loop sees complete rounds only."""
    plan = planned(rounds=30)
    hub = hub_of(plan, tmp_path)
    looks: list[tuple[float, float]] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            found = samples(hub)
            looks.append((value(found, "swarm_rounds_total"), total(found, "swarm_turns_total")))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        run(plan, hub)
    finally:
        done.set()
        thread.join()
    assert looks
    assert all(turns == rounds * 40 for rounds, turns in looks)
