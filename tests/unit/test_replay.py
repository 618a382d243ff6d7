"""Replay: a run comes to its recorded history again, and what was changed, torn or left out is found and named."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from swarm.config_file import resolve
from swarm.errors import JournalError
from swarm.llm import engines
from swarm.llm.config import ModelConfig
from swarm.llm.protocol import MAX_REPLY_CHARS, ModelClient, ModelReply, ModelRequest, TokenUsage
from swarm.planning import compose, composed
from swarm.runtime.play import play
from swarm.simulation.journal import JournalReader, JournalWriter
from swarm.simulation.loop import Interrupted
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import Recorder, RunRecord
from swarm.simulation.replay import ReplayResult, replay
from swarm.simulation.traders import Gathered, TradersPort

ROUNDS = 6
CONFIG: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "rounds": ROUNDS,
    "population": 15,
    "models": [
        {"name": "a", "temperament": "value"},
        {"name": "b", "temperament": "momentum", "fault_rate": 0.2},
    ],
    "traders": {
        "minds": {"a": 2, "b": 2, "desk": 1, "zi_c": 1, "zip": 1, "truthful": 1},
        "desks": [{"name": "desk", "model": "b"}],
    },
    "scenario": {
        "name": "wood",
        "shocks": [
            {"kind": "mania", "round": 1, "rounds": 2, "good": "acorns"},
            {"kind": "venture", "round": 2, "rounds": 2, "good": "honey"},
        ],
    },
}
Clients = Callable[[ModelConfig], ModelClient]


def new_plan(record: dict[str, Any]) -> RunPlan:
    return compose(resolve(record)).run


def run(folder: Path, stop_after: int = ROUNDS, clients: Clients = engines.in_process) -> tuple[str, RunRecord]:
    calls = 0

    def should_stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > stop_after

    config = resolve(CONFIG)
    played = play(config, clients={m.name: clients(m) for m in config.models}, journals_in=folder, stop=should_stop)
    assert played.rounds == min(stop_after, ROUNDS)
    return played.journal_sha256, played.record


def replayed(path: Path, *watchers: Recorder) -> ReplayResult:
    return replay(path, composed, watchers)


def rechained(path: Path, records: list[Any]) -> Path:
    """A journal of other records whose chain is in order, as somebody would write it who wants to deceive."""
    other = path.with_suffix(f".{len(list(path.parent.iterdir()))}")
    with JournalWriter(other) as writer:
        for record in records:
            writer.append(record)
    return other


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run(folder)
    return folder / "journal.swarm"


def test_a_run_replays_to_the_same_hash(tmp_path: Path) -> None:
    sha256, _ = run(tmp_path)
    result = replayed(tmp_path / "journal.swarm")
    assert result.holds
    assert result.recorded_sha256 == result.replayed_sha256 == sha256
    assert (result.rounds, result.mismatch, result.torn_bytes, result.unfinished_records) == (ROUNDS, "", 0, 0)


def test_two_runs_of_a_seed_write_the_same_bytes_and_another_seed_does_not(tmp_path: Path, journal: Path) -> None:
    run(tmp_path)
    assert (tmp_path / "journal.swarm").read_bytes() == journal.read_bytes()
    assert play(resolve(CONFIG | {"seed": 4})).journal_sha256 != JournalReader(journal).sha256


Records = list[Any]


def of_kind(records: Records, kind: str, nth: int = 0) -> int:
    return [i for i, record in enumerate(records) if record[0] == kind][nth]


def texts_of(record: list[Any]) -> list[Any]:
    """The replies in a record of decisions."""
    texts = record[2][1] if isinstance(record[2], list) else record[2]["text"]
    assert isinstance(texts, list)
    return texts


def change_reply(records: Records) -> int:
    """Somebody bids a tick more than its model said; shows where the orders that were made of it stand."""
    index = of_kind(records, "Decided", 2)
    texts = texts_of(records[index])
    row = next(i for i, text in enumerate(texts) if '"price": 2' in text)
    texts[row] = texts[row].replace('"price": 2', '"price": 3', 1)
    assert json.loads(texts[row])
    return index + 1


def change_baseline_order(records: Records) -> int:
    index = of_kind(records, "Decided", 2)
    change_first(records[index][3], 1 + 4)
    return index + 1


def change_first(columns: list[Any], index: int) -> None:
    """Change the first number of a packed column; the length of the columns comes before them."""
    columns[index] = bytes([columns[index][0] ^ 1]) + columns[index][1:]


def change_price(records: Records) -> int:
    index = of_kind(records, "SubmitOrders", 3)
    change_first(records[index][3], 1 + 4)
    return index


def change_priority(records: Records) -> int:
    index = of_kind(records, "SubmitOrders", 1)
    change_first(records[index][3], 1 + 6)
    return index


def change_endowment(records: Records) -> int:
    index = of_kind(records, "Transfer")
    records[index][6][0] += 100
    return index


def change_reference(records: Records) -> int:
    index = of_kind(records, "MoveReference")
    records[index][4] += 1
    return index


def change_state_hash(records: Records) -> int:
    index = of_kind(records, "RoundEnded", 4)
    records[index][2] = "0" * 64
    return index


def change_config(records: Records) -> int:
    records[0][4]["seed"] += 1
    return 0


def change_digest(records: Records) -> int:
    records[0][3] = "0" * 64
    return 0


def leave_out_a_shock(records: Records) -> int:
    index = of_kind(records, "MoveReference")
    del records[index]
    return index


def double_a_command(records: Records) -> int:
    index = of_kind(records, "CloseRound", 2)
    records.insert(index, records[index])
    return index + 1


@pytest.mark.parametrize(
    "change",
    [
        change_reply,
        change_baseline_order,
        change_price,
        change_priority,
        change_endowment,
        change_reference,
        change_state_hash,
        change_config,
        change_digest,
        leave_out_a_shock,
        double_a_command,
    ],
)
def test_what_was_changed_in_a_rechained_journal_is_found_and_named(
    journal: Path, change: Callable[[Records], int]
) -> None:
    records = list(JournalReader(journal))
    index = change(records)
    result = replayed(rechained(journal, records))
    assert not result.holds
    assert result.mismatch.startswith(f"record {index} is a {records[index][0]!r} in the journal and")


def test_a_thought_that_was_changed_changes_the_hash(journal: Path) -> None:
    records = list(JournalReader(journal))
    texts = texts_of(records[of_kind(records, "Decided")])
    texts[0] = texts[0].replace('"thought": "', '"thought": "hm, ', 1)
    reader, other = JournalReader(journal), JournalReader(rechained(journal, records))
    assert len(list(reader)) == len(list(other))
    assert reader.sha256 != other.sha256


def test_any_record_left_out_doubled_or_swapped_is_found(tmp_path: Path) -> None:
    rounds = 2
    run(tmp_path, stop_after=rounds)
    records = list(JournalReader(tmp_path / "journal.swarm"))
    for index in range(len(records)):
        without = records[:index] + records[index + 1 :]
        doubled = records[: index + 1] + records[index:]
        swapped = [*records[:index], *records[index : index + 2][::-1], *records[index + 2 :]]
        for other in (without, doubled, swapped):
            if other == records or (other == records[: len(other)] and other[-1][0] != "RoundEnded"):
                continue
            try:
                result = replayed(rechained(tmp_path / "journal.swarm", other))
            except JournalError as error:
                assert "\n" not in str(error)
            else:
                last_round_lost = result.rounds == rounds - 1 and result.unfinished_records
                assert not result.holds or last_round_lost, index
                assert result.mismatch or last_round_lost, index


@pytest.mark.parametrize("rounds", [0, 1, ROUNDS - 1])
def test_an_interrupted_run_replays_as_far_as_it_went(tmp_path: Path, rounds: int) -> None:
    sha256, _ = run(tmp_path, stop_after=rounds)
    result = replayed(tmp_path / "journal.swarm")
    assert result.holds
    assert (result.recorded_sha256, result.rounds, result.unfinished_records) == (sha256, rounds, 0)


def test_a_run_interrupted_while_it_waits_for_decisions_keeps_its_complete_rounds(tmp_path: Path) -> None:
    class Impatient:
        def __init__(self, port: TradersPort) -> None:
            self.port = port

        def decide(self, seen: Any) -> Gathered:
            if seen.public.round == 3:
                raise Interrupted
            return self.port.decide(seen)

    assert play(resolve(CONFIG), journals_in=tmp_path, traders=lambda _, port: Impatient(port)).rounds == 2
    result = replayed(tmp_path / "journal.swarm")
    assert (result.holds, result.rounds) == (True, 2)


def test_a_torn_journal_replays_to_its_last_complete_round(tmp_path: Path, journal: Path) -> None:
    content = journal.read_bytes()
    shas = {k: run(tmp_path / f"{k}", stop_after=k)[0] for k in range(ROUNDS + 1)}
    sizes = {k: (tmp_path / f"{k}" / "journal.swarm").stat().st_size for k in range(ROUNDS + 1)}
    cuts = [*range(sizes[0], len(content), 3_001), *(sizes[k] + d for k in range(1, ROUNDS) for d in (-1, 0, 1, 50))]
    for cut in cuts:
        (tmp_path / "torn").write_bytes(content[:cut])
        result = replayed(tmp_path / "torn")
        complete = max(k for k, size in sizes.items() if size <= cut)
        assert result.holds
        assert (result.rounds, result.recorded_sha256) == (complete, shas[complete])
        assert (result.torn_bytes > 0 or result.unfinished_records > 0) == (cut > sizes[complete])


def test_a_journal_torn_before_the_first_round_replays_its_opening(tmp_path: Path, journal: Path) -> None:
    records = list(JournalReader(journal))
    opening = of_kind(records, "Decided")
    for length in range(1, opening + 1):
        result = replayed(rechained(journal, records[:length]))
        assert result.rounds == 0
        assert result.holds == (length == opening)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "ends before the run's first record"),
        ([["RoundEnded", 1, "x"]], "record 0: RoundEnded: a run begins once"),
        ([5], "record 0: the record: expected a list"),
        ([[]], "record 0: the kind: expected one of RunBegan"),
        ([{"a": 1}], "record 0: the record: expected a list"),
        ([["run", [1, "x", {}]]], "journal format 1; this version of swarm reads 2"),
        ([["RunBegan", 99]], "journal format 99"),
        ([["RunBegan", 2, "1", "x"]], "record 0: RunBegan: expected 4 fields"),
        ([["RunBegan", 2, "1", {}, "x"]], "record 0: RunBegan: config_sha256: expected a text"),
    ],
)
def test_a_journal_of_something_else_gives_one_clear_line(tmp_path: Path, records: Records, message: str) -> None:
    path = rechained(tmp_path / "journal.swarm", records)
    with pytest.raises(JournalError, match=message) as error:
        replayed(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


CLOCKED = {"decisions": ["latency_s"], "rounds": ["duration_s", "decide_s", "clear_s"]}


def test_tables_and_summary_are_rebuilt_from_the_journal_but_for_what_a_clock_said(tmp_path: Path) -> None:
    _, original = run(tmp_path)
    recorder = Recorder()
    rebuilt = recorder.finish(replayed(tmp_path / "journal.swarm", recorder).closing, {})
    assert original.tables.keys() == rebuilt.tables.keys()
    for name, table in original.tables.items():
        assert table.height > 0
        clocked = CLOCKED.get(name, [])
        assert set(clocked) <= set(table.columns)
        left, right = table.drop(clocked), rebuilt.tables[name].drop(clocked)
        assert left.schema == right.schema
        assert left.equals(right, null_equal=True), name
    for summary in (original.summary, rebuilt.summary):
        del summary["seconds_per_round"]
        del summary["journal"]["syncs"], summary["journal"]["sync_s"]
    # Where a run ran, and what it lost there, is no part of its history.
    for of_the_session in ("finished", "layout", "lost", "market_outages_s", "runs_on"):
        del original.summary[of_the_session]
    assert original.summary == rebuilt.summary
    assert original.summary["decision_errors"]
    trades = original.tables["trades"]
    assert original.summary["trades"] == trades.height
    assert original.summary["fills"] == 2 * trades.height
    assert original.summary["volume_lots"] == trades["quantity_lots"].sum()
    assert isinstance(original.tables["trades"], pl.DataFrame)


NASTY = (
    "half a pair \ud800",
    json.dumps({"thought": "\ud800", "orders": [], "gossip": "\udfff"}),
    "x" * 1_000_000,
    "[" * 100_000,
    "\x00",
    "",
)


class Nasty:
    """An engine whose replies are as bad as can be."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        await asyncio.sleep(0)
        return [
            ModelReply(NASTY[i % len(NASTY)], TokenUsage(500, 50), "error" if r.seed % 3 == 0 else "stop", 0.1)
            for i, r in enumerate(requests)
        ]


def test_a_run_outlives_any_reply_keeps_it_short_and_replays(tmp_path: Path) -> None:
    sha256, record = run(tmp_path, clients=Nasty)
    recorder = Recorder()
    result = replayed(tmp_path / "journal.swarm", recorder)
    assert (result.holds, result.replayed_sha256) == (True, sha256)
    rebuilt = recorder.finish(result.closing, {})
    assert record.summary["decision_errors"].keys() == {"engine", "not_json", "too_long", "wrong_shape"}
    assert rebuilt.tables["decisions"]["error"].to_list() == record.tables["decisions"]["error"].to_list()
    kept = [text for r in JournalReader(tmp_path / "journal.swarm") if r[0] == "Decided" for text in texts_of(r)]
    assert max(map(len, kept)) == MAX_REPLY_CHARS + 1
    assert np.all(record.tables["decisions"]["orders"].to_numpy() == 0)
