"""Checks a GGUF file before llama.cpp loads it: whether it is one, whose terms apply, whether it fits."""

import importlib.util
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import psutil

from swarm.llm.engines.llama.config import LlamaModel, NoFileError
from swarm.llm.engines.llama.gguf import Header, NotGgufError, read_header

PERMISSIVE = frozenset({"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "unlicense", "isc"})
"""Licences, as files name them, that ask for nothing but to be passed on."""

RESERVE_BYTES = 512 * 2**20
"""What llama.cpp takes beside weights and cache: its buffers, and weights that it packs anew."""

EXTRA = "pip install 'thousand-token-wood[real]'"


class Unusable(Exception):
    """A model cannot be used; `reason` and `remedy` are halves of the line that says so."""

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{reason}; {remedy}")


def problems(models: Sequence[LlamaModel], tokens_per_turn: int, here: bool) -> list[str]:
    """Returns one line for each model that cannot be used: its name, the reason, the way out.

    Where engines run elsewhere than `here`, neither packages nor memory of this machine count.
    """
    lines, needed = [], 0
    for model in models:
        try:
            needed += must_be_usable(model, tokens_per_turn, here)
        except Unusable as error:
            lines.append(f"models: {model.name}: {error}")
    free = psutil.virtual_memory().available
    if here and not lines and needed > free:
        lines.append(
            f"models: the engines of llama need about {_gib(needed)} of memory together and {_gib(free)} are free; "
            "take fewer or smaller models, or lower replicas, slots or context_tokens"
        )
    return lines


def warnings(models: Sequence[LlamaModel]) -> list[str]:
    """Returns whose terms apply to each model, and what of its file a user should know."""
    lines = []
    for model in models:
        if not (told := terms(model)):
            continue
        lines.append(f"models: {model.name}: {told}")
        # llama.cpp falls back by itself; the reader should know why replies may be poor.
        if not read_header(model.file()).chat_template:
            lines.append(f"models: {model.name}: its file has no chat template, so prompts are written as ChatML")
    return lines


def terms(model: LlamaModel) -> str:
    """Returns in one line what the model is, who made it, and under which terms; empty where its file is not here."""
    try:
        header = read_header(model.file())
    except (NoFileError, NotGgufError, OSError):
        return ""
    name = header.text("general.name") or model.path
    maker = header.text("general.organization")
    licence = header.licence or _package_licence(model)
    who = f"{name} of {maker}" if maker else name
    who += f" with the adapter {Path(model.adapter).name}" if model.adapter else ""
    return (
        f"{who}, licence {licence}" if licence else f"{who}; no licence is named, so ask its makers before you use it"
    )


def must_be_usable(model: LlamaModel, tokens_per_turn: int, here: bool) -> int:
    """Returns the bytes of memory that the model's replicas need; Unusable says why it cannot be used."""
    if here and importlib.util.find_spec("xllamacpp") is None:
        raise Unusable("llama.cpp is not installed here", f"install it with `{EXTRA}`")
    try:
        header = _header(model.file(), model.path)
        if header.is_adapter:
            raise Unusable(f"{model.path} is an adapter and no model", "name it under adapter, and a model as path")
        if adapter := model.adapter_file():
            _must_fit(adapter, model, header)
    except NoFileError as missing:
        # A package is looked for on the machine that runs it.
        if not here:
            return 0
        raise Unusable(str(missing), missing.remedy) from None
    licence = (header.licence or _package_licence(model)).lower()
    # A licence that is not known to be permissive binds until the user says that he keeps it.
    if licence and licence not in PERMISSIVE and (model.accept_licence or "").lower() != licence:
        raise Unusable(
            f"the licence of {header.text('general.name') or model.path} is {licence}, whose terms bind its use",
            f"read them, and set accept_licence: {licence} if you keep them",
        )
    trained = header.number("context_length")
    if model.context_tokens < tokens_per_turn:
        raise Unusable(
            f"context_tokens is {model.context_tokens} and budget.tokens_per_turn is {tokens_per_turn}",
            "raise the one or lower the other",
        )
    if trained and model.context_tokens > trained:
        raise Unusable(
            f"context_tokens is {model.context_tokens} and the model's context holds {trained} tokens",
            f"set context_tokens to {trained} or less",
        )
    # All replicas may be on one machine, so that their sum is what is asked for.
    return model.replicas * _must_have_room(model, header, here)


def _must_have_room(model: LlamaModel, header: Header, here: bool) -> int:
    cache = model.slots * model.context_tokens * header.cache_bytes_per_token
    # Weights are mapped and count once a replica; each slot has a cache as long as the context.
    needed = header.tensor_bytes + cache + RESERVE_BYTES
    free = psutil.virtual_memory().available
    if here and needed > free:
        raise Unusable(
            f"it needs about {_gib(needed)} of memory (weights {_gib(header.tensor_bytes)}, cache {_gib(cache)}) and "
            f"{_gib(free)} are free",
            "take a smaller model, or lower slots or context_tokens",
        )
    return needed


def _must_fit(file: Path, model: LlamaModel, base: Header) -> None:
    """Raises Unusable where a file is no adapter for the model's architecture."""
    header = _header(file, str(model.adapter))
    if not header.is_adapter:
        raise Unusable(f"{model.adapter} is no adapter", "name a LoRA as a GGUF file under adapter")
    if header.architecture != base.architecture:
        raise Unusable(
            f"{model.adapter} is for a model of the architecture {header.architecture!r} and this is "
            f"{base.architecture!r}",
            "name the adapter that was made for this model",
        )
    # Models of one architecture differ in their width, and an adapter has the width of one of them.
    widths = {tensor.name: tensor.shape for tensor in base.tensors}
    for tensor in header.tensors:
        of = tensor.name.removesuffix(".lora_a")
        if of != tensor.name and (of not in widths or widths[of][0] != tensor.shape[0]):
            raise Unusable(
                f"{model.adapter} is for a model of another size: its {of} does not fit",
                "name the adapter that was made for this model",
            )
    # What was taught on a model's first layers leaves the others away, and nobody can write without them.
    if header.kept_layers and model.form != "judge":
        raise Unusable(
            f"{model.adapter} keeps {header.kept_layers} layers of its model, which judge and cannot write",
            "set form: judge",
        )


def _header(file: Path, path: str) -> Header:
    try:
        return read_header(file)
    except NotGgufError as error:
        raise Unusable(f"{path} cannot be read: {error}", "fetch it anew, or name another file") from None
    except OSError as error:
        raise Unusable(f"{path} cannot be read ({error.strerror})", "correct its path") from None


def _package_licence(model: LlamaModel) -> str:
    """Returns the licence of the package that carries a file; the empty text where it is no package or names none."""
    try:
        told = metadata.metadata(model.path)
    except (metadata.PackageNotFoundError, ValueError):
        return ""
    named = [told[key] for key in ("License-Expression", "License") if key in told]
    return named[0].split("\n")[0][:100] if named else ""


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
