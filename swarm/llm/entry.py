"""Owns what every model's entry in a config has, whatever its engine, and what is computed from an entry alone.

It knows no engine; each engine's own keys stand beside its client under `swarm.llm.engines`.
"""

from typing import Self

from pydantic import Field

from swarm.llm.catalogue import CATALOGUE
from swarm.schema import NAME, StrictModel

UNKNOWN_LAB = "unknown"


class ModelEntry(StrictModel):
    """The keys that every model has, whatever its engine."""

    name: str = Field(min_length=1, max_length=40, pattern=NAME)
    """What the rest of the config and every table calls this model: lower case, digits, `.`, `_`, `-`."""

    engine: str
    """What answers the prompts."""

    form: str = Field(default="orders", min_length=1, max_length=40)
    """The form that it answers in, of those that the scenario offers; a market's are `orders`, which are JSON, `menu`,
    two letters of a menu that is computed for it, `judge`, yes or no to each action of one, and those of plug-ins. A
    scenario's only form is that of all."""

    replicas: int = Field(default=1, ge=1, le=64)
    """Replicas of this model's Ray Serve deployment."""

    num_cpus: float = Field(default=0.0, ge=0.0, le=256.0)
    """CPU cores that each replica reserves on the Ray cluster."""

    max_completion_tokens: int = Field(default=200, ge=16, le=4_000)
    """Most tokens of one reply; a longer reply is cut off, and is then a decision error."""

    usd_per_million_prompt_tokens: float | None = Field(default=0.0, ge=0.0, le=1e6)
    """What a million prompt tokens cost, in US dollars; null: unknown. A rule in code may be priced as the language
    model that it stands in for."""

    usd_per_million_completion_tokens: float | None = Field(default=0.0, ge=0.0, le=1e6)
    """What a million completion tokens cost, in US dollars; null: unknown."""

    @property
    def usd_per_million(self) -> tuple[float, float] | None:
        """What a million prompt tokens and a million completion tokens cost; None where that is unknown."""
        prompt, completion = self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens
        return None if prompt is None or completion is None else (prompt, completion)

    @property
    def streams(self) -> bool:
        """Tells whether replies are read as they are written, so that the time of the first token is known."""
        return False

    @property
    def counts_tokens(self) -> bool:
        """Tells whether tokens are counted by the engine's own tokenizer, and not estimated."""
        return True

    @property
    def may_count_more(self) -> bool:
        """Tells whether its tokenizer may count more for a prompt than is estimated, so that this has to be learned."""
        return True

    @property
    def known_latency_s(self) -> float:
        """Seconds that each batch takes at the least, where that is known before the run; else 0."""
        return 0.0

    def placed(self) -> Self:
        """Returns the entry with its folders as seen from anywhere: a worker has another working directory."""
        return self

    @property
    def connections(self) -> int:
        """Most connections that one client keeps open at once; 0 where it opens none."""
        return 0

    def with_connections(self, most: int) -> Self:
        """Returns the entry with so many connections at most."""
        return self

    @property
    def lab(self) -> str:
        """Who made the model, as far as the catalogue tells."""
        return UNKNOWN_LAB


def usd_per_turn(model: ModelEntry, tokens: int) -> float | None:
    """Returns the US dollars of a turn of so many tokens with the longest of replies; None without a known price."""
    price = model.usd_per_million
    if price is None:
        return None
    # Completions are the dearer tokens, so the longest reply is the dearest turn.
    written = min(model.max_completion_tokens, tokens)
    return ((tokens - written) * price[0] + written * price[1]) / 1e6


def lab_of(hub_id: str) -> str:
    """Returns who made the model that the hub calls so, as far as the catalogue tells."""
    return next((entry.lab for entry in CATALOGUE.values() if entry.hub_id == hub_id), UNKNOWN_LAB)
