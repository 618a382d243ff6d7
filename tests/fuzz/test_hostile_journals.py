"""Journals and snapshots whose hashes are right and whose content is not: each ends in one line."""

import copy
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgpack
import pytest

from swarm.config_file import resolve
from swarm.errors import JournalError, SwarmError
from swarm.planning import compose, composed
from swarm.runtime.play import play
from swarm.simulation import history
from swarm.simulation.entries import KINDS
from swarm.simulation.journal import JournalReader, JournalWriter
from swarm.simulation.market import Market
from swarm.simulation.plan import Fork, RunPlan, WorldPlan
from swarm.simulation.record import Recorder
from swarm.simulation.replay import replay
from swarm.simulation.snapshot import Snapshot, SnapshotFolder
from swarm.simulation.traders import RecordedTraders, ResumedTraders
from tests.playing import Phased

CONFIG: dict[str, Any] = {
    "seed": 11,
    "rounds": 3,
    "population": 6,
    "models": [{"name": "m", "temperament": "maker", "usd_per_million_prompt_tokens": 1.0}],
    "traders": {"minds": {"m": 2, "zip": 1}, "standing": {"max_rounds": 2}},
    "budget": {"run_tokens": 9_000},
    "scenario": {"name": "wood", "shocks": [{"kind": "mania", "round": 1, "rounds": 1, "good": "honey"}]},
}
Path_ = tuple[Any, ...]

deep: list[Any] = []
for _ in range(200):
    deep = [deep]

WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1,
    999,
    -(1 << 63),
    (1 << 63) - 1,
    (1 << 64) - 1,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\x1b[31m\n",
    b"",
    b"\xff" * 9,
    [],
    [0],
    [1, "x"],
    [[1], [2, 3]],
    [999] * 3,
    [-1],
    {},
    {"a": 1},
    msgpack.Timestamp(1, 1),
    msgpack.ExtType(5, b"x"),
    deep,
)
"""Values of every type that msgpack has, and at the edges of each."""


ONE_OF = pytest.mark.parametrize("one_of", [4, pytest.param(1, marks=pytest.mark.slow)])
"""How many of the cases are tried: one of four in every run, spread over all fields and all values, and else all."""

FACTS = {("RunBegan", 2), ("Forked", 2), ("Forked", 3), ("Decided", 2), ("Decided", 4), ("Decided", 5)}
"""What was so and follows from nothing else in the journal: with another value it is another history, and as good."""


def plan_of(config: dict[str, Any]) -> RunPlan:
    return compose(resolve(config)).run


@cache
def recorded(folder: Path) -> list[Any]:
    """The records of a run of one market that was forked after its second round."""
    path = folder / "journal.swarm"
    future = plan_of(CONFIG | {"rounds": 4, "market": {"rationing": "pro_rata"}})
    plan = replace(plan_of(CONFIG), fork=Fork(2, "0" * 64, ("rounds=4",), future))
    played = play(
        resolve(CONFIG),
        plan=WorldPlan.of(plan),
        traders=lambda plan, _: Phased(plan),
        new_market=lambda plan, _: Market(replace(plan, snapshot_rounds=2), path, snapshots_in_background=False),
    )
    assert played.rounds == 4
    return list(JournalReader(path))


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return recorded(tmp_path_factory.mktemp("hostile"))


def rechained(path: Path, records: list[Any]) -> Path:
    path.unlink(missing_ok=True)
    path.with_name("journal.head").unlink(missing_ok=True)
    with JournalWriter(path) as writer:
        for record in records:
            writer.append_payload(msgpack.packb(record))
    path.with_name("journal.head").unlink(missing_ok=True)
    return path


def field_paths(value: Any, depth: int = 6) -> Iterator[Path_]:
    """Where a value can be changed: itself, and in each list its first and last member, in each map every key."""
    yield ()
    if depth and isinstance(value, list):
        for i in sorted({0, len(value) - 1}) if len(value) > 9 else range(len(value)):
            yield from ((i, *rest) for rest in field_paths(value[i], depth - 1))
    elif depth and isinstance(value, dict):
        for key in value:
            yield from ((key, *rest) for rest in field_paths(value[key], depth - 1))


def at(value: Any, where: Path_) -> Any:
    for key in where:
        value = value[key]
    return value


def changed(records: list[Any], number: int, where: Path_, wrong: Any) -> list[Any]:
    others = list(records)
    others[number] = copy.deepcopy(records[number])
    if not where:
        others[number] = wrong
    else:
        at(others[number], where[:-1])[where[-1]] = wrong
    return others


def resumed(path: Path) -> str:
    past = history.read(path)
    return play(
        resolve(past.config_record),
        plan=history.recorded_plan([past], composed),
        traders=lambda plan, _: ResumedTraders(
            RecordedTraders(plan.shards_by_round(), past.decisions), Phased(plan.last)
        ),
        new_market=lambda plan, _: Market(plan, path),
    ).journal_sha256


def ends_well(path: Path, *, also_resume: bool) -> str:
    """What became of a replay: it says so if it does not hold, or raises one line; the same for whoever goes on."""
    try:
        result = replay(path, composed, (Recorder(),))
        became = "holds" if result.holds else "mismatch"
        assert result.holds or result.mismatch
    except SwarmError as error:
        became = one_line(path, error)
    if also_resume:
        copied = path.with_name("resumed.swarm")
        shutil.copyfile(path, copied)
        try:
            resumed(copied)
        except SwarmError as error:
            one_line(path, error)
        copied.with_name("resumed.head").unlink(missing_ok=True)
    restarted(path)
    return became


def restarted(path: Path) -> None:
    """A market that comes back after a crash takes the journal as it is, or says in one line why not."""
    try:
        market = Market(plan_of(CONFIG).market, path)
        try:
            market.catch_up(market.recorded)
        finally:
            market.close()
    except SwarmError as error:
        one_line(path, error)
    path.with_name("journal.head").unlink(missing_ok=True)


def one_line(path: Path, error: SwarmError) -> str:
    text = str(error)
    assert text.isprintable(), text
    assert len(text) < 700, text
    return f"{type(error).__name__}: {text.removeprefix(str(path))}"


def test_the_records_have_every_kind_but_those_of_parties(records: list[Any]) -> None:
    assert {record[0] for record in records} == set(KINDS) - {"Acted", "Restrict"}


def cases(records: list[Any]) -> Iterator[tuple[int, Path_]]:
    """Every field in the first record of each kind, and in the second of those that there are several of."""
    seen: dict[str, int] = {}
    for number, record in enumerate(records):
        seen[record[0]] = seen.get(record[0], 0) + 1
        if seen[record[0]] == 1 or (seen[record[0]] == 2 and record[0] in ("Decided", "SubmitOrders")):
            # A config is mostly of keys that its own schema looks after.
            depth = 2 if record[0] in ("RunBegan", "Forked") else 6
            for where in field_paths(record, depth):
                yield number, where


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on a sync, and there would be thousands."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@ONE_OF
def test_whatever_stands_anywhere_in_a_journal_ends_in_one_line(
    records: list[Any], tmp_path: Path, one_of: int
) -> None:
    path, tried, named = tmp_path / "journal.swarm", 0, 0
    for turn, (number, where) in enumerate(cases(records)):
        for i, wrong in enumerate(WRONG):
            # Each field gets a third of the values, in turn, and the members of columns, which are read alike, fewer.
            if (turn + i) % (one_of * (9 if len(where) > 2 else 3)):
                continue
            others = changed(records, number, where, wrong)
            became = ends_well(rechained(path, others), also_resume=i % 7 == 0)
            same = msgpack.packb(others) == msgpack.packb(records)
            if same or became == "holds":
                assert became == "holds", became
                assert same or (records[number][0], *where)[:2] in FACTS, (number, where, wrong)
            named += f"record {number}: " in became
            tried += 1
    assert named > tried // 2


@pytest.mark.parametrize(
    ("kind", "where", "wrong", "field"),
    [
        ("Decided", (2,), "x", "turns"),
        ("Decided", (2, "trader", 0), 999, "turns.trader"),
        ("Decided", (2, "trader", 0), 1 << 63, "turns.trader"),
        ("Decided", (2, "models", 0), "gpt", "turns.models"),
        ("Decided", (2, "calls", "prompt_tokens", 0), -5, "prompt_tokens"),
        ("Decided", (2, "text"), [], "turns.text"),
        ("Decided", (3, 0), -3, "baseline_orders"),
        ("Decided", (4,), [999], "late"),
        ("Decided", (5,), [1], "pace"),
        ("Decided", (1,), 7, "round"),
        ("Transfer", (3,), [[1], [2, 3]], "source"),
        ("Transfer", (3,), [0], "amount"),
        ("RunBegan", (4,), {"rounds": "x"}, "config"),
        ("RunBegan", (4,), {"rounds": float("nan")}, "config.rounds"),
        ("RunBegan", (4,), deep, "config"),
        ("Forked", (1,), 1, "round"),
        ("Forked", (6,), ["x"], "mechanisms"),
        ("RoundEnded", (1,), 2, "round"),
    ],
)
def test_the_line_names_the_record_and_the_field(
    records: list[Any], tmp_path: Path, kind: str, where: Path_, wrong: Any, field: str
) -> None:
    number = next(i for i, record in enumerate(records) if record[0] == kind)
    path = rechained(tmp_path / "journal.swarm", changed(records, number, where, wrong))
    with pytest.raises(JournalError) as error:
        history.recorded_plan([history.read(path)], composed)
    assert f"record {number}: {kind}: " in str(error.value)
    assert field in str(error.value)


@ONE_OF
def test_records_that_are_left_out_doubled_or_swapped_end_in_one_line(
    records: list[Any], tmp_path: Path, one_of: int
) -> None:
    path = tmp_path / "journal.swarm"
    for i in range(0, len(records), one_of):
        for others in (
            records[:i] + records[i + 1 :],
            records[: i + 1] + records[i:],
            [*records[:i], *records[i : i + 2][::-1], *records[i + 2 :]],
        ):
            ends_well(rechained(path, others), also_resume=i % 9 == 0)


@pytest.fixture
def with_snapshots(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    recorded(tmp_path / "run")
    return tmp_path / "run" / "journal.swarm"


@ONE_OF
def test_whatever_a_snapshot_holds_it_is_passed_over_and_counted(with_snapshots: Path, one_of: int) -> None:
    path = with_snapshots
    plan = plan_of(CONFIG)
    file = SnapshotFolder(path).path(4)
    good = file.read_bytes()
    content = msgpack.unpackb(good[40:])

    def begun() -> Market:
        market = Market(plan.market, path)
        market.catch_up(market.recorded)
        market.close()
        return market

    assert begun().snapshot_stats.began_after_round == 4
    state = begun().exchange.state_hash()
    for turn, where in enumerate(field_paths(content)):
        for wrong in WRONG[turn % one_of :: one_of]:
            other = changed([content], 0, where, wrong)[0]
            if other == content:
                continue
            payload = msgpack.packb(other)
            file.write_bytes(good[:8] + hashlib.sha256(payload).digest() + payload)
            try:
                market = begun()
            except JournalError as error:
                # A length and a hash that could be those of a longer journal say that this one has lost something.
                assert where[:1] == (1,), (where, wrong)
                assert "durable at the end of round" in one_line(path, error)
                continue
            assert market.exchange.state_hash() == state
            began = (market.snapshot_stats.began_after_round, market.snapshot_stats.passed_over)
            assert began in ((2, 1), (4, 0)), (where, wrong, began)
            if began == (4, 0):
                # What no state depends on, as the hash of the state in the journal shows.
                assert where[:1] in ((2,), (3,), (4,)), (where, wrong)


def test_a_snapshot_of_another_form_is_none() -> None:
    assert Snapshot.unpacked(b"") is None
