"""GGUF files that are kept in another form: fewer layers, eight bits a weight. llama.cpp itself is not needed."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from swarm.llm.engines.llama.gguf import Header, read_header
from swarm.llm.engines.llama.rewrite import Q4_0, Q4_1, Q8_0, rewritten
from tests.llama import tiny

ROWS = 4
"""Rows of 32 weights, a block each."""


def write(path: Path, kind: int, blocks: bytes) -> Path:
    """Writes a model of two layers, one tensor each, both of these blocks."""
    values: dict[str, Any] = tiny.LLAMA
    content = b"GGUF" + struct.pack("<IQQ", 3, 3, len(values))
    content += b"".join(tiny.text(key) + tiny.value(its) for key, its in values.items())
    padded = blocks + b"\0" * (-len(blocks) % 32)
    listed = [("blk.0.ffn_up.weight", kind), ("blk.1.ffn_up.weight", kind), ("output_norm.weight", kind)]
    for number, (name, its) in enumerate(listed):
        content += tiny.text(name) + struct.pack("<IQQIQ", 2, 32, ROWS, its, number * len(padded))
    path.write_bytes(content + b"\0" * (-len(content) % 32) + padded * 3)
    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARM_CACHE", str(tmp_path / "cache"))


def eight(path: Path, header: Header, index: int) -> npt.NDArray[np.float32]:
    """The weights of a tensor of eight bits."""
    tensor = header.tensors[index]
    begin = header.weights_at + tensor.offset
    blocks = np.frombuffer(path.read_bytes()[begin : begin + tensor.bytes], [("scale", "<f2"), ("codes", "i1", 32)])
    weights: npt.NDArray[np.float32] = blocks["scale"].astype(np.float32)[:, None] * blocks["codes"]
    return weights


@pytest.mark.parametrize(("kind", "least"), [(Q4_1, -0.75), (Q4_0, None)])
def test_four_bits_become_eight_of_the_same_worth(tmp_path: Path, kind: int, least: float | None) -> None:
    codes = np.random.default_rng(1).integers(0, 16, (ROWS, 32)).astype(np.uint8)
    packed = (codes[:, :16] | codes[:, 16:] << 4).astype(np.uint8)
    head = struct.pack("<e", 0.125) + (struct.pack("<e", least) if least is not None else b"")
    path = write(tmp_path / "four.gguf", kind, b"".join(head + row.tobytes() for row in packed))
    wanted = codes * 0.125 + least if least is not None else (codes.astype(np.float32) - 8) * 0.125
    made = rewritten(path, 0, eight_bits=True)
    header = read_header(made)
    assert [tensor.kind for tensor in header.tensors] == [Q8_0] * 3
    for index in range(3):
        # Half a step of the largest weight over 127, and what half precision takes of the scale.
        assert np.abs(eight(made, header, index) - wanted).max() <= np.abs(wanted).max() / 127
    assert rewritten(path, 0, eight_bits=True) == made, "made once"
    assert rewritten(path, 0, eight_bits=False) == path, "nothing differs"


def test_layers_behind_the_kept_ones_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "two.gguf", Q8_0, bytes(range(34)) * ROWS)
    header = read_header(made := rewritten(path, 1, eight_bits=False))
    assert [tensor.name for tensor in header.tensors] == ["blk.0.ffn_up.weight", "output_norm.weight"]
    assert header.number("block_count") == 1
    assert header.values == read_header(path).values | {"llama.block_count": 1}
    begin = header.weights_at + header.tensors[1].offset
    assert made.read_bytes()[begin : begin + 34] == bytes(range(34))
    # As many layers as there are is all of them, and a file that changed is another one.
    assert rewritten(path, 2, eight_bits=True) == path
    write(path, Q8_0, bytes(34) * ROWS)
    path.touch()
    assert rewritten(path, 1, eight_bits=False) != made


def test_a_block_of_noughts_stays_one(tmp_path: Path) -> None:
    path = write(tmp_path / "noughts.gguf", Q4_1, bytes(20) * ROWS)
    made = rewritten(path, 0, eight_bits=True)
    assert not eight(made, read_header(made), 0).any()
