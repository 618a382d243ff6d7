"""Owns the keys of a model behind an HTTP endpoint, and tells which of their values make no sense."""

import json
import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator, model_validator

from swarm.llm.entry import ModelEntry, lab_of
from swarm.schema import VARIABLE_NAME, StrictModel

Omitted = Literal["temperature", "seed", "max_tokens", "stream_options", "n"]

_WRITTEN = {
    "model": "set model",
    "messages": "they are the prompt and cannot be set",
    "response_format": "set response_format",
    "stream": "set stream",
    "n": "it cannot be set",
    "temperature": "set temperature",
    "seed": "set send_seed",
    "max_tokens": "set max_completion_tokens, and max_tokens_key for its name",
    "max_completion_tokens": "set max_completion_tokens, and max_tokens_key for its name",
    "stream_options": "leave it out with request.omit: [stream_options] first",
    "tools": "tools belong to desks",
    "tool_choice": "tools belong to desks",
    "functions": "tools belong to desks",
}
"""The keys of a request that the config has keys of its own for, and which those are."""

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
# Headers that the client writes itself.
_OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding", "expect", "te"}
    | {"upgrade", "trailer", "keep-alive", "content-encoding"}
)
_SECRET = re.compile(r"auth|(?:^|[-_])key|apikey|token|secret|cookie|passw|signature|(?:^|[-_])sig(?:$|[-_])", re.I)
_MOST_KEYS, _MOST_CHARS = 40, 4_000


class RequestConfig(StrictModel):
    """The ways in which requests to an endpoint differ from those that OpenAI's protocol describes."""

    omit: tuple[Omitted, ...] = ()
    """Keys that are left out, for endpoints that refuse them: temperature, seed, max_tokens (under either of its
    names), stream_options, n."""

    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """Keys that are added to each request's body, such as reasoning_effort or chat_template_kwargs."""

    headers: dict[str, str] = Field(default_factory=dict)
    """Headers that are added to each request. They are kept with the run, so keys and tokens are refused here."""

    query: dict[str, str] = Field(default_factory=dict)
    """The query behind each address, such as Azure's api-version. It is kept with the run, too."""

    @field_validator("extra")
    @classmethod
    def _is_short(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if len(extra) > _MOST_KEYS or len(json.dumps(extra)) > _MOST_CHARS:
            raise ValueError(f"expected at most {_MOST_KEYS} keys and {_MOST_CHARS} characters")
        return extra

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER.fullmatch(name):
                raise ValueError(f"expected names of headers, got {name[:60]!r}")
            # These follow from the body or the connection, and a wrong one breaks both.
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"{name} is written by the client and cannot be set")
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"expected printable ASCII as the value of {name}")
        return cls._without_secrets(headers)

    @field_validator("query")
    @classmethod
    def _without_secrets(cls, named: dict[str, str]) -> dict[str, str]:
        if len(named) > _MOST_KEYS or sum(len(k) + len(v) for k, v in named.items()) > _MOST_CHARS:
            raise ValueError(f"expected at most {_MOST_KEYS} entries and {_MOST_CHARS} characters")
        # A config is written to the run's folder and shown, where no key may stand.
        if secret := next((name for name in named if _SECRET.search(name)), None):
            raise ValueError(
                f"{secret[:60]} may hold a secret, and what stands here is kept with the run; put the secret into an "
                "environment variable, name that as api_key_env, and name its header as api_key_header"
            )
        return named


class OpenAIModel(ModelEntry):
    """A model behind an OpenAI-compatible HTTP API: a vLLM or Ollama server, a hosted one, `swarm fake-model`."""

    engine: Literal["openai"]
    """What answers the prompts. `openai` is an HTTP endpoint that speaks OpenAI's chat completions."""

    base_url: str = Field(max_length=500)
    """Where the endpoint's API begins, say http://127.0.0.1:8000/v1; `/chat/completions` is put behind it."""

    model: str = Field(min_length=1, max_length=200)
    """What the endpoint calls the model."""

    api_key_env: str | None = Field(default=None, max_length=100, pattern=VARIABLE_NAME)
    """The environment variable that holds the API key, on every machine that calls the endpoint; null: no key.
    The key itself never stands in a config."""

    api_key_header: str = Field(default="Authorization", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,60}$")
    """The header that carries the key: as `Bearer KEY` under Authorization, as it is under any other (Azure:
    api-key)."""

    temperature: float = Field(default=0.7, ge=0.0, le=2.0)
    """Sampling temperature."""

    request: RequestConfig = RequestConfig()
    """What else requests have or lack, for endpoints that want it so."""

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
    def connections(self) -> int:
        """Each request under way has one."""
        return self.max_concurrency

    def with_connections(self, most: int) -> Self:
        """Returns the entry with so many requests under way at most."""
        return self.model_copy(update={"max_concurrency": most})

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
            raise ValueError(
                "expected a URL without a user, a query or a fragment; a key comes from api_key_env, a query stands "
                "under request.query"
            )
        # The address of the whole call is what documentation often shows, and is taken as well.
        return url.rstrip("/").removesuffix("/chat/completions")

    @model_validator(mode="after")
    def _extra_overrides_nothing(self) -> "OpenAIModel":
        # `omit` knows the bound by one name, whatever this endpoint calls it.
        bounds = ("max_tokens", "max_completion_tokens")
        omitted = {*self.request.omit, *(bounds if "max_tokens" in self.request.omit else ())}
        for key, remedy in _WRITTEN.items():
            if key in self.request.extra and key not in omitted:
                raise ValueError(f"request.extra.{key} would override what is written from the config; {remedy}")
        if self.api_key_header.lower() in _OWN_HEADERS:
            raise ValueError(f"api_key_header {self.api_key_header} is written by the client and cannot carry the key")
        if clash := {n.lower() for n in self.request.headers} & {self.api_key_header.lower()}:
            raise ValueError(f"request.headers.{min(clash)} is the header that carries the key of api_key_env")
        return self
