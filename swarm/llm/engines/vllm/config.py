"""The keys of a model whose weights vLLM runs, and of the hardware that it runs on."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from swarm.llm.catalogue import CATALOGUE, CatalogueEntry
from swarm.llm.entry import ModelEntry, lab_of
from swarm.schema import StrictModel


class Hardware(StrictModel):
    """The hardware that an engine of vLLM runs on; between a CPU and a GPU nothing else of an entry differs."""

    kind: Literal["gpu", "cpu"] = "gpu"
    """`gpu`, or `cpu`, where vLLM's build for CPUs must be installed."""

    num_gpus: float = Field(default=1.0, gt=0.0, le=64.0)
    """GPUs of each replica: a whole number, across which the model is split, or a share of one below 1."""

    gpu_memory_utilization: float | None = Field(default=None, gt=0.0, le=1.0)
    """Share of a GPU's memory that the engine takes; null: 0.9 of what num_gpus gives it."""

    accelerator_type: str | None = Field(
        default=None, pattern=r"^!?([A-Za-z0-9][A-Za-z0-9.-]{0,60}|in\([A-Za-z0-9][A-Za-z0-9.,-]{0,200}\))$"
    )
    """Kinds of GPU that its replicas may run on, as Ray names them: L4, !T4, in(A100,H100); null: any."""

    max_replicas: int | None = Field(default=None, ge=1, le=64)
    """Most replicas of a deployment that grows with its load, from `replicas` on; null: it does not grow."""

    target_ongoing_batches: float = Field(default=2.0, gt=0.0, le=64.0)
    """Batches under way per replica from which on a growing deployment gets another."""

    routing: Literal["balanced", "prefix"] = "balanced"
    """Which replica gets a batch: the less busy one of two, or, unless it is much busier than the others, the one
    that had prompts beginning alike before."""

    threads: int = Field(default=1, ge=1, le=256)
    """Threads of one engine on a CPU; several engines with several threads each get in each other's way."""

    @field_validator("num_gpus")
    @classmethod
    def _is_a_share_or_whole(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"expected a share of one GPU below 1 or a whole number, got {gpus:g}")
        return gpus

    @property
    def gpus(self) -> float:
        """GPUs that a replica reserves."""
        return self.num_gpus if self.kind == "gpu" else 0.0

    @property
    def memory_share(self) -> float:
        """Share of a GPU's memory that the engine takes."""
        return self.gpu_memory_utilization or round(0.9 * min(self.num_gpus, 1.0), 4)


class VllmModel(ModelEntry):
    """A language model that vLLM runs in each replica of its deployment."""

    engine: Literal["vllm"]
    """What answers the prompts. `vllm` loads a language model's weights and runs them on a GPU or the CPU."""

    catalogue: str | None = None
    """A model by its short name (`swarm models` lists them), which brings its source and its quirks."""

    source: str | None = Field(default=None, min_length=1, max_length=500)
    """Where the model is: its name on the hub, such as Qwen/Qwen2.5-7B-Instruct, or a folder; null: as in the
    catalogue."""

    weights: Literal["hub", "folder", "dummy"] = "hub"
    """Where its weights come from: the hub, the folder that `source` names, or nowhere: `dummy` draws them by chance
    and needs of that folder the config and the tokenizer alone. Only `hub` ever fetches anything."""

    revision: str | None = Field(default=None, min_length=1, max_length=100)
    """The hub's branch, tag or commit; null: the newest."""

    hardware: Hardware = Hardware()
    """What it runs on."""

    max_model_len: int = Field(default=2_048, ge=64, le=10_000_000)
    """Most tokens of a prompt and its reply together that the engine makes room for."""

    max_num_seqs: int = Field(default=256, ge=1, le=4_096)
    """Most requests that the engine works on at once."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """What it computes in; `auto` is float32 on a CPU and the model's own on a GPU."""

    quantization: Literal["fp8", "awq", "gptq", "bitsandbytes"] | None = None
    """How its weights are made smaller; fp8 does it while it loads them, for the others they must be published so."""

    kv_cache_bytes: int | None = Field(default=None, ge=2**20, le=2**45)
    """Bytes for the KV cache; null: what the engine's share of the GPU leaves, or 128 MiB on a CPU."""

    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    """What the KV cache is kept in; fp8 halves it."""

    chat_template: str | None = Field(default=None, min_length=1, max_length=500)
    """A file with a Jinja chat template in place of the tokenizer's own."""

    system_role: bool | None = None
    """Whether the model has a system role; if not (Gemma 2), the rules stand at the head of the user's message.
    null: as in the catalogue, or else true."""

    trust_remote_code: bool = False
    """Run code that comes with the model's files, which may do anything; logged as a warning."""

    temperature: float = Field(default=0.7, ge=0.0, le=2.0)
    """Sampling temperature."""

    usd_per_million_prompt_tokens: float | None = Field(default=None, ge=0.0, le=1e6)
    """What a million prompt tokens cost, in US dollars; null: unknown."""

    usd_per_million_completion_tokens: float | None = Field(default=None, ge=0.0, le=1e6)
    """What a million completion tokens cost, in US dollars; null: unknown."""

    @property
    def lab(self) -> str:
        """Who made the model, if it or its source is in the catalogue."""
        return self.entry.lab if self.entry else lab_of(self.model_source)

    @field_validator("catalogue")
    @classmethod
    def _is_in_the_catalogue(cls, name: str | None) -> str | None:
        if name is not None and name not in CATALOGUE:
            raise ValueError(
                f"expected one of {', '.join(CATALOGUE)}, got {name!r}; any other model goes by its source"
            )
        return name

    @model_validator(mode="after")
    def _has_a_source(self) -> "VllmModel":
        if self.weights != "hub" and self.source is None:
            raise ValueError(f"weights: {self.weights} needs a folder as source")
        if self.source is None and self.catalogue is None:
            raise ValueError("expected a name of the catalogue under catalogue, or a hub's name or a folder as source")
        if (most := self.hardware.max_replicas) is not None and most < self.replicas:
            raise ValueError(f"hardware.max_replicas is {most}, below replicas ({self.replicas})")
        return self

    @property
    def entry(self) -> CatalogueEntry | None:
        """Its entry in the catalogue."""
        return CATALOGUE[self.catalogue] if self.catalogue else None

    @property
    def model_source(self) -> str:
        """The hub's name or the folder."""
        if self.source is not None:
            return self.source
        return CATALOGUE[self.catalogue or ""].hub_id

    def placed(self) -> Self:
        """Returns the entry with absolute folders."""
        found: dict[str, Any] = {}
        if self.weights != "hub" and self.source:
            found["source"] = str(Path(self.source).expanduser().absolute())
        if self.chat_template:
            found["chat_template"] = str(Path(self.chat_template).expanduser().absolute())
        return self.model_copy(update=found)

    @property
    def has_system_role(self) -> bool:
        """Tells whether messages may have the role of the system."""
        if self.system_role is not None:
            return self.system_role
        return self.entry.system_role if self.entry else True
