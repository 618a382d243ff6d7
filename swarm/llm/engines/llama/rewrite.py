"""Another form of a GGUF file, kept on this machine: its first layers alone, and weights of four bits as eight.

llama.cpp computes with eight bits faster than with the four that small files are packed in, and what only judges needs
no more layers than its adapter was taught on. Nothing of the model's own file is changed.
"""

import hashlib
import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swarm.llm.engines.llama.gguf import Header, read_header

Q4_0, Q4_1, Q8_0 = 2, 3, 8
BLOCK = 32
"""Weights of a block of each of these kinds, which share a scale."""

CACHE = "SWARM_CACHE"
"""Names the environment's variable for the folder of files that can be made again."""

_FOUR = {
    Q4_0: np.dtype([("scale", "<f2"), ("codes", "u1", BLOCK // 2)]),
    Q4_1: np.dtype([("scale", "<f2"), ("least", "<f2"), ("codes", "u1", BLOCK // 2)]),
}
_EIGHT = np.dtype([("scale", "<f2"), ("codes", "i1", BLOCK)])


def rewritten(file: Path, layers: int, eight_bits: bool) -> Path:
    """Returns a file of the model's first `layers` (0: all), made unless it is there; `file` where nothing differs.

    OSError where it cannot be written.
    """
    header = read_header(file)
    cuts = 0 < layers < header.number("block_count")
    if not cuts and not (eight_bits and any(tensor.kind in _FOUR for tensor in header.tensors)):
        return file
    found = file.stat()
    told = f"{file.absolute()} {found.st_size} {found.st_mtime_ns} {layers if cuts else 0} {eight_bits}"
    made = cache_folder() / f"{file.stem}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.gguf"
    if not made.is_file():
        made.parent.mkdir(parents=True, exist_ok=True)
        # Several processes may make it at once; whoever ends last puts the same file there.
        part = made.with_suffix(f".{os.getpid()}.part")
        try:
            _write(file, header, part, layers if cuts else 0, eight_bits)
            part.replace(made)
        finally:
            part.unlink(missing_ok=True)
    return made


def cache_folder() -> Path:
    """Returns the folder of this user's for files that can be made again."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get(CACHE) or Path(home) / "thousand-token-wood").expanduser()


def _write(file: Path, header: Header, out: Path, layers: int, eight_bits: bool) -> None:
    kept = [tensor for tensor in header.tensors if not layers or _layer(tensor.name) < layers]
    source = np.memmap(file, np.uint8, "r")
    # The values of the header stay as they are, but for the number of layers, which keeps its width.
    values = bytearray(source[24 : header.tensors_at].tobytes())
    if layers:
        struct.pack_into("<I", values, header.value_at[f"{header.architecture}.block_count"] - 24, layers)
    widened = {tensor.name for tensor in kept if eight_bits and tensor.kind in _FOUR}
    alignment = int(header.values.get("general.alignment", BLOCK))
    listed, at = b"", 0
    for tensor in kept:
        made = replace(tensor, kind=Q8_0) if tensor.name in widened else tensor
        name = tensor.name.encode()
        listed += struct.pack(f"<Q{len(name)}sI{len(tensor.shape)}Q", len(name), name, len(tensor.shape), *tensor.shape)
        listed += struct.pack("<IQ", made.kind, at)
        at += made.bytes + -made.bytes % alignment
    head = b"GGUF" + struct.pack("<IQQ", 3, len(kept), len(header.values)) + bytes(values) + listed
    with out.open("wb") as written:
        written.write(head + bytes(-len(head) % alignment))
        # One tensor at a time, since all together may be more than there is memory.
        for tensor in kept:
            begin = header.weights_at + tensor.offset
            content = np.asarray(source[begin : begin + tensor.bytes])
            if tensor.name in widened:
                content = _as_eight_bits(content, tensor.kind)
            written.write(content.tobytes() + bytes(-len(content) % alignment))


def _layer(name: str) -> int:
    """The layer of a tensor; -1 for what belongs to none."""
    part = name.split(".")
    return int(part[1]) if part[0] == "blk" and part[1].isdecimal() else -1


def _as_eight_bits(content: npt.NDArray[np.uint8], kind: int) -> npt.NDArray[np.uint8]:
    """Blocks of four bits a weight as blocks of eight, each with a scale of its own."""
    blocks = content.view(_FOUR[kind])
    # [blocks, 32]: the low halves of the bytes are the first 16 weights, the high halves the others.
    codes = np.concatenate([blocks["codes"] & 15, blocks["codes"] >> 4], axis=1).astype(np.float32)
    scale = blocks["scale"].astype(np.float32)[:, None]
    values = codes * scale + blocks["least"].astype(np.float32)[:, None] if kind == Q4_1 else (codes - 8) * scale
    largest = np.abs(values).max(1) / 127
    # By the scale as it will be kept, in half precision.
    kept = largest.astype(np.float16)
    found = np.zeros(len(values), _EIGHT)
    found["scale"] = kept
    with np.errstate(divide="ignore", invalid="ignore"):
        rounded = np.rint(values / kept.astype(np.float32)[:, None])
    found["codes"] = np.clip(np.nan_to_num(rounded), -127, 127)
    return found.view(np.uint8)
