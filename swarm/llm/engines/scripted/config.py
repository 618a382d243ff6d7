"""The keys of a scripted model: a rule in code that stands in for a language model."""

from typing import Literal

from pydantic import Field

from swarm.llm.entry import ModelEntry
from swarm.llm.temperament import Temperament


class ScriptedModel(ModelEntry):
    """A rule in code that reads the prompt's text; it is no language model."""

    engine: Literal["scripted"] = "scripted"
    """What answers the prompts. `scripted`, the default, is a rule in code that reads the prompt's text."""

    temperament: Temperament
    """How a scripted policy behaves: value, momentum, maker (quotes both sides), hoarder, panic."""

    fault_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of replies that a scripted policy garbles on purpose, to see what a run does with them."""

    lies: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of menus to which a scripted policy gives the worst answer that it sees, as a compromised model would.
    Other forms it answers as always."""

    latency_s: float = Field(default=0.0, ge=0.0, le=3_600.0)
    """Seconds that a scripted policy waits before it answers a batch, to see what a slow model does to a run."""

    @property
    def counts_tokens(self) -> bool:
        """Nothing here has a tokenizer."""
        return False

    @property
    def known_latency_s(self) -> float:
        """What the entry says."""
        return self.latency_s

    @property
    def may_count_more(self) -> bool:
        """It counts by the estimate."""
        return False

    @property
    def lab(self) -> str:
        """Nobody has made a model here."""
        return "no language model"
