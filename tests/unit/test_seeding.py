"""Draws are hashes of their keys: pinned for ever, the same however they are asked for, and evenly spread."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.seeding import draw, draw_below, draw_between

MASK = 2**64 - 1
keys = st.lists(st.integers(0, 2**63 - 1), max_size=3)


def reference(seed: int, stream: str, *numbers: int) -> int:
    """The same hash in Python's integers."""
    state = int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "little")
    for number in numbers:
        state = (state + 0x9E3779B97F4A7C15 * (number + 1)) & MASK
        state = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ state >> 27) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    return state


@pytest.mark.parametrize(
    ("seed", "stream", "numbers", "expected"),
    [
        (0, "", (), 0x77B3AC79C80EF71F),
        (0, "priority", (0,), 0x11B477167D8A3737),
        (7, "priority", (1, 39), 0xE688ABB980C71DE6),
        (2**63 - 1, "spoilage", (200, 5, 4), 0x9B08CD0CF0D44556),
        (7, "Wälder", (2**63 - 1,), 0xAE7118B0001DD0A1),
    ],
)
def test_known_draws_never_change(seed: int, stream: str, numbers: tuple[int, ...], expected: int) -> None:
    assert int(draw(seed, stream, *numbers)[0]) == expected


def test_known_integers_never_change() -> None:
    assert draw_below(7, "dice", 6, np.arange(12)).tolist() == [1, 2, 2, 4, 3, 0, 4, 1, 4, 1, 5, 4]
    assert draw_between(7, "dice", -3, 3, np.arange(12)).tolist() == [-1, -1, 0, 2, 0, -3, 1, -2, 1, -1, 3, 2]


def test_a_bound_of_53_bits_takes_the_upper_53_bits_as_they_are() -> None:
    keys = np.arange(1_000)
    assert draw_below(3, "bits", 2**53, keys).tolist() == (draw(3, "bits", keys) >> np.uint64(11)).tolist()


@given(st.integers(0, 2**63 - 1), st.text(max_size=10), keys)
def test_a_draw_is_the_documented_hash(seed: int, stream: str, numbers: list[int]) -> None:
    assert int(draw(seed, stream, *numbers)[0]) == reference(seed, stream, *numbers)


def test_keys_broadcast_and_each_cell_is_the_draw_of_its_own_keys() -> None:
    table = draw(5, "table", 9, np.arange(4)[:, None], np.arange(3)[None, :])
    assert table.shape == (4, 3)
    assert table.tolist() == [[reference(5, "table", 9, row, column) for column in range(3)] for row in range(4)]
    bounded = draw_below(5, "table", np.array([1, 10, 100]), np.arange(4)[:, None], np.arange(3)[None, :])
    assert (bounded < np.array([1, 10, 100])).all()
    assert bounded[:, 2].tolist() == draw_below(5, "table", 100, np.arange(4), 2).tolist()


def test_a_part_of_the_keys_draws_the_same_as_the_whole() -> None:
    whole = draw(5, "part", 3, np.arange(100))
    assert whole[20:40].tolist() == draw(5, "part", 3, np.arange(20, 40)).tolist()


def test_seeds_streams_keys_and_their_order_make_different_draws() -> None:
    drawn = [
        draw(1, "a", 1, 2),
        draw(2, "a", 1, 2),
        draw(1, "b", 1, 2),
        draw(1, "a", 2, 1),
        draw(1, "a", 1),
        draw(1, "a", 1, 2, 0),
        draw(1, "a", 0, 0),
    ]
    assert len({int(d[0]) for d in drawn}) == len(drawn)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="is not in"):
        draw(seed, "a")


@given(st.integers(0, 2**63 - 1), st.integers(1, 2**53), st.integers(-(10**6), 10**6))
def test_bounds_are_kept(seed: int, bound: int, low: int) -> None:
    drawn = draw_below(seed, "bounds", bound, np.arange(50))
    assert (drawn >= 0).all()
    assert (drawn < bound).all()
    between = draw_between(seed, "bounds", low, low + 3, np.arange(50))
    assert set(between.tolist()) <= {low, low + 1, low + 2, low + 3}


def test_a_range_of_one_is_that_one() -> None:
    assert draw_between(1, "one", 5, 5, np.arange(10)).tolist() == [5] * 10
    assert draw_below(1, "one", 1, np.arange(10)).tolist() == [0] * 10


@pytest.mark.parametrize("by_round", [True, False])
def test_draws_are_evenly_spread_and_neighbours_are_unrelated(by_round: bool) -> None:
    numbers = np.arange(100_000)
    drawn = draw_below(11, "even", 10, numbers, 4) if by_round else draw_below(11, "even", 10, 4, numbers)
    counts = np.bincount(drawn, minlength=10)
    chi_square = float(((counts - 10_000) ** 2 / 10_000).sum())
    assert chi_square < 27.9, "one seed in a thousand would be as uneven as this"
    pairs = np.bincount(drawn[:-1] * 10 + drawn[1:], minlength=100)
    assert float(((pairs - 1_000) ** 2 / 1_000).sum()) < 148.2
    bits = np.unpackbits(draw(11, "bits", numbers).view(np.uint8).reshape(-1, 8), axis=1)
    assert (np.abs(bits.mean(axis=0) - 0.5) < 0.01).all()
