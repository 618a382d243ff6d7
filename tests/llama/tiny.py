"""GGUF files of a few kilobytes, whole and broken, whose weights are noughts."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KINDS = {bool: (7, "<?"), int: (4, "<I"), float: (6, "<f")}

LLAMA: dict[str, Any] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.license": "mit",
    "llama.block_count": 2,
    "llama.context_length": 2_048,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
}
"""What the header of a small model says."""


def write(path: Path, values: Mapping[str, Any] = LLAMA, rows: int = 32) -> Path:
    """Writes a file with these values and one tensor of `rows` times 32 numbers of two bytes."""
    content = b"GGUF" + struct.pack("<IQQ", 3, 1, len(values))
    content += b"".join(text(key) + value(its) for key, its in values.items())
    content += text("token_embd.weight") + struct.pack("<IQQIQ", 2, 32, rows, 1, 0)
    content += b"\0" * (-len(content) % 32) + b"\0" * (2 * 32 * rows)
    path.write_bytes(content)
    return path


def text(said: str) -> bytes:
    """A text as a header has it."""
    encoded = said.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def value(given: Any) -> bytes:
    """A value as a header has it, its kind before it."""
    if isinstance(given, str):
        return struct.pack("<I", 8) + text(given)
    if isinstance(given, list):
        return struct.pack("<IIQ", 9, 8, len(given)) + b"".join(map(text, given))
    kind, form = _KINDS[type(given)]
    return struct.pack("<I", kind) + struct.pack(form, given)
