"""The header of a GGUF file: what its makers say of a model, read without the package that runs it.

The format is https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian. Weights are
never read; the list of tensors says alone where the file must end.
"""

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

MOST_KEYS, MOST_TENSORS, MOST_DIMENSIONS = 10_000, 100_000, 8
"""More than any model has; a header that counts more is no header."""

KEPT_LAYERS = "swarm.kept_layers"
"""The key under which an adapter of ours says how many layers it leaves its model."""

_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_KEPT_TEXT = 200_000
"""Longest string that is kept, in bytes; the longest that counts is a chat template."""

_BLOCKS = {
    **{0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)},
    **{16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82)},
    **{23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2)},
    **{34: (256, 54), 35: (256, 66), 39: (32, 17)},
}
"""By the number of a type of weights: how many stand in a block, and the bytes of one."""


class NotGgufError(ValueError):
    """A file that is no whole GGUF; its text says why."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file: its weights begin `offset` bytes behind where all weights begin."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def bytes(self) -> int:
        """Bytes of its weights; 0 for a kind that is not known, so that a newer file is never called cut short."""
        per_block, block_bytes = _BLOCKS.get(self.kind, (1, 0))
        return prod(self.shape) // per_block * block_bytes


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a file; `value_at` has the byte at which each value begins, and `weights_at` where weights do.

    `tensors_at` is the byte behind the last value.
    """

    values: dict[str, Any]
    tensors: tuple[Tensor, ...]
    value_at: dict[str, int]
    tensors_at: int
    weights_at: int

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(tensor.bytes for tensor in self.tensors)

    def text(self, key: str) -> str:
        """Returns a value that is a text; the empty text where there is none."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        """Returns a whole number of this model's architecture, the largest where there is one per layer; 0 for none."""
        value = self.values.get(f"{self.architecture}.{key}")
        found = [one for one in (value if isinstance(value, list) else [value]) if type(one) is int]
        return max(found, default=0)

    @property
    def architecture(self) -> str:
        """The architecture by the name that llama.cpp has for it."""
        return self.text("general.architecture")

    @property
    def is_adapter(self) -> bool:
        """Tells whether it is a LoRA for another file's model."""
        return self.text("general.type") == "adapter"

    @property
    def kept_layers(self) -> int:
        """How many of a model's layers, from its first, an adapter was taught on; 0 for all of them."""
        value = self.values.get(KEPT_LAYERS)
        return value if type(value) is int else 0

    @property
    def licence(self) -> str:
        """The licence that its makers name; the empty text where they name none."""
        return self.text("general.license") or self.text("general.license.name")

    @property
    def chat_template(self) -> str:
        """The Jinja template of a chat; the empty text where there is none."""
        return self.text("tokenizer.chat_template")

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of the cache of keys and values that a token takes, at two for each number."""
        # Keys and values of a head have lengths of their own, or else share the width among the heads.
        heads = self.number("attention.head_count")
        per_head = self.number("embedding_length") // heads if heads else 0
        keys = self.number("attention.key_length") or per_head
        values = self.number("attention.value_length") or per_head
        return 2 * self.number("block_count") * (self.number("attention.head_count_kv") or heads) * (keys + values)


def read_header(path: Path) -> Header:
    """Returns the header of a file; NotGgufError where it is none, or where the file ends before its weights do."""
    found = path.stat()
    return _read(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=16)
def _read(path: Path, size: int, changed_ns: int) -> Header:
    # Magic, version and the two counts alone take 24 bytes.
    if size < 24:
        raise NotGgufError("it is no GGUF file")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:4] != b"GGUF":
            raise NotGgufError("it is no GGUF file")
        try:
            return _Reader(content).header(size)
        except (struct.error, IndexError, OverflowError):
            raise NotGgufError("it ends in the middle of its header") from None


class _Reader:
    """Walks over a header from its first byte; `at` is where it stands."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content = content
        self.at = 4

    def header(self, size: int) -> Header:
        """Returns all that there is, and holds the file's `size` against what its tensors need."""
        version = self.fixed("I")
        if version not in (2, 3):
            raise NotGgufError(f"it is GGUF of version {version & 0xFFFF}, and 2 and 3 can be read")
        tensors, keys = self.fixed("Q"), self.fixed("Q")
        if keys > MOST_KEYS or tensors > MOST_TENSORS:
            raise NotGgufError("its header is damaged")
        values, value_at = {}, {}
        for _ in range(keys):
            name = self.string()
            kind = self.fixed("I")
            value_at[name] = self.at
            values[name] = self.value(kind)
        tensors_at = self.at
        found = tuple(self._tensor() for _ in range(tensors))
        alignment = values.get("general.alignment", 32)
        if type(alignment) is not int or alignment < 1:
            raise NotGgufError("its header is damaged")
        # Weights begin at the next multiple of the alignment behind the header.
        weights_at = -(-self.at // alignment) * alignment
        needed = weights_at + max((tensor.offset + tensor.bytes for tensor in found), default=0)
        if size < needed:
            raise NotGgufError(f"it is cut short: {size:,} bytes of at least {needed:,}")
        return Header(values, found, value_at, tensors_at, weights_at)

    def _tensor(self) -> Tensor:
        name = self.string()
        dimensions = self.fixed("I")
        if dimensions > MOST_DIMENSIONS:
            raise NotGgufError("its header is damaged")
        shape = tuple(self.fixed("Q") for _ in range(dimensions))
        return Tensor(name, shape, self.fixed("I"), self.fixed("Q"))

    def fixed(self, code: str) -> Any:
        """Returns the next number of a fixed size."""
        form = f"<{code}"
        [value] = struct.unpack_from(form, self.content, self.at)
        self.at += struct.calcsize(form)
        return value

    def string(self) -> str:
        """Returns the next string, cut where it is endless."""
        length = self.fixed("Q")
        start, self.at = self.at, self.at + length
        if self.at > len(self.content):
            raise NotGgufError("it ends in the middle of its header")
        # A string that ends behind the file would otherwise be cut without a word.
        return self.content[start : min(self.at, start + _KEPT_TEXT)].decode(errors="replace")

    def value(self, kind: int) -> Any:
        """Returns the next value; of arrays, only short ones of numbers are kept."""
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            if kind not in _FIXED:
                raise NotGgufError("its header is damaged")
            return self.fixed(_FIXED[kind])
        inner, length = self.fixed("I"), self.fixed("Q")
        if inner == _STRING:
            self._skip_strings(length)
            return None
        if inner not in _FIXED:
            raise NotGgufError("its header is damaged")
        # Longer arrays are scores and types of a vocabulary, which nobody here asks for.
        if length <= 1_024:
            return [self.fixed(_FIXED[inner]) for _ in range(length)]
        self.at += length * struct.calcsize(_FIXED[inner])
        return None

    def _skip_strings(self, count: int) -> None:
        """Vocabularies have hundreds of thousands of strings, so the walk over them is as short as it can be."""
        read: Callable[..., tuple[int]] = struct.Struct("<Q").unpack_from
        content, at = self.content, self.at
        for _ in range(count):
            at += 8 + read(content, at)[0]
        self.at = at
