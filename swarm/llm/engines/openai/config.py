"""The keys of a model behind an HTTP endpoint, and which of their values make no sense."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from swarm.llm.entry import ModelEntry, lab_of


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
    def streams(self) -> bool:
        """What the entry says."""
        return self.stream

    @property
    def lab(self) -> str:
        """Who made the model, if the endpoint calls it by its hub's name."""
        return lab_of(self.model)

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
