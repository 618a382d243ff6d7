"""What a summary says of who decided and at what cost is what happened: with governors, forks, regions, resumed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from swarm.config_file import resolve
from swarm.monitoring.hub import Hub
from swarm.planning import compose
from swarm.report import aggregates, deciders, outcome
from swarm.report.page import render
from swarm.runtime.fork import fork
from swarm.runtime.play import play
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.record import RunRecord
from tests.playing import used_pebbles

HERE = RunsOn(local=True)


def played(folder: Path, stop: Callable[[], bool] = lambda: False, **config: Any) -> RunRecord:
    """Runs a config in this process."""
    return Session(HERE, RunFolder(folder), stop=stop, report=False).execute(resolve(config)).record


def forked(folder: Path, at_round: int, changes: tuple[str, ...], to: Path) -> RunRecord:
    """Forks a run and goes on to its end."""
    fork(RunFolder(folder), at_round, changes, RunFolder(to))
    return Session(HERE, RunFolder(to), report=False).resume().record


PRICED: dict[str, Any] = {
    "rounds": 12,
    "population": 16,
    "models": [
        {"name": "dear", "temperament": "value", "usd_per_million_prompt_tokens": 40.0},
        {"name": "cheap", "temperament": "maker", "usd_per_million_prompt_tokens": 1.0},
    ],
    "traders": {"minds": {"dear": 1}},
    "budget": {"run_usd": 0.9},
}


def cost_of(table: pl.DataFrame, model: str, per_million: float) -> float:
    tokens = table.filter(pl.col("model") == model)["prompt_tokens"].sum()
    return float(tokens) * per_million / 1e6


def test_a_cheaper_model_is_billed_where_it_answered_everywhere() -> None:
    hub = Hub(compose(resolve(PRICED)).run, "one process", Path())
    record = play(resolve(PRICED), hub).record
    usd, tokens = record.summary["tokens"]["usd"], record.tables["tokens"]
    assert set(tokens["model"]) == {"dear", "cheap"}
    assert usd["dear"] == pytest.approx(cost_of(tokens, "dear", 40.0), abs=1e-6)
    assert usd["cheap"] == pytest.approx(cost_of(tokens, "cheap", 1.0), abs=1e-6)
    assert usd["cheap"] > 0
    metrics = {
        sample.labels["model"]: sample.value
        for family in hub.collect()
        for sample in family.samples
        if sample.name == "swarm_cost_dollars_total"
    }
    assert metrics == pytest.approx(usd, abs=1e-6)
    assert record.summary["budget"]["spent_usd"] == pytest.approx(sum(usd.values()), abs=1e-6)
    assert record.summary["answered_by"]["dear"]["cheap"] == tokens.filter(pl.col("model") == "cheap")["turns"].sum()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("abroad", ["own", "arbitrage"])
def test_the_figures_of_all_regions_are_the_sum_of_each(tmp_path: Path, seed: int, abroad: str) -> None:
    regions = {"count": 3, "travellers": 6, "abroad": abroad}
    budget = {"run_usd": 0.3 * (1 + 2 * (seed % 3))}
    joint = played(tmp_path / "run", **{**PRICED, "seed": seed, "population": 30, "regions": regions, "budget": budget})
    each = [RunFolder(tmp_path / "run").region(name).read_record() for name in joint.summary["regions"]["names"]]
    assert_sums(joint, each)
    assert joint.summary["tokens"]["prompt"] > 0


def assert_sums(joint: RunRecord, each: list[RunRecord]) -> None:
    """Holds the figures of a run of several regions against those of its regions."""
    for key in ("trades", "fills", "volume_lots", "late_turns"):
        assert joint.summary[key] == sum(one.summary[key] for one in each), key
    for kind in ("prompt", "completion", "cached_prompt", "shared_prompt"):
        assert joint.summary["tokens"][kind] == sum(one.summary["tokens"][kind] for one in each), kind
    for model, usd in joint.summary["tokens"]["usd"].items():
        assert usd == pytest.approx(sum(one.summary["tokens"]["usd"][model] for one in each), abs=1e-5), model
    for key in ("decision_errors", "repaired_replies", "order_rejections", "late_turns_by_mind", "pruned_messages"):
        assert joint.summary[key] == summed(one.summary[key] for one in each), key
    assert joint.summary.get("answered_by", {}) == {
        mind: summed(one.summary.get("answered_by", {}).get(mind, {}) for one in each)
        for mind in joint.summary.get("answered_by", {})
    }
    for table, by, columns in (
        ("trades", ["round", "good", "buyer_mind", "seller_mind"], ["quantity_lots"]),
        ("tokens", ["round", "model"], ["turns", "calls", "prompt_tokens", "completion_tokens"]),
        ("decisions", ["round", "mind"], ["prompt_tokens", "completion_tokens", "steps"]),
    ):
        parts = pl.concat(one.tables[table] for one in each if one.tables[table].width)
        total = parts.group_by(by).agg(pl.col(columns).sum()).sort(by)
        assert joint.tables[table].group_by(by).agg(pl.col(columns).sum()).sort(by).equals(total), table


def summed(counts: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in counts:
        for key, n in one.items():
            found[key] = found.get(key, 0) + n
    return dict(sorted(found.items()))


FORKED: dict[str, Any] = {
    "name": "past",
    "seed": 3,
    "rounds": 12,
    "population": 20,
    "models": [
        {"name": "calm", "temperament": "value"},
        {"name": "tiny", "engine": "embedded", "temperament": "maker"},
    ],
    "traders": {"minds": {"calm": 1, "tiny": 1}},
    "scenario": {"name": "wood", "shocks": [{"kind": "blight", "round": 2, "good": "berries"}]},
}


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("past") / "run"
    played(folder, **FORKED)
    return folder


def test_a_fork_that_changes_the_minds_tells_who_decided_in_which_rounds(past: Path, tmp_path: Path) -> None:
    record = forked(past, 5, ("traders.minds={zip: 1}", "seed=9", "models=[]"), tmp_path / "fork")
    summary = record.summary
    first, second = summary["parts"]
    assert (first["first_round"], first["last_round"], first["seed"], first["minds"]) == (
        1,
        5,
        3,
        {"calm": 10, "tiny": 10},
    )
    assert (second["first_round"], second["last_round"], second["seed"], second["minds"]) == (6, 12, 9, {"zip": 20})
    assert deciders.seed_told(summary) == "3 to round 5, then 9"
    assert deciders.nature(summary, "tiny") == "tiny embedded model"
    assert deciders.nature(summary, "calm") == "scripted policy"
    (line,) = deciders.forks_told(summary)
    assert "a fork of past" in line
    assert "round 5" in line
    assert "traders.minds={zip: 1}" in line
    said = " ".join(outcome.lines(summary))
    assert line in said
    assert "in rounds 1 to 5 of 20 traders 10 were scripted policies" in said
    assert "in rounds 6 to 12 the traders were baseline rules" in said
    page = render(record)
    assert "a fork of past" in page
    assert "3 to round 5, then 9" in page


def test_profit_in_a_fork_is_of_the_mind_that_decided_when_it_was_made(past: Path, tmp_path: Path) -> None:
    record = forked(past, 5, ("traders.minds={zip: 1}",), tmp_path / "fork")
    traders = record.tables["traders"]
    wealth = {at: int(traders.filter(pl.col("round") == at)["wealth_cents"].to_numpy().sum()) for at in (0, 5, 12)}
    by_mind = aggregates.profits(record).group_by("mind").agg(pl.col("profit").sum())
    profit: Mapping[str, float] = dict(by_mind.iter_rows())
    assert profit["calm"] + profit["tiny"] == pytest.approx((wealth[5] - wealth[0]) / 100 + used_pebbles(record, 1, 5))
    assert profit["zip"] == pytest.approx((wealth[12] - wealth[5]) / 100 + used_pebbles(record, 6, 12))
    assert aggregates.by_trader(aggregates.profits(record)).height == 20
    decided = record.tables["decisions"]
    assert set(decided.filter(pl.col("round") <= 5)["mind"]) == {"calm", "tiny"}
    assert decided.filter(pl.col("round") > 5).is_empty()


def test_prices_and_shocks_of_a_fork_hold_from_its_round_on(past: Path, tmp_path: Path) -> None:
    changes = (
        "models.0.usd_per_million_prompt_tokens=10",
        "scenario.shocks=[{kind: blight, round: 2, good: honey}, {kind: blight, round: 8, good: honey}]",
    )
    record = forked(past, 5, changes, tmp_path / "fork")
    tokens = record.tables["tokens"].filter((pl.col("model") == "calm") & (pl.col("round") > 5))
    assert record.summary["tokens"]["usd"] == {"calm": pytest.approx(float(tokens["prompt_tokens"].sum()) * 10 / 1e6)}
    assert [(shock["good"], shock["first_round"]) for shock in record.summary["shocks"]] == [
        ("berries", 2),
        ("honey", 8),
    ]


def test_a_resumed_run_says_of_no_recorded_round_how_long_it_took(tmp_path: Path) -> None:
    calls = 0

    def stop_after_five() -> bool:
        nonlocal calls
        calls += 1
        return calls > 5

    folder = tmp_path / "run"
    played(folder, stop_after_five, **FORKED)
    record = Session(HERE, RunFolder(folder), report=False).resume().record
    rounds, decided = record.tables["rounds"], record.tables["decisions"]
    assert rounds.filter(pl.col("duration_s").is_null())["round"].to_list() == [1, 2, 3, 4, 5]
    assert set(decided.filter(pl.col("latency_s").is_null())["round"]) == {1, 2, 3, 4, 5}
    timed = rounds["duration_s"].drop_nulls()
    assert record.summary["seconds_per_round"]["p50"] == pytest.approx(timed.median(), abs=1e-6)
