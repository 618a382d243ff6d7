"""The models' section of a config: one kind of entry for each engine, told apart by the key `engine`."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from swarm.llm.catalogue import CATALOGUE, CatalogueEntry
from swarm.schema import StrictModel

Temperament = Literal["value", "momentum", "maker", "hoarder", "panic"]
DecisionForm = Literal["orders", "menu"]
DEFAULT_ENGINE = "scripted"


class ModelEntry(StrictModel):
    """What every model has, whatever its engine."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """What the rest of the config and every table calls this model: lower case, digits, `.`, `_`, `-`."""

    engine: str
    """What answers the prompts."""

    form: DecisionForm = "orders"
    """What it answers with: orders as JSON, or the letters of a menu that the engine has computed."""

    replicas: int = Field(default=1, ge=1, le=64)
    """Replicas of this model's Ray Serve deployment."""

    num_cpus: float = Field(default=0.0, ge=0.0, le=256.0)
    """CPU cores that each replica reserves on the Ray cluster."""

    max_completion_tokens: int = Field(default=200, ge=16, le=4_000)
    """Most tokens of one reply; a longer reply is cut off, and is then a decision error."""

    @property
    def usd_per_million(self) -> tuple[float, float] | None:
        """What a million prompt tokens and a million completion tokens cost; None where that is unknown."""
        return 0.0, 0.0


class ScriptedModel(ModelEntry):
    """A rule in code that reads the prompt's text; it is no language model."""

    engine: Literal["scripted"] = "scripted"
    """What answers the prompts. `scripted`, the default, is a rule in code that reads the prompt's text."""

    temperament: Temperament
    """How a scripted policy behaves: value, momentum, maker (quotes both sides), hoarder, panic."""

    fault_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of replies that a scripted policy garbles on purpose, to see what a run does with them."""

    latency_s: float = Field(default=0.0, ge=0.0, le=3_600.0)
    """Seconds that a scripted policy waits before it answers a batch, to see what a slow model does to a run."""


class EmbeddedModel(ModelEntry):
    """One of the tiny language models that travel with the code; it answers menus and nothing else."""

    engine: Literal["embedded"]
    """What answers the prompts. `embedded` is a tiny model of our own on the CPU, run by onnxruntime."""

    temperament: Temperament
    """Which of the five: value, momentum, maker (quotes both sides), hoarder, panic."""

    form: Literal["menu"] = "menu"
    """What it answers with: the letters of a menu that the engine has computed, and nothing else."""

    temperature: float = Field(default=0.0, ge=0.0, le=5.0)
    """0: always the likeliest letter. Above: drawn by the request's seed, the flatter the hotter."""

    threads: int = Field(default=1, ge=1, le=64)
    """Threads that one process computes with."""

    max_completion_tokens: int = Field(default=2, ge=2, le=4_000)
    """Most tokens of one reply, which has two."""


class OpenAIModel(ModelEntry):
    """A model behind an OpenAI-compatible HTTP API: a vLLM or Ollama server, a hosted one, `swarm fake-model`."""

    engine: Literal["openai"]
    """What answers the prompts. `openai` is an HTTP endpoint that speaks OpenAI's chat completions."""

    base_url: str = Field(max_length=500)
    """Where the endpoint's API begins, say http://127.0.0.1:8000/v1; `/chat/completions` is put behind it."""

    model: str = Field(min_length=1, max_length=200)
    """What the endpoint calls the model."""

    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    """The environment variable that holds the API key, on every machine that calls the endpoint; null: no key.
    The key itself never stands in a config."""

    temperature: float = Field(default=0.7, ge=0.0, le=2.0)
    """Sampling temperature."""

    timeout_s: float = Field(default=60.0, gt=0.0, le=3_600.0)
    """Seconds that one attempt may take, from connecting to the last byte; the round's deadline bounds all attempts
    together."""

    max_concurrency: int = Field(default=64, ge=1, le=4_096)
    """Most requests under way at once from one replica: what the endpoint can serve."""

    retries: int = Field(default=2, ge=0, le=10)
    """How often a request is sent again after a 429, a 5xx or a broken connection, within the deadline."""

    breaker_failures: int = Field(default=20, ge=1, le=10_000)
    """After this many failures in a row the endpoint is left alone."""

    breaker_rest_s: float = Field(default=5.0, gt=0.0, le=3_600.0)
    """Seconds for which it is left alone before one request is let through to see whether it is back."""

    response_format: Literal["json_schema", "json_object", "none"] = "json_schema"
    """How the endpoint is held to the form of a reply: by the decision's schema, by JSON alone, or not at all."""

    stream: bool = False
    """Read the reply as it is written, which costs CPU and lets a reply that repeats itself be given up early."""

    send_seed: bool = True
    """Send the request's seed; off for endpoints that refuse the key."""

    system_role: bool = True
    """Whether the model has a system role; if not (Gemma 2), the rules stand at the head of the user's message."""

    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the endpoint calls the bound on the reply's tokens."""

    context_tokens: int | None = Field(default=None, ge=100, le=100_000_000)
    """The model's context in tokens, where the endpoint does not tell; checked against budget.tokens_per_turn."""

    usd_per_million_prompt_tokens: float | None = Field(default=None, ge=0.0, le=1e6)
    """What a million prompt tokens cost, in US dollars; null: unknown."""

    usd_per_million_completion_tokens: float | None = Field(default=None, ge=0.0, le=1e6)
    """What a million completion tokens cost, in US dollars; null: unknown."""

    @property
    def usd_per_million(self) -> tuple[float, float] | None:
        """What a million prompt tokens and a million completion tokens cost; None where that is unknown."""
        prompt, completion = self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens
        return None if prompt is None or completion is None else (prompt, completion)

    @field_validator("base_url")
    @classmethod
    def _is_a_plain_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            port_is_valid = parts.port is None or parts.port > 0
        except ValueError:
            parts, port_is_valid = urlsplit(""), False
        if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_valid:
            raise ValueError(f"expected a URL such as http://127.0.0.1:8000/v1, got {url.rpartition('@')[2][:100]!r}")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("expected a URL without a user, a query or a fragment; a key comes from api_key_env")
        return url.rstrip("/")


class Hardware(StrictModel):
    """What an engine of vLLM runs on; between a CPU and a GPU nothing else of an entry differs."""

    kind: Literal["gpu", "cpu"] = "gpu"
    """`gpu`, or `cpu`, where vLLM's build for CPUs must be installed."""

    num_gpus: float = Field(default=1.0, gt=0.0, le=64.0)
    """GPUs of each replica: a whole number, across which the model is split, or a share of one below 1."""

    gpu_memory_utilization: float | None = Field(default=None, gt=0.0, le=1.0)
    """Share of a GPU's memory that the engine takes; null: 0.9 of what num_gpus gives it."""

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
    def usd_per_million(self) -> tuple[float, float] | None:
        """What a million prompt tokens and a million completion tokens cost; None where that is unknown."""
        prompt, completion = self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens
        return None if prompt is None or completion is None else (prompt, completion)

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

    @property
    def has_system_role(self) -> bool:
        """Whether messages may have the role of the system."""
        if self.system_role is not None:
            return self.system_role
        return self.entry.system_role if self.entry else True


def engine_of(entry: Any) -> str:
    """Which engine an entry is for, in plain values or as a model: the one it names, else the default."""
    if isinstance(entry, dict):
        return str(entry.get("engine", DEFAULT_ENGINE))
    return str(getattr(entry, "engine", DEFAULT_ENGINE))


ModelConfig = Annotated[
    Annotated[ScriptedModel, Tag("scripted")]
    | Annotated[EmbeddedModel, Tag("embedded")]
    | Annotated[OpenAIModel, Tag("openai")]
    | Annotated[VllmModel, Tag("vllm")],
    Discriminator(engine_of),
]
"""One model of a config: its name, the engine behind it, and how it is deployed."""
