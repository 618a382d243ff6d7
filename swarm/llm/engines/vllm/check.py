"""Tells whether models of vLLM can be used, by their config, their folder and the machine, before anything is started.

What a model takes is computed from its published shape: the weights, the KV cache of one request of full length, and
something for the rest. That is a lower bound: a model that passes may still find its GPU full.
"""

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.llm.engines.vllm.config import VllmModel

WORKSPACE_BYTES = 2**30
"""What an engine takes on a GPU besides weights and cache, at the least."""

GPU_QUERY_TIMEOUT_S = 20.0
_VALUE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_QUANTIZED_BYTES = {"fp8": 1.0, "awq": 0.6, "gptq": 0.6, "bitsandbytes": 0.6}
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU of this machine."""

    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The size of a model, as far as known: bytes of its weights, of KV cache per token, and its longest context."""

    weight_bytes: int | None
    kv_bytes_per_token: int | None
    context_tokens: int | None


class _Unusable(Exception):
    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(reason)


def gpus() -> list[Gpu]:
    """Returns the GPUs of this machine as the driver's own tool lists them; none where it is not there or fails."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=GPU_QUERY_TIMEOUT_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return []
    # A name may hold commas, so the memory is split off from the right; it is in MiB.
    rows = (line.rsplit(",", 1) for line in told.stdout.strip().splitlines())
    return [Gpu(name.strip(), int(mib) * 2**20) for name, mib in rows if mib.strip().isdigit()]


def problems(models: Sequence[VllmModel], tokens_per_turn: int, here: bool, found: Sequence[Gpu]) -> list[str]:
    """Returns one line for each model that cannot be used: its name, the reason, the way out.

    `here` says that the engines will run on this machine, which has the GPUs `found`; else neither its packages nor
    its GPUs are looked at.
    """
    lines = []
    for model in models:
        try:
            _must_be_usable(model, tokens_per_turn, here, found)
        except _Unusable as error:
            lines.append(f"models: {model.name}: {error.reason}; {error.remedy}")
    # Each by itself first; only then whether the GPUs are enough for all together.
    if here and not lines and (line := _too_many(models, found)):
        lines.append(line)
    return lines


def warnings(models: Sequence[VllmModel]) -> list[str]:
    """Returns what a user should know although nothing is wrong."""
    return [
        f"models: {m.name}: trust_remote_code is on, so code that comes with {m.model_source} runs here"
        for m in models
        if m.trust_remote_code
    ]


def shape_of(model: VllmModel) -> ModelShape:
    """Returns what the folder's config or the catalogue tell of a model."""
    if model.weights != "hub":
        return _shape_in(Path(model.model_source).expanduser(), model.weights == "folder")
    entry = model.entry
    if entry is None:
        return ModelShape(None, None, None)
    return ModelShape(entry.bytes_of_weights, entry.kv_bytes_per_token, entry.context_tokens)


def _must_be_usable(model: VllmModel, tokens_per_turn: int, here: bool, found: Sequence[Gpu]) -> None:
    if here and importlib.util.find_spec("vllm") is None:
        raise _Unusable(
            "vLLM is not installed here",
            "docs/models.md says how to install it, or take another engine for this model",
        )
    # From what costs a look at the disk to what needs a GPU; the first reason is told.
    if model.weights == "hub":
        _must_be_allowed(model)
    else:
        _must_be_a_model(model)
    if model.chat_template and not Path(model.chat_template).expanduser().is_file():
        raise _Unusable(f"there is no file {model.chat_template}", "correct its chat_template")
    if model.entry and model.dtype not in ("auto", *model.entry.dtypes):
        raise _Unusable(
            f"{model.entry.name} does not run in {model.dtype}", f"set dtype to {' or '.join(model.entry.dtypes)}"
        )
    shape = shape_of(model)
    if shape.context_tokens is not None and model.max_model_len > shape.context_tokens:
        raise _Unusable(
            f"max_model_len is {model.max_model_len} and the model's context holds {shape.context_tokens} tokens",
            f"set max_model_len to {shape.context_tokens} or less",
        )
    if model.max_model_len < tokens_per_turn:
        raise _Unusable(
            f"max_model_len is {model.max_model_len} and budget.tokens_per_turn is {tokens_per_turn}",
            "raise the one or lower the other",
        )
    if here and model.hardware.kind == "gpu":
        _must_fit(model, shape, found)


def _must_be_allowed(model: VllmModel) -> None:
    entry = model.entry
    if entry is None or not entry.gated or model.model_source != entry.hub_id:
        return
    # A gated model needs a token to be fetched, or must have been fetched before.
    home = Path(os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser())
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    is_there = (cache / f"models--{entry.hub_id.replace('/', '--')}").is_dir()
    has_token = (
        bool(os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")) or (home / "token").is_file()
    )
    if not is_there and not has_token:
        raise _Unusable(
            f"{entry.hub_id} is gated and there is no token of the hub here",
            f"accept its licence ({entry.licence}) on its page and put your token into HF_TOKEN",
        )


def _must_be_a_model(model: VllmModel) -> None:
    folder = Path(model.model_source).expanduser()
    if not folder.is_dir():
        raise _Unusable(f"there is no folder {model.model_source}", "correct its source, or set weights: hub")
    if _read_config(folder) is None:
        raise _Unusable(
            f"{model.model_source} has no config.json that can be read", "name the folder that the model was saved to"
        )
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise _Unusable(
            f"{model.model_source} has no tokenizer ({', '.join(_TOKENIZERS[:2])})",
            "save the model's tokenizer to the same folder",
        )
    if model.weights == "folder" and not any(_weight_files(folder)):
        raise _Unusable(
            f"{model.model_source} has no weights (*.safetensors)",
            "save them there, or set weights: dummy to draw them by chance",
        )


def _must_fit(model: VllmModel, shape: ModelShape, found: Sequence[Gpu]) -> None:
    hardware = model.hardware
    if not found:
        raise _Unusable(
            "it asks for a GPU and there is none here",
            "set hardware.kind: cpu, or name a cluster with GPUs by --address",
        )
    if hardware.num_gpus > len(found):
        raise _Unusable(
            f"each replica asks for {hardware.num_gpus:g} GPUs and there are {len(found)} here",
            "lower hardware.num_gpus",
        )
    if shape.weight_bytes is None:
        return
    # The published weights have two bytes per parameter; what is quantized has as many as its method takes.
    weights = (
        shape.weight_bytes * _QUANTIZED_BYTES[model.quantization] / 2 if model.quantization else shape.weight_bytes
    )
    per_token = (shape.kv_bytes_per_token or 0) / (2 if model.kv_cache_dtype == "fp8" else 1)
    # At the least one request of full length must fit, or the engine refuses to start.
    cache = model.kv_cache_bytes or per_token * model.max_model_len
    needed = weights + cache + WORKSPACE_BYTES
    smallest = min(gpu.memory_bytes for gpu in found)
    # Replicas land on any GPU, so the smallest decides; a model that is split has several of them.
    has = smallest * hardware.memory_share * max(1, int(hardware.num_gpus))
    if needed > has:
        raise _Unusable(
            f"it needs {_gib(needed)} of GPU memory (weights {_gib(weights)}, cache of one request {_gib(cache)}) and "
            f"has {_gib(has)} ({hardware.memory_share:.0%} of {_gib(smallest)})",
            "raise hardware.num_gpus, lower max_model_len, or set quantization: fp8",
        )


def _too_many(models: Sequence[VllmModel], found: Sequence[Gpu]) -> str | None:
    asked = sum(m.hardware.gpus * m.replicas for m in models)
    if asked <= len(found):
        return None
    return (
        f"models: together they ask for {asked:g} GPUs and there are {len(found)} here; "
        "lower hardware.num_gpus to shares that add up, or replicas"
    )


def _read_config(folder: Path) -> dict[str, Any] | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    # Models that also see keep the part that reads in a section of its own.
    inner = config.get("text_config")
    return config | inner if isinstance(inner, dict) else config


def _weight_files(folder: Path) -> Iterator[Path]:
    for pattern in ("*.safetensors", "*.bin", "*.pt"):
        yield from folder.glob(pattern)


def _shape_in(folder: Path, with_weights: bool) -> ModelShape:
    config = _read_config(folder) or {}

    def number(*keys: str) -> int | None:
        return next((v for key in keys if type(v := config.get(key)) is int and v > 0), None)

    context = number("max_position_embeddings", "n_positions")
    width, layers, heads = number("hidden_size"), number("num_hidden_layers"), number("num_attention_heads")
    words, inner = number("vocab_size"), number("intermediate_size")
    weight_bytes = sum(path.stat().st_size for path in _weight_files(folder)) if with_weights else None
    if width is None or layers is None or heads is None:
        return ModelShape(weight_bytes, None, context)
    # Heads that share their keys and values (grouped-query attention) make the cache smaller.
    per_head = number("head_dim") or width // heads
    keys = number("num_key_value_heads") or heads
    if weight_bytes is None and words is not None and inner is not None:
        # Parameters by shape: attention's four matrices, three matrices of each expert, and the embeddings.
        experts = number("num_local_experts", "num_experts") or 1
        attention = 2 * width * per_head * (heads + keys)
        embeddings = words * width * (1 if config.get("tie_word_embeddings") else 2)
        told = str(config.get("dtype") or config.get("torch_dtype"))
        weight_bytes = _VALUE_BYTES.get(told, 2) * (embeddings + layers * (attention + 3 * experts * width * inner))
    # A key and a value, of two bytes each.
    kv_bytes_per_token = 2 * 2 * layers * keys * per_head
    return ModelShape(weight_bytes, kv_bytes_per_token, context)


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
