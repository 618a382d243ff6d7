"""Writes a LoRA as a GGUF file for llama.cpp; needs gguf."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGUFWriter

from swarm.llm.engines.llama.gguf import KEPT_LAYERS

Array = npt.NDArray[np.float32]

PAIRED = "llama"
"""The architecture whose queries and keys llama.cpp has in another order than transformers."""

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""What llama.cpp calls the layers that transformers calls otherwise."""

_TENSOR = re.compile(r"layers\.(\d+)\.(.+)\.lora_([AB])\.weight$")


def write_adapter(
    file: Path,
    tensors: Mapping[str, Array],
    alpha: float,
    heads: int,
    key_heads: int,
    about: Mapping[str, str] = {},
    kept_layers: int = 0,
    architecture: str = PAIRED,
) -> None:
    """Writes the tensors of an adapter, by their names in peft, in half precision.

    `about` is what the file says of itself, and `kept_layers` how many layers of its model it was taught on, 0 for all.
    """
    part = file.with_suffix(".part")
    writer = GGUFWriter(part, architecture)
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(alpha))
    for key, value in about.items():
        writer.add_string(f"general.{key}", value)
    if kept_layers:
        writer.add_uint32(KEPT_LAYERS, kept_layers)
    for name, tensor in tensors.items():
        found = _TENSOR.search(name)
        if found is None:
            raise ValueError(f"{name} is no tensor of an adapter for layers of a Llama")
        layer, of, side = found.groups()
        of = NAMES[of]
        put = tensor
        # Only the outer side has the order of heads in it.
        if architecture == PAIRED and side == "B" and of in ("attn_q", "attn_k"):
            put = _paired(tensor, heads if of == "attn_q" else key_heads)
        writer.add_tensor(f"blk.{layer}.{of}.weight.lora_{side.lower()}", np.ascontiguousarray(put, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    # A training that is stopped leaves the file of before, and never half of one.
    part.replace(file)


def _paired(tensor: Array, heads: int) -> Array:
    """The rows of each head in the order of llama.cpp, which turns neighbours where transformers turns halves."""
    halves = tensor.reshape(heads, 2, len(tensor) // heads // 2, -1)
    return halves.swapaxes(1, 2).reshape(tensor.shape)
