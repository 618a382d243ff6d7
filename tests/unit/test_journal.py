"""The journal: what is written is read back, a torn tail is told from damage, and no damaged bit goes unseen."""

import hashlib
import struct
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
import pytest

from swarm.errors import JournalError, OutputError
from swarm.simulation import journal
from swarm.simulation.journal import GENESIS, MAGIC, JournalReader, JournalWriter

HEAD_BYTES = 40
RECORDS: list[Any] = [["run", [1, {"name": "small"}]], ["round", [1, "é"]], [], 7, ["round", [2, [-1, 0, 2**63 - 1]]]]


def written(path: Path, records: list[Any]) -> str:
    with JournalWriter(path) as writer:
        for record in records:
            writer.append(record)
    return writer.sha256


def read(path: Path) -> tuple[list[Any], JournalReader]:
    reader = JournalReader(path)
    return list(reader), reader


def borders(content: bytes) -> list[int]:
    """Where frames begin, and the end, found without the reader."""
    found = [len(MAGIC)]
    while found[-1] < len(content):
        (length,) = struct.unpack_from("<I", content, found[-1])
        found.append(found[-1] + HEAD_BYTES + length)
    return found


def frame(payload: bytes, before: bytes) -> bytes:
    head = struct.pack("<I32s", len(payload), hashlib.sha256(before + payload).digest())
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def test_records_are_read_back_with_the_hash_they_were_written_with(tmp_path: Path) -> None:
    sha256 = written(tmp_path / "j", RECORDS)
    records, reader = read(tmp_path / "j")
    assert records == RECORDS
    assert (reader.sha256, reader.torn_bytes) == (sha256, 0)


def test_the_file_is_what_the_docstring_says(tmp_path: Path) -> None:
    written(tmp_path / "j", RECORDS[:2])
    first, second = (msgpack.packb(record) for record in RECORDS[:2])
    chain = hashlib.sha256(GENESIS + first).digest()
    assert (tmp_path / "j").read_bytes() == MAGIC + frame(first, GENESIS) + frame(second, chain)


def test_the_stats_tell_the_size_of_the_file(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "j") as writer:
        for record in RECORDS:
            writer.append(record)
    assert writer.stats.frames == len(RECORDS)
    assert writer.stats.bytes + len(MAGIC) == (tmp_path / "j").stat().st_size
    assert writer.stats.syncs == 1


def test_the_hash_is_the_same_without_a_file(tmp_path: Path) -> None:
    with JournalWriter(None) as writer:
        for record in RECORDS:
            writer.append(record)
        writer.sync()
    assert writer.sha256 == written(tmp_path / "j", RECORDS)


def test_the_hash_tells_apart_order_content_and_length() -> None:
    hashes = set()
    for records in (RECORDS, RECORDS[::-1], RECORDS[:-1], [*RECORDS, []], [[RECORDS[0]], *RECORDS[1:]]):
        with JournalWriter(None) as writer:
            for record in records:
                writer.append(record)
        hashes.add(writer.sha256)
    assert len(hashes) == 5


def test_a_reader_can_be_read_twice(tmp_path: Path) -> None:
    sha256 = written(tmp_path / "j", RECORDS)
    reader = JournalReader(tmp_path / "j")
    assert list(reader) == list(reader) == RECORDS
    assert reader.sha256 == sha256


def test_a_synced_record_is_on_the_disk_before_the_journal_is_closed(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "j") as writer:
        writer.append(RECORDS[0])
        writer.sync()
        assert read(tmp_path / "j")[0] == RECORDS[:1]


def test_a_cut_at_any_byte_leaves_the_whole_records_before_it(tmp_path: Path) -> None:
    written(tmp_path / "j", RECORDS)
    content = (tmp_path / "j").read_bytes()
    starts = borders(content)
    for cut in range(len(MAGIC), len(content) + 1):
        (tmp_path / "cut").write_bytes(content[:cut])
        records, reader = read(tmp_path / "cut")
        whole = max(i for i, start in enumerate(starts) if start <= cut)
        assert records == RECORDS[:whole], cut
        assert reader.torn_bytes == cut - starts[whole], cut
        assert reader.sha256 == hash_of(RECORDS[:whole]), cut


def hash_of(records: list[Any]) -> str:
    with JournalWriter(None) as writer:
        for record in records:
            writer.append(record)
    return writer.sha256


def test_any_flipped_bit_of_a_whole_journal_is_damage_that_names_its_frame(tmp_path: Path) -> None:
    written(tmp_path / "j", RECORDS)
    content = (tmp_path / "j").read_bytes()
    starts = borders(content)
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(JournalError) as caught:
            read(tmp_path / "damaged")
        if bit // 8 >= len(MAGIC):
            start = max(s for s in starts if s <= bit // 8)
            assert f"damaged at byte {start}:" in str(caught.value), bit


def test_a_flipped_bit_before_a_torn_tail_is_damage_and_one_within_it_changes_nothing(tmp_path: Path) -> None:
    written(tmp_path / "j", RECORDS)
    starts = borders((tmp_path / "j").read_bytes())
    content = (tmp_path / "j").read_bytes()[: starts[-2] + HEAD_BYTES + 3]
    for bit in range(8 * len(MAGIC), 8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "damaged").write_bytes(damaged)
        if bit // 8 < starts[-2] + HEAD_BYTES:
            with pytest.raises(JournalError, match="damaged at byte"):
                read(tmp_path / "damaged")
        else:
            assert read(tmp_path / "damaged")[0] == RECORDS[:-1]


def test_a_frame_that_is_left_out_doubled_or_moved_is_damage(tmp_path: Path) -> None:
    written(tmp_path / "j", RECORDS)
    content = (tmp_path / "j").read_bytes()
    starts = borders(content)
    frames = [content[a:b] for a, b in pairwise(starts)]
    for order in ([1, 2, 3, 4], [0, 2, 3, 4], [0, 0, 1, 2, 3, 4], [0, 2, 1, 3, 4], [0, 1, 2, 3, 4, 4]):
        (tmp_path / "other").write_bytes(MAGIC + b"".join(frames[i] for i in order))
        with pytest.raises(JournalError, match="does not continue the chain"):
            read(tmp_path / "other")


def test_a_tail_of_zeros_is_torn_and_cut_off_by_who_goes_on(tmp_path: Path) -> None:
    sha256 = written(tmp_path / "j", RECORDS)
    whole = (tmp_path / "j").read_bytes()
    for zeros in (1, 39, 40, 512, 4096, 3_000_000):
        (tmp_path / "j").write_bytes(whole + bytes(zeros))
        records, reader = read(tmp_path / "j")
        assert (records, reader.torn_bytes, reader.sha256) == (RECORDS, zeros, sha256)
    JournalWriter(tmp_path / "j", read(tmp_path / "j")[1]).close()
    assert (tmp_path / "j").read_bytes() == whole


def test_zeros_with_something_behind_them_are_damage(tmp_path: Path) -> None:
    written(tmp_path / "j", RECORDS)
    (tmp_path / "j").write_bytes((tmp_path / "j").read_bytes() + bytes(4096) + b"x")
    with pytest.raises(JournalError, match="damaged at byte"):
        read(tmp_path / "j")


def test_zeros_in_place_of_what_was_durable_are_damage(tmp_path: Path) -> None:
    written(tmp_path / "j", RECORDS)
    content = (tmp_path / "j").read_bytes()
    start = borders(content)[2]
    (tmp_path / "j").write_bytes(content[:start] + bytes(len(content) - start))
    with pytest.raises(JournalError, match="durable"):
        read(tmp_path / "j")


def test_a_journal_of_zeros_alone_was_never_begun(tmp_path: Path) -> None:
    for content in (b"", MAGIC[:3], bytes(4096)):
        (tmp_path / "j").write_bytes(content)
        assert journal.unbegun(tmp_path / "j"), content
    for content in (MAGIC, bytes(9) + b"x"):
        (tmp_path / "j").write_bytes(content)
        assert not journal.unbegun(tmp_path / "j"), content


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    written(tmp_path / "j", RECORDS)
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(OutputError, match="cannot be created"):
        JournalWriter(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == before


def test_what_a_reader_would_refuse_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_PAYLOAD_BYTES", 100)
    with JournalWriter(tmp_path / "j") as writer:
        writer.append("x" * 98)
        with pytest.raises(JournalError, match="101"):
            writer.append("x" * 99)
    assert read(tmp_path / "j")[0] == ["x" * 98]


def one_line(error: pytest.ExceptionInfo[JournalError], path: Path) -> bool:
    text = str(error.value)
    return text.startswith(f"{path}: ") and "\n" not in text


@pytest.mark.parametrize("content", [b"", b"SWARM", b"PK\x03\x04 a zip", MAGIC[:-1] + b"9", b"\xff" * 100])
def test_a_foreign_file_gives_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises(JournalError, match="no journal") as error:
        JournalReader(path)
    assert one_line(error, path)


def test_a_missing_file_and_a_folder_give_one_clear_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(JournalError, match="no journal") as error:
            JournalReader(path)
        assert one_line(error, path)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x92\x01", b"\x01\x02", b"\xa1\xff"])
def test_a_whole_frame_that_is_not_msgpack_is_damage(tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(MAGIC + frame(payload, GENESIS))
    with pytest.raises(JournalError, match=r"byte 8: .*msgpack") as error:
        read(path)
    assert one_line(error, path)


def test_an_impossible_length_is_damage(tmp_path: Path) -> None:
    head = struct.pack("<I32s", 2**31 - 1, bytes(32))
    (tmp_path / "j").write_bytes(MAGIC + head + struct.pack("<I", zlib.crc32(head)))
    with pytest.raises(JournalError, match="an impossible length"):
        read(tmp_path / "j")
