"""Every random draw of a run: a hash of the seed, a named stream and integer keys, never a generator with a state.

Draws that depend on nothing but their keys are the same whoever makes them: one process, eight shards, or a replay.
The mixing function is SplitMix64's finaliser (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
generators"), which uses only 64-bit wrap-around arithmetic and so gives the same bits on every platform and version.
"""

import hashlib
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Uint64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Keys = int | np.integer[Any] | npt.NDArray[np.integer[Any]]

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_MAX_SEED = 2**63 - 1


@cache
def _stream_state(seed: int, stream: str) -> int:
    # Streams are told apart by name, so that a new one shifts no draw of the others.
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def _mix(state: Uint64) -> Uint64:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


def draw(seed: int, stream: str, *keys: Keys) -> Uint64:
    """Returns 64 uniform bits for every combination of `keys`, which broadcast against each other."""
    if not 0 <= seed <= _MAX_SEED:
        raise ValueError(f"seed {seed} is not in 0..2**63-1")
    state = np.full(1, _stream_state(seed, stream), dtype=np.uint64)
    with np.errstate(over="ignore"):
        # Each key moves the state on before it is mixed, so that (1, 2) and (2, 1), or 0 and no key, differ.
        for key in keys:
            state = _mix(state + _GOLDEN_GAMMA * (np.asarray(key).astype(np.uint64) + np.uint64(1)))
    return state


def draw_some(most: int, seed: int, stream: str, *keys: Keys) -> Int64:
    """Returns the ascending indices of at most `most` of the combinations of `keys`, drawn from all alike."""
    some: Int64 = np.sort(np.argsort(draw(seed, stream, *keys), kind="stable")[:most])
    return some


def draw_unit(seed: int, stream: str, *keys: Keys) -> Float64:
    """Returns numbers from 0 to just below 1."""
    # The 53 bits that a double holds exactly, so that what is made of it is the same on every platform.
    drawn: Float64 = (draw(seed, stream, *keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return drawn


def draw_below(seed: int, stream: str, bound: Keys, *keys: Keys) -> Int64:
    """Returns integers in 0..bound-1; the bias of taking 53 bits and scaling is below bound / 2**53."""
    drawn: Int64 = np.floor(draw_unit(seed, stream, *keys) * np.asarray(bound)).astype(np.int64)
    return drawn


def draw_between(seed: int, stream: str, low: Keys, high: Keys, *keys: Keys) -> Int64:
    """Returns integers in low..high, both included."""
    low_array = np.asarray(low, dtype=np.int64)
    drawn: Int64 = low_array + draw_below(seed, stream, np.asarray(high, dtype=np.int64) - low_array + 1, *keys)
    return drawn


def draw_priority(seed: int, round_: int, trader: Int64) -> Int64:
    """Returns the priority that the orders of each of these traders have in a round, the lowest first."""
    # 63 bits, so that it fits an int64.
    drawn: Int64 = (draw(seed, "priority", round_, trader) >> np.uint64(1)).astype(np.int64)
    return drawn
