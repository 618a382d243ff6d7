"""The packing of a journal's long records: it gives back what was written, and makes no damage harder to see."""

import hashlib
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.errors import JournalError
from swarm.market.commands import SubmitOrders, to_record
from swarm.market.orders import Orders
from swarm.seeding import draw_priority
from swarm.simulation import journal_columns
from swarm.simulation.journal import GENESIS, MAGIC, JournalReader, JournalWriter
from swarm.simulation.journal_columns import Columns
from swarm.simulation.journal_integers import packed

SEED, ROUND = 7, 3
PACKED = 1 << 31


def orders(rows: int, priority_seed: int = SEED) -> Orders:
    """A batch of two orders a trader, with everything drawn from a fixed generator."""
    chance = np.random.default_rng(rows)
    trader = np.repeat(np.arange(rows // 2), 2)
    return Orders(
        trader,
        np.arange(rows) % 2,
        chance.integers(0, 5, rows),
        chance.choice([-1, 1], rows),
        chance.integers(1, 60, rows),
        chance.integers(1, 9, rows),
        draw_priority(priority_seed, ROUND, trader),
    )


def round_of(rows: int) -> list[Any]:
    """The records of a round: a decision whose orders come again with their priority, a transfer, texts, its end."""
    chance, submitted = np.random.default_rng(1), to_record(SubmitOrders(4, ROUND, orders(rows)))
    decided: list[Any] = ["Decided", ROUND, {"text": [f"order {n} é" for n in range(rows)]}, list(submitted[3])]
    decided[3][7] = bytes(rows)
    paid = chance.integers(0, 1 << 40, rows).tolist()
    amounts = ["Transfer", 5, "meals", list(range(rows)), [rows] * rows, paid, [2**63 - 1, -(2**63)] * (rows // 2)]
    return [decided, submitted, amounts, ["RoundEnded", ROUND, "0" * 64]]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs what is a few dozen rows long, so that every bit of a journal can be tried."""
    monkeypatch.setattr(journal_columns, "LEAST_BYTES", 64)
    monkeypatch.setattr(journal_columns, "LEAST_ROWS", 16)


def written(path: Path, records: list[Any], seed: int | None = SEED) -> str:
    with JournalWriter(path, seed=seed) as writer:
        for record in records:
            writer.append(record)
    return writer.sha256


def flags(path: Path) -> list[bool]:
    """Which frames are packed, found without the reader."""
    content, at, found = path.read_bytes(), len(MAGIC), []
    while at < len(content):
        (length,) = struct.unpack_from("<I", content, at)
        found.append(bool(length & PACKED))
        at += 40 + (length & ~PACKED)
    return found


@pytest.mark.parametrize("seed", [SEED, 8, None])
def test_packed_records_come_back_and_have_the_hash_of_a_journal_without_a_file(
    tmp_path: Path, seed: int | None
) -> None:
    records = round_of(600) + round_of(500)
    sha256 = written(tmp_path / "j", records, seed)
    reader = JournalReader(tmp_path / "j")
    assert list(reader) == records
    with JournalWriter(None) as unkept:
        for record in records:
            unkept.append(record)
    assert reader.sha256 == sha256 == unkept.sha256
    assert flags(tmp_path / "j") == [True, True, True, True] * 2


def test_orders_that_were_decided_with_drawn_priorities_take_a_few_bytes(tmp_path: Path) -> None:
    lengths = []
    for seed in (SEED, 8):
        columns = Columns(seed)
        decided, submitted = map(packed, round_of(2_000)[:2])
        assert columns.pack(decided)
        lengths.append((len(submitted), len(columns.pack(submitted) or submitted)))
    (whole, short), (_, with_priorities) = lengths
    assert short < 300 < 10 * short < with_priorities < whole


def test_a_record_that_is_short_or_gains_nothing_is_kept_as_it_is() -> None:
    noise = np.random.default_rng(0).bytes(4_000)
    for payload in (packed(["x", 1]), packed(["x", noise])):
        assert Columns().pack(payload) is None


@pytest.mark.parametrize("odd", [True, 1.5, "x", None, 2**64 - 1, msgpack.ExtType(0, b""), msgpack.Timestamp(1, 1)])
def test_lists_that_are_no_columns_come_back_as_they_were(odd: Any) -> None:
    payload = packed(["x", [*range(40), odd], [n % 3 for n in range(400)], {"a": [odd] * 9, "b": odd}])
    stored = Columns().pack(payload)
    assert stored is None or Columns().unpack(stored)[0] == payload


def test_bytes_that_no_writer_of_ours_made_come_back_as_they_were(tmp_path: Path) -> None:
    # The list's length and each 1 in the longest forms that msgpack has.
    wide = b"\xdd" + struct.pack(">I", 300) + 300 * (b"\xd3" + struct.pack(">q", 1))
    with JournalWriter(tmp_path / "j") as writer:
        for payload in (wide, b"\xc1" * 300, packed([1] * 300)):
            writer.append_payload(payload)
    assert [payload for _, payload in JournalReader(tmp_path / "j").payloads()] == [
        wide,
        b"\xc1" * 300,
        packed([1] * 300),
    ]


VALUES = st.lists(st.integers(-(2**63), 2**64 - 1) | st.integers(-3, 3) | st.just(True), min_size=1, max_size=40)
PARTS = st.recursive(
    VALUES
    | st.binary(max_size=80)
    | st.text(max_size=80)
    | st.integers(0, 20).map(lambda n: [n * 4, bytes(n * 16), bytes(n * 4)]),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(st.lists(PARTS, max_size=6), max_size=4))
def test_any_records_come_back_whatever_came_before(records: list[Any]) -> None:
    writing, reading = Columns(SEED), Columns()
    for payload in map(packed, records):
        stored = writing.pack(payload)
        if stored is not None:
            found, reading = reading.unpack(stored)
            assert found == payload


def test_a_cut_at_any_byte_leaves_the_records_before_it_and_goes_on_to_the_same_journal(tmp_path: Path) -> None:
    records = round_of(20) + round_of(24)
    written(tmp_path / "j", records)
    content = (tmp_path / "j").read_bytes()
    for cut in range(len(MAGIC), len(content), 7):
        path = tmp_path / f"cut-{cut}"
        path.write_bytes(content[:cut])
        reader = JournalReader(path)
        left = list(reader)
        assert left == records[: len(left)]
        with JournalWriter(path, reader, seed=SEED) as writer:
            for record in records[len(left) :]:
                writer.append(record)
        assert path.read_bytes() == content


def test_zeros_in_place_of_a_packed_tail_are_torn_and_leave_the_packing_of_what_is_before(tmp_path: Path) -> None:
    records = round_of(600)
    written(tmp_path / "j", records)
    content = (tmp_path / "j").read_bytes()
    third = [offset for offset, _ in JournalReader(tmp_path / "j").payloads()][2]
    border = third - third % 512 + 512
    (tmp_path / "torn").write_bytes(content[:border] + bytes(len(content) - border))
    reader = JournalReader(tmp_path / "torn")
    assert list(reader) == records[:2]
    assert reader.torn_bytes == len(content) - third
    with JournalWriter(tmp_path / "torn", reader, seed=SEED) as writer:
        for record in records[2:]:
            writer.append(record)
    assert (tmp_path / "torn").read_bytes() == content


def test_any_flipped_bit_is_damage(tmp_path: Path) -> None:
    written(tmp_path / "j", round_of(20))
    assert any(flags(tmp_path / "j"))
    content = (tmp_path / "j").read_bytes()
    for bit in range(8 * len(MAGIC), 8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(JournalError, match="damaged at byte"):
            list(JournalReader(tmp_path / "damaged"))


def bare(record: Any) -> bytes:
    return zlib.compress(packed(record))


MARK = msgpack.ExtType(0, b"")
HOSTILE: dict[str, Callable[[], Any]] = {
    "no list": lambda: 7,
    "nothing": list,
    "no compressed bytes": lambda: [b"x"],
    "not whole": lambda: [bare(["x"])[:-1]],
    "no msgpack": lambda: [zlib.compress(b"\xc1")],
    "a column too few": lambda: [bare(["x", MARK])],
    "an unknown way": lambda: [bare([MARK]), [9, True, 1, 16, 0]],
    "a column of another record": lambda: [bare([MARK]), [0, True, 1, 16, 5]],
    "a width of 3": lambda: [bare([MARK]), [1, True, 3, 16, 0, 0]],
    "rows beyond all memory": lambda: [bare([MARK]), [1, False, 8, 1 << 40, 0, 0]],
    "many long columns": lambda: [bare([MARK] * 3), *[[1, False, 8, 1 << 12, 0, 0]] * 3],
    "texts for numbers": lambda: [bare([MARK]), [1, True, 1, 16, "0", "0"]],
    "rows that are no number": lambda: [bare([MARK]), [1, True, 1, "8", 0, 0]],
    "steps beyond 64 bits": lambda: [bare([MARK]), [1, True, 8, 16, 2**64 - 1, 2**64 - 1]],
    "no trader to draw for": lambda: [bare([MARK]), [2, False, 8, 16, 1, 1]],
    "a seed below zero": lambda: [bare([MARK] * 2), [1, False, 8, 16, 0, 1], [2, False, 8, 16, -1, 1]],
    "longer than told": lambda: [bare([MARK]), [3, False, 1, 16, zlib.compress(bytes(17))]],
    "shorter than told": lambda: [bare([MARK]), [3, False, 1, 16, zlib.compress(bytes(15))]],
    "a bomb": lambda: [bare([MARK]), [3, False, 1, 16, zlib.compress(bytes(1 << 22))]],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_packed_frame_of_somebody_else_is_damage_in_one_line(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_columns, "MOST_BYTES", 1 << 16)
    listed = packed(HOSTILE[case]())
    stored = listed + struct.pack("<I", zlib.crc32(listed))
    head = struct.pack("<I32s", len(stored) | PACKED, hashlib.sha256(GENESIS + stored).digest())
    (tmp_path / "j").write_bytes(MAGIC + head + struct.pack("<I", zlib.crc32(head)) + stored)
    with pytest.raises(JournalError, match="damaged at byte 8") as caught:
        list(JournalReader(tmp_path / "j"))
    assert "\n" not in str(caught.value)
