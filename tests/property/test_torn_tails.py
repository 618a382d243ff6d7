"""What a loss of power leaves of a journal: the whole records before it, and never another history."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from swarm.simulation.journal import BLOCK_BYTES, JournalReader, JournalWriter
from swarm.simulation.journal_disk import head_path

RECORDS = st.lists(st.one_of(st.binary(max_size=1_500), st.integers(0, 255).map(lambda n: [0] * n)), max_size=8)


@given(RECORDS, st.integers(0, 8), st.data())
def test_blocks_that_never_reached_the_disk_leave_what_was_durable(
    records: list[object], synced: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.swarm"
        ends, vouched = list[int](), b""
        with JournalWriter(path) as writer:
            for number, record in enumerate(records):
                writer.append(record)
                writer.flush()
                ends.append(path.stat().st_size)
                if number + 1 == synced:
                    writer.sync()
                    vouched = head_path(path).read_bytes()
            last = head_path(path).read_bytes()
        # The head lags behind, as it may; what it vouches for was synced.
        durable = min(synced, len(records))
        if not 0 < synced <= len(records):
            durable, vouched = 0, bytes(len(last))
        head_path(path).write_bytes(vouched)
        content = path.read_bytes()
        # Lost is what lies behind the end of a write or of a block, and the file may have been made longer.
        least = ends[durable - 1] if durable else 8
        borders = [least, *ends[durable:], *range(least + -least % BLOCK_BYTES, len(content), BLOCK_BYTES)]
        kept = data.draw(st.sampled_from([border for border in borders if least <= border <= len(content)]))
        longer = data.draw(st.integers(0, 3 * BLOCK_BYTES))
        torn = content[:kept] + bytes(len(content) - kept + longer)
        path.write_bytes(torn)
        reader = JournalReader(path)
        read = list(reader)
    whole = sum(torn[:end] == content[:end] for end in ends)
    assert read == records[:whole]
    assert whole >= durable
    assert reader.torn_bytes == len(torn) - (ends[whole - 1] if whole else 8)
