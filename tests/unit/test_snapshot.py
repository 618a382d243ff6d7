"""A market that starts from a snapshot comes to the state its journal leads to, whatever became of the snapshot."""

import os
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.config_file import resolve
from swarm.errors import JournalError
from swarm.market.commands import CloseRound, Command, MoveReference, from_record
from swarm.market.events import Event
from swarm.market.exchange import Exchange
from swarm.planning import compose
from swarm.runtime.play import play
from swarm.simulation import snapshot
from swarm.simulation.entries import RunBegan
from swarm.simulation.journal import JournalReader, JournalWriter
from swarm.simulation.journal_disk import head_path
from swarm.simulation.market import Market, MarketPlan, OutOfStep
from swarm.simulation.plan import Fork, RunPlan
from swarm.simulation.snapshot import Snapshot, SnapshotFolder

CONFIG: dict[str, Any] = {
    "seed": 5,
    "rounds": 5,
    "population": 6,
    "traders": {"minds": {"zip": 2, "zi_c": 1}},
    "scenario": {"name": "wood", "shocks": [{"kind": "run", "round": 2, "good": "honey"}]},
}


def new_plan(**changes: Any) -> RunPlan:
    return compose(resolve(CONFIG | changes)).run


@cache
def market_plan(every: int = 2) -> MarketPlan:
    return replace(new_plan().market, snapshot_rounds=every)


def opened(path: Path, every: int = 2) -> Market:
    return Market(market_plan(every), path, snapshots_in_background=False)


def run(path: Path, every: int, in_background: bool = False) -> Market:
    """A market whose run is over, with a snapshot after so many rounds."""

    market = Market(market_plan(every), path, snapshots_in_background=in_background)
    play(resolve(CONFIG), new_market=lambda *_: market)
    return market


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of five rounds with snapshots of the second and the fourth."""
    path = tmp_path_factory.mktemp("complete") / "journal.swarm"
    assert run(path, every=2).snapshot_stats.written == 2
    return path


@pytest.fixture
def path(complete: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    shutil.copytree(complete.parent, tmp_path / "run")
    return tmp_path / "run" / complete.name


def file(path: Path, round_: int) -> Path:
    return SnapshotFolder(path).path(round_)


def recovered(path: Path) -> Market:
    """A market that has come to the end of its journal after a restart."""
    market = opened(path)
    market.catch_up(market.recorded)
    market.close()
    return market


def final_hash(path: Path) -> str:
    rounds = [record[1:] for record in JournalReader(path) if record[0] == "RoundEnded"]
    assert rounds[-1][0] == CONFIG["rounds"]
    return str(rounds[-1][1])


def ends_of_rounds(path: Path) -> list[int]:
    """The indices behind the records that end rounds."""
    return [index for index, record in enumerate(JournalReader(path), start=1) if record[0] == "RoundEnded"]


def test_a_lost_market_begins_after_its_newest_snapshot(path: Path) -> None:
    handled: list[Command] = []
    market = opened(path)

    def listening(command: Command) -> Event:
        handled.append(command)
        return Exchange.handle(market.exchange, command)

    begin = market._begin

    def begin_and_listen(index: int) -> None:
        begin(index)
        market.exchange.handle = listening  # type: ignore[method-assign]

    market._begin = begin_and_listen  # type: ignore[method-assign]
    market.catch_up(market.recorded)
    assert market.exchange.state_hash() == final_hash(path)
    assert market.snapshot_stats.began_after_round == 4
    assert [c.round for c in handled if isinstance(c, CloseRound)] == [5]
    assert len(market._recorded) == market.recorded - ends_of_rounds(path)[3]
    market.close()


def test_the_first_message_decides_how_far_back_a_market_begins(path: Path) -> None:
    ends = ends_of_rounds(path)
    for index, round_ in ((0, 0), (ends[1] - 1, 0), (ends[1], 2), (ends[3] - 1, 2), (ends[3], 4), (ends[4], 4)):
        market = opened(path)
        market.catch_up(index)
        assert market.snapshot_stats.began_after_round == round_, index
        other = Market(market_plan(), None)
        for record_index, record in enumerate(JournalReader(path)):
            if record_index < index and record[0] not in ("RunBegan", "Decided", "RoundEnded"):
                other.exchange.handle(from_record(record))
        assert market.exchange.state_hash() == other.exchange.state_hash()
        market.close()


def test_a_market_that_began_after_a_snapshot_refuses_what_lies_before(path: Path) -> None:
    market = opened(path)
    market.catch_up(market.recorded)
    with pytest.raises(OutOfStep):
        market.execute([RunBegan(2, "", "", {})], 0)
    market.close()


def test_a_resumed_run_applies_its_journal_from_the_beginning_and_leaves_it_as_it_was(path: Path) -> None:
    before = path.read_bytes()
    market = run(path, every=2)
    assert market.snapshot_stats.began_after_round == 0
    assert path.read_bytes() == before


def test_whether_there_are_snapshots_changes_nothing_in_the_journal(complete: Path, tmp_path: Path) -> None:
    for every in (0, 1, 3):
        run(tmp_path / f"{every}.swarm", every)
        assert (tmp_path / f"{every}.swarm").read_bytes() == complete.read_bytes()
    assert [p.name for p in sorted(tmp_path.glob("*.snapshot"))] == [
        "1-0000004.snapshot",
        "1-0000005.snapshot",
        "3-0000003.snapshot",
    ]


def test_a_snapshot_written_on_a_thread_is_there_when_the_journal_is_closed(tmp_path: Path) -> None:
    assert run(tmp_path / "j.swarm", every=1, in_background=True).snapshot_stats.written == 5
    assert recovered(tmp_path / "j.swarm").snapshot_stats.began_after_round == 5


def test_a_snapshot_cut_at_any_byte_is_passed_over(path: Path) -> None:
    content, expected = file(path, 4).read_bytes(), final_hash(path)
    for cut in range(len(content)):
        file(path, 4).write_bytes(content[:cut])
        folder = SnapshotFolder(path)
        assert [found.round for found in folder.read()] == [2]
        assert folder.stats.passed_over == 1
        if cut % 50 == 0:
            market = recovered(path)
            assert market.exchange.state_hash() == expected
            assert (market.snapshot_stats.began_after_round, market.snapshot_stats.passed_over) == (2, 1)


def test_a_snapshot_with_any_bit_flipped_is_no_snapshot(complete: Path) -> None:
    content = file(complete, 4).read_bytes()
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        assert Snapshot.unpacked(bytes(damaged)) is None
    assert Snapshot.unpacked(content + b"\0") is None


def test_where_all_snapshots_are_damaged_the_journal_is_enough(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for round_ in (2, 4):
        file(path, round_).write_bytes(file(path, round_).read_bytes()[:-1])
    market = recovered(path)
    assert market.exchange.state_hash() == final_hash(path)
    assert market.snapshot_stats.began_after_round == 0
    assert market.snapshot_stats.losses() == {"snapshots_passed_over": 2}
    assert f"{file(path, 4)}: this snapshot is passed over: it is damaged" in caplog.text


def test_a_whole_snapshot_of_another_state_is_passed_over(path: Path) -> None:
    good = Snapshot.unpacked(file(path, 4).read_bytes())
    assert good is not None
    balances = good.exchange["balances"].copy()
    balances[0, 0] += 1
    balances[1, 0] -= 1
    for exchange in ({**good.exchange, "balances": balances}, {"balances": balances}, {**good.exchange, "book": 1}):
        file(path, 4).write_bytes(replace(good, exchange=exchange).packed())
        market = recovered(path)
        assert market.exchange.state_hash() == final_hash(path)
        assert (market.snapshot_stats.began_after_round, market.snapshot_stats.passed_over) == (2, 1)


def test_a_journal_that_is_shorter_than_its_snapshot_halts_and_says_what_to_do(path: Path) -> None:
    content, starts = path.read_bytes(), [offset for offset, _ in JournalReader(path).payloads()]
    head_path(path).unlink()
    path.write_bytes(content[: starts[ends_of_rounds(path)[2]]])
    with pytest.raises(JournalError, match=r"round 4, .*journal-0000004\.snapshot"):
        opened(path)
    # Whoever removes it takes the journal as it is, with the older snapshot.
    file(path, 4).unlink()
    market = opened(path)
    market.catch_up(market.recorded)
    assert market.snapshot_stats.began_after_round == 2
    market.close()


def test_a_journal_of_another_history_than_its_snapshot_halts(path: Path) -> None:
    records = list(JournalReader(path))
    path.unlink()
    with JournalWriter(path) as writer:
        for record in records:
            writer.append(["RoundEnded", 4, "0" * 64] if record[:2] == ["RoundEnded", 4] else record)
    with pytest.raises(JournalError, match=r"history .*round 4"):
        opened(path)


def test_a_disk_that_takes_no_snapshot_stops_nothing(
    complete: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync
    refused: list[int] = []

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def fsync(self, descriptor: int) -> None:
            if len(refused) < 2:
                refused.append(descriptor)
                raise OSError(28, "No space left on device")
            real(descriptor)

    monkeypatch.setattr(snapshot, "os", Refusing())
    market = run(tmp_path / "j.swarm", every=1)
    assert market.snapshot_stats.written == 3
    assert market.snapshot_stats.losses() == {"snapshots_not_written": 2}
    assert (tmp_path / "j.swarm").read_bytes() == complete.read_bytes()
    assert not list(tmp_path.glob("*.part"))
    assert recovered(tmp_path / "j.swarm").snapshot_stats.began_after_round == 5


def test_what_a_killed_writer_left_is_not_read_and_goes_with_the_next_snapshot(path: Path) -> None:
    part = path.with_name("journal-0000006.part")
    part.write_bytes(file(path, 4).read_bytes()[:100])
    other = path.with_name("journal-here-0000001.snapshot")
    other.write_bytes(b"another journal's")
    market = opened(path, every=1)
    market.catch_up(market.recorded)
    market.execute([CloseRound(market.exchange.last_number + 1, 6)])
    market.end_round(6)
    market.close()
    assert sorted(p.name for p in path.parent.glob("journal-*")) == [
        "journal-0000004.snapshot",
        "journal-0000006.snapshot",
        other.name,
    ]


def test_after_a_fork_a_snapshot_goes_by_the_config_of_the_fork(tmp_path: Path) -> None:
    path = tmp_path / "journal.swarm"
    other = new_plan(market={"max_price_ticks": 40, "mechanism": "continuous"})
    market = opened(path, every=1)
    market.execute([RunBegan(2, "", "", {}), MoveReference(1, "shock", 0, 500)])
    market.end_round(1)
    market.execute([Fork(1, "", (), other).entry()])
    market.execute([MoveReference(2, "shock", 1, 5_000)])
    market.end_round(2)
    market.execute([MoveReference(3, "shock", 2, 60_000)])
    market.close()
    assert int(market.exchange.reference_ticks[2]) == 40
    restarted = recovered(path)
    assert restarted.snapshot_stats.began_after_round == 2
    assert restarted.exchange.state_hash() == market.exchange.state_hash()
    assert restarted.plan.config == other.market.config
    assert np.array_equal(restarted.exchange.reference_ticks, market.exchange.reference_ticks)
