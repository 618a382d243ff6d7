"""A journal cut anywhere, or damaged anywhere: what is recovered is a prefix of the history, or the run halts."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swarm.config_file import resolve
from swarm.errors import JournalError, OutputError
from swarm.planning import compose, composed
from swarm.runtime.play import play
from swarm.simulation import history
from swarm.simulation.journal import MAGIC, JournalReader, JournalWriter
from swarm.simulation.journal_disk import DiskFile, head_path
from swarm.simulation.market import Market, MarketPlan
from swarm.simulation.plan import RunPlan
from swarm.simulation.traders import RecordedTraders, ResumedTraders
from tests.playing import Outcomes

CONFIG: dict[str, Any] = {
    "seed": 5,
    "rounds": 3,
    "population": 6,
    "traders": {"minds": {"zip": 2, "zi_c": 1}},
    "scenario": {"name": "wood", "shocks": [{"kind": "run", "round": 2, "good": "honey"}]},
}


def new_plan(record: dict[str, Any]) -> RunPlan:
    return compose(resolve(record)).run


def go_on(path: Path, config: dict[str, Any] = CONFIG, should_stop: Callable[[], bool] = lambda: False) -> str:
    """Start a run, or go on with it from whatever its journal holds."""
    past = history.read(path) if history.begun(path) else None
    decided = past.decisions if past else {}
    return play(
        resolve(past.config_record if past else config),
        plan=history.recorded_plan([past], composed) if past else None,
        traders=lambda plan, port: ResumedTraders(RecordedTraders(plan.shards_by_round(), decided), port),
        new_market=lambda plan, _: Market(plan, path),
        stop=should_stop,
    ).journal_sha256


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("complete") / "journal.swarm"
    go_on(path)
    return path


def sha256(path: Path) -> str:
    reader = JournalReader(path)
    list(reader.payloads())
    return reader.sha256


def borders(path: Path) -> list[int]:
    """Where the frames of a journal begin, and its end."""
    reader = JournalReader(path)
    return [*(offset for offset, _ in reader.payloads()), reader.end]


def states(path: Path) -> list[str]:
    """The state's hash before each record and after the last one."""
    market, found = Market(new_plan(CONFIG).market, None), []
    source = Market(new_plan(CONFIG).market, path)
    for index in range(source.recorded + 1):
        source.catch_up(index)
        found.append(source.exchange.state_hash())
    source.close()
    market.close()
    return found


def test_a_run_goes_on_from_every_record_to_the_same_bytes(complete: Path, tmp_path: Path) -> None:
    content = complete.read_bytes()
    for border in borders(complete):
        path = tmp_path / f"{border}.swarm"
        path.write_bytes(content[:border])
        go_on(path)
        assert path.read_bytes() == content, border


def rewrite(path: Path, content: bytes | bytearray) -> None:
    """Give a file another content in place, which costs a file system less than to empty it first."""
    with path.open("r+b" if path.exists() else "w+b", buffering=0) as file:
        file.write(content)
        file.truncate()


def test_a_crash_at_every_byte_leaves_a_prefix_of_the_history(
    complete: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing here depends on a sync, and there would be some ten thousand.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    content, starts, expected = complete.read_bytes(), borders(complete), states(complete)
    path, plan = tmp_path / "cut.swarm", new_plan(CONFIG).market
    for cut in range(len(MAGIC), len(content) + 1):
        rewrite(path, content[:cut])
        kept = sum(1 for start in starts[1:] if start <= cut)
        reader = JournalReader(path)
        assert sum(1 for _ in reader.payloads()) == kept
        assert (reader.end, reader.torn_bytes) == (starts[kept], cut - starts[kept])
        # The market reads the same records, and the torn tail is gone before it writes.
        market = Market(plan, path)
        assert market.recorded == kept
        if {cut - 1, cut, cut + 1} & set(starts):
            market.catch_up(kept)
            assert market.exchange.state_hash() == expected[kept]
        market.close()
        assert path.read_bytes() == content[: starts[kept]]
        head_path(path).unlink()


def test_a_crash_within_the_first_bytes_leaves_a_run_that_begins_anew(complete: Path, tmp_path: Path) -> None:
    for cut in range(len(MAGIC) + 1):
        path = tmp_path / f"{cut}.swarm"
        path.write_bytes(complete.read_bytes()[:cut])
        go_on(path)
        assert path.read_bytes() == complete.read_bytes()


def halts(plan: MarketPlan, path: Path, content: bytes, starts: list[int], bit: int) -> None:
    """With one bit flipped no market starts, and the error names the frame that the bit lies in."""
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    rewrite(path, damaged)
    with pytest.raises(JournalError) as caught:
        Market(plan, path)
    if bit // 8 >= len(MAGIC):
        start = max(s for s in starts if s <= bit // 8)
        assert f"damaged at byte {start}:" in str(caught.value)
    assert not head_path(path).exists()


def test_a_flipped_bit_in_any_byte_halts_and_names_the_offset(complete: Path, tmp_path: Path) -> None:
    content, starts, plan = complete.read_bytes(), borders(complete), new_plan(CONFIG).market
    for byte in range(len(content)):
        halts(plan, tmp_path / "damaged.swarm", content, starts, 8 * byte + byte % 8)


def test_any_flipped_bit_of_a_small_run_halts_and_names_the_offset(tmp_path: Path) -> None:
    small = CONFIG | {"rounds": 1, "population": 2}
    go_on(tmp_path / "small.swarm", small)
    content, starts = (tmp_path / "small.swarm").read_bytes(), borders(tmp_path / "small.swarm")
    plan = new_plan(small).market
    for bit in range(8 * len(content)):
        halts(plan, tmp_path / "damaged.swarm", content, starts, bit)


def test_lost_records_that_were_durable_are_noticed(complete: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.swarm"
    head_path(path).write_bytes(head_path(complete).read_bytes())
    starts = borders(complete)
    for cut in starts[:-1]:
        path.write_bytes(complete.read_bytes()[:cut])
        with pytest.raises(JournalError, match=f"damaged at byte {cut}: .* that were durable"):
            go_on(path)
        assert path.stat().st_size == cut


def test_another_history_of_the_same_length_is_noticed(complete: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.swarm"
    records = list(JournalReader(complete))
    with JournalWriter(path) as writer:
        for record in [*records[:-1], ["RoundEnded", 3, "0" * 64]]:
            writer.append(record)
    head_path(path).write_bytes(head_path(complete).read_bytes())
    with pytest.raises(JournalError, match="another history"):
        history.read(path)


def test_any_flipped_bit_of_the_head_never_changes_what_is_read(complete: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.swarm"
    path.write_bytes(complete.read_bytes())
    good = head_path(complete).read_bytes()
    for bit in range(8 * len(good)):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        head_path(path).write_bytes(damaged)
        assert sha256(path) == sha256(complete)


def test_a_journal_of_another_config_is_not_gone_on_with(complete: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.swarm"
    path.write_bytes(complete.read_bytes())
    with pytest.raises(JournalError, match="record 0 is a 'RunBegan'"):
        play(resolve(CONFIG | {"seed": 6}), journals_in=tmp_path)
    assert path.read_bytes() == complete.read_bytes()


class Disk(DiskFile):
    """A disk that fails at its n-th write or sync."""

    def __init__(self, path: Path, keep_bytes: int | None, fails_at: int, code: int, partial: bool) -> None:
        super().__init__(path, keep_bytes)
        self.left, self.code, self.partial = fails_at, code, partial
        self.failed = False

    def _step(self) -> bool:
        assert not self.failed, "something was written or synced after a failure"
        self.left -= 1
        self.failed = self.left < 0
        return self.failed

    def write(self, data: bytes) -> None:
        if self._step():
            super().write(data[: len(data) // 2 if self.partial else 0])
            raise OSError(self.code, os.strerror(self.code))
        super().write(data)

    def sync(self) -> None:
        if self._step():
            raise OSError(self.code, os.strerror(self.code))
        super().sync()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("partial", [False, True])
def test_a_full_or_failing_disk_halts_acknowledges_nothing_and_can_be_gone_on_from(
    complete: Path, tmp_path: Path, code: int, partial: bool
) -> None:
    halted, plan = 0, new_plan(CONFIG).market
    for fails_at in range(1, 100):
        path = tmp_path / f"{fails_at}.swarm"
        market = Market(plan, path, lambda p, keep: Disk(p, keep, fails_at, code, partial))  # noqa: B023
        outcomes = Outcomes()
        try:
            play(resolve(CONFIG), outcomes, new_market=lambda *_: market)  # noqa: B023
            break
        except OutputError as error:
            halted += 1
            assert "nothing more is written" in str(error)
            # Nothing is taken any more, and no round was called done whose end the disk does not hold.
            with pytest.raises(OutputError):
                market.execute([])
            with pytest.raises(OutputError):
                market.end_round(99)
            market.close()
            if history.begun(path):
                assert len(outcomes.rounds) <= history.read(path).rounds
            else:
                assert len(outcomes.rounds) == 0
        assert go_on(path) == sha256(complete)
    assert halted > 3 * CONFIG["rounds"]
