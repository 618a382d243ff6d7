"""The models' section of a config: one kind of entry for each engine, told apart by the key `engine`."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator

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


def engine_of(entry: Any) -> str:
    """Which engine an entry is for, in plain values or as a model: the one it names, else the default."""
    if isinstance(entry, dict):
        return str(entry.get("engine", DEFAULT_ENGINE))
    return str(getattr(entry, "engine", DEFAULT_ENGINE))


ModelConfig = Annotated[
    Annotated[ScriptedModel, Tag("scripted")]
    | Annotated[EmbeddedModel, Tag("embedded")]
    | Annotated[OpenAIModel, Tag("openai")],
    Discriminator(engine_of),
]
"""One model of a config: its name, the engine behind it, and how it is deployed."""
