"""A run whose endpoint misbehaves ends on time, with its ledger whole and every fault counted, and can be replayed."""

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.errors import ModelError
from swarm.planning import composed
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.replay import replay
from tests.endpoint.fake_endpoint import Serve, serving
from tests.endpoint.fault_table import ERRORS, REPAIRS
from tests.patience import patience

LOCAL = RunsOn(local=True)
TEMPERAMENTS = ("value", "momentum", "maker", "hoarder", "panic")


class Silence:
    """Watches nothing and tells nobody."""

    def phase(self, text: str) -> None:
        """Say nothing."""


class Clock:
    """Keeps how long rounds took."""

    def __init__(self) -> None:
        self.durations_s: list[float] = []

    def started(self, *_: object) -> None:
        """Nothing to time yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keep the duration."""
        self.durations_s.append(outcome.duration_s)


def config(url: str, population: int, rounds: int, deadline_s: float, **model: Any) -> RunConfig:
    entry = {"engine": "openai", "base_url": url, "retries": 1, "timeout_s": patience(3.0), "max_concurrency": 256}
    return resolve(
        {
            "name": "faulty",
            "seed": 11,
            "rounds": rounds,
            "population": population,
            "models": [{**entry, "name": f"fake-{t}", "model": t, **model} for t in TEMPERAMENTS],
            "budget": {"round_deadline_s": deadline_s},
        }
    )


def run(run_config: RunConfig, out: Path, runs_on: RunsOn = LOCAL) -> tuple[dict[str, Any], Clock]:
    clock = Clock()
    result = Session(runs_on, RunFolder(out), watchers=(clock,), report=False).execute(run_config)
    assert result.finished
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary, clock


def faulty_run(population: int, rounds: int, deadline_s: float, out: Path) -> None:
    # The server's faults are a hash of the requests, so those of this run are known only to the server.
    with serving({"faults": "all=0.3", "seed": 3}) as endpoint, pytest.MonkeyPatch.context() as patch:
        # The requests of the check before a run would meet faults and be counted, too.
        patch.setattr("swarm.preflight.must_be_usable", lambda *_, **__: None)
        summary, clock = run(config(endpoint.url, population, rounds, deadline_s), out)
        met = endpoint.counts()
    turns = population * rounds
    assert sum(met.values()) == turns
    assert 0.2 * turns < turns - met["none"] < 0.4 * turns
    # Half as long again tells a round that keeps its deadline on a busy machine from one that waits for the slowest.
    assert max(clock.durations_s) <= 1.5 * deadline_s

    errors: Counter[str] = Counter()
    repairs: Counter[str] = Counter()
    for fault, count in met.items():
        if fault in ERRORS:
            errors[ERRORS[fault]] += count
        repairs.update({str(kind): count for kind in REPAIRS.get(fault, ())})
    assert summary["decision_errors"] == dict(sorted(errors.items()))
    assert summary["repaired_replies"] == dict(sorted(repairs.items()))
    assert summary["order_rejections"].get("insufficient_goods", 0) == met["beyond_holdings"]
    assert all(flow["unexplained"] == 0 for flow in summary["conservation"].values())

    replayed = replay(out / "journal.swarm", composed)
    assert replayed.holds
    assert replayed.replayed_sha256 == summary["journal_sha256"]
    assert replayed.rounds == rounds


def test_a_run_with_mixed_faults_ends_on_time_and_counts_them_all(tmp_path: Path) -> None:
    faulty_run(population=200, rounds=2, deadline_s=patience(10.0), out=tmp_path / "run")


def test_desks_on_an_endpoint_with_mixed_faults_end_on_time_and_are_counted(tmp_path: Path) -> None:
    with serving({"faults": "all=0.15", "seed": 3}) as endpoint:
        entry = {"engine": "openai", "base_url": endpoint.url, "retries": 1, "timeout_s": patience(1.0)}
        deadline_s = patience(10.0)
        run_config = resolve(
            {
                "name": "faulty-desks",
                "seed": 11,
                "rounds": 2,
                "population": 40,
                "models": [{**entry, "name": f"fake-{t}", "model": t} for t in ("value", "maker")],
                "traders": {
                    "minds": {"desk": 1, "quant": 1},
                    "desks": [{"name": "desk", "model": "fake-value"}, {"name": "quant", "model": "fake-maker"}],
                },
                "budget": {"round_deadline_s": deadline_s},
            }
        )
        summary, clock = run(run_config, tmp_path / "run")
    assert max(clock.durations_s) <= 1.5 * deadline_s
    assert summary["trades"] > 0
    assert sum(summary["decision_errors"].values()) > 5
    faults = [kind for desk in summary["desks"].values() for kind in desk["faults"]]
    assert {"foreign_id", "bad_number"} & set(faults)
    assert all(flow["unexplained"] == 0 for flow in summary["conservation"].values())
    assert replay(tmp_path / "run" / "journal.swarm", composed).holds


@pytest.mark.ray
@pytest.mark.apart
@pytest.mark.slow
def test_faults_make_the_same_history_over_ray(tmp_path: Path) -> None:
    with serving({"faults": "all=0.3", "seed": 3}) as endpoint:
        run_config = config(endpoint.url, 60, 2, patience(10.0))
        local, _ = run(run_config, tmp_path / "local")
        over_ray, _ = run(run_config, tmp_path / "ray", RunsOn())
    assert over_ray["decision_errors"] == local["decision_errors"] != {}
    assert over_ray["journal_sha256"] == local["journal_sha256"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_traders_with_mixed_faults(tmp_path: Path) -> None:
    faulty_run(population=1_000, rounds=10, deadline_s=patience(20.0), out=tmp_path / "run")


def test_an_endpoint_that_goes_down_costs_its_traders_and_no_more(serve: Serve, tmp_path: Path) -> None:
    endpoint = serve(faults="error_503=1")
    summary, _ = run(
        config(endpoint.url, 40, 3, patience(5.0), breaker_failures=2, breaker_rest_s=patience(0.2), max_concurrency=1),
        tmp_path / "run",
    )
    errors = summary["decision_errors"]
    assert set(errors) == {"engine_server_error", "engine_circuit_open"}
    assert sum(errors.values()) == 120
    assert errors["engine_server_error"] == 20, "for each of five models two, and a probe in each later round"
    assert summary["trades"] == 0
    assert all(flow["unexplained"] == 0 for flow in summary["conservation"].values())


@pytest.mark.parametrize("stand", [0, 3])
def test_a_model_that_dies_in_mid_round_and_stays_dead_costs_its_own_traders(
    serve: Serve, tmp_path: Path, stand: int
) -> None:
    dying, living = serve(latency_s=1.0), serve()
    deadline_s = patience(30.0)
    entry = {"engine": "openai", "retries": 1, "breaker_failures": 3, "breaker_rest_s": 0.2}
    run_config = resolve(
        {
            "name": "dying",
            "seed": 11,
            "rounds": 7,
            "population": 20,
            "models": [
                {**entry, "name": "dying", "base_url": dying.url, "model": "value"},
                {**entry, "name": "living", "base_url": living.url, "model": "maker"},
            ],
            "traders": {"standing": {"max_rounds": stand}},
            "budget": {"round_deadline_s": deadline_s},
        }
    )
    clock, outcomes = Clock(), []

    class Killer:
        """Kills the endpoint a third of a second into its answers of the third round."""

        def started(self, *_: object) -> None:
            pass

        def round_done(self, outcome: RoundOutcome) -> None:
            outcomes.append(outcome)
            if outcome.round == 2:
                threading.Timer(0.3, dying.end).start()

    result = Session(LOCAL, RunFolder(tmp_path / "run"), watchers=(clock, Killer()), report=False).execute(run_config)
    assert result.finished
    summary = result.record.summary
    decisions = result.record.tables["decisions"]
    failed = decisions.filter(decisions["error"] != "")
    assert set(failed["mind"]) == {"dying"}
    assert set(failed["error"]) <= {"engine_connection", "engine_circuit_open"}
    # With standing orders, all of its traders may be asleep in the round in which it dies.
    assert {*range(4 if stand else 3, 8)} <= set(failed["round"]) <= {*range(3, 8)}, "it stays dead"
    assert summary["trades"] > 0
    living_rounds = decisions.filter((decisions["mind"] == "living") & (decisions["error"] == ""))["round"]
    assert set(living_rounds) == set(range(1, 8)), "the others go on"
    assert max(clock.durations_s) < deadline_s, "nobody waits for it until the round is over"
    if stand:
        assert outcomes[2].staffed.standing_orders + outcomes[3].staffed.standing_orders > 0
        assert summary["staffing"]["due"]["undecided"] > 0
    assert all(flow["unexplained"] == 0 for flow in summary["conservation"].values())
    assert replay(tmp_path / "run" / "journal.swarm", composed).holds


def test_faults_are_the_same_in_the_same_run(serve: Serve, tmp_path: Path) -> None:
    hashes = set()
    for attempt in ("one", "two"):
        endpoint = serve(faults="truncated=0.2,error_500=0.1,nan=0.1,fenced=0.1", seed=3)
        # The address is part of the config's record, so the history itself is compared.
        run(config(endpoint.url, 40, 3, 10.0), tmp_path / attempt)
        hashes.add((tmp_path / attempt / "tables" / "trades.parquet").read_bytes())
    assert len(hashes) == 1


def test_a_run_with_a_key_is_priced_and_keeps_the_key_out_of_its_files(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WOOD_KEY", "sesame-4711")
    endpoint = serve(api_key="sesame-4711")
    prices = {"usd_per_million_prompt_tokens": 2.0, "usd_per_million_completion_tokens": 8.0}
    summary, _ = run(config(endpoint.url, 10, 2, 10.0, api_key_env="WOOD_KEY", **prices), tmp_path / "run")
    assert summary["decision_errors"] == {}
    tokens = summary["tokens"]
    assert tokens["counted_by"] == "engine"
    assert sum(tokens["usd"].values()) == pytest.approx((2 * tokens["prompt"] + 8 * tokens["completion"]) / 1e6)
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"sesame" in path.read_bytes()]


def test_a_model_that_cannot_be_used_stops_the_run_before_it_leaves_anything(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="fake-value: no endpoint answers"):
        run(config("http://127.0.0.1:9/v1", 10, 1, 5.0), tmp_path / "run")
    assert not (tmp_path / "run").exists()
