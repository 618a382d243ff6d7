"""Columns of a journal's records are packed as msgpack packs them, integer by integer."""

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.simulation import journal_integers
from swarm.simulation.journal_integers import LEAST_ROWS, packed

# Each form of an integer begins or ends at one of these.
BORDERS = [
    *(0, -1, -32, -33, 127, 128, 255, 256),
    *(sign * (1 << bits) + more for bits in (7, 15, 16, 31, 32) for sign in (1, -1) for more in (-1, 0, 1)),
    *((1 << 63) - 1, -(1 << 63)),
]
integers = st.sampled_from(BORDERS) | st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-40, 300)


@given(st.lists(integers, min_size=1, max_size=40), st.integers(0, 3 * LEAST_ROWS))
def test_a_record_has_the_bytes_that_msgpack_makes_of_lists(values: list[int], rows: int) -> None:
    column = (values * (rows // len(values) + 1))[:rows]
    record = ["Transfer", 7, np.array(column, dtype=np.int64), {"cause": "meals"}, np.arange(rows), [1, column]]
    plain = [value.tolist() if isinstance(value, np.ndarray) else value for value in record]
    assert packed(record) == msgpack.packb(plain)


def test_a_column_of_one_form_and_one_that_takes_several_goes_are_packed_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_integers, "ROWS_AT_ONCE", 50)
    for values in (np.arange(1_000), np.full(200, 300), np.full(200, -7), -(np.arange(1_000) ** 3), np.arange(200) % 2):
        assert packed([values]) == msgpack.packb([values.tolist()])


def test_what_is_no_column_of_64_bits_is_packed_as_its_list() -> None:
    for values in (
        np.arange(100, dtype=np.int8),
        np.ones((80, 2)),
        np.arange(100) > 3,
        np.arange(100, dtype=np.uint64),
    ):
        assert packed(["Kind", values]) == msgpack.packb(["Kind", values.tolist()])
