"""The models' section of a config."""

from typing import Literal

from pydantic import Field

from swarm.schema import StrictModel

Temperament = Literal["value", "momentum", "maker", "hoarder", "panic"]


class ModelConfig(StrictModel):
    """One model: its name, the engine behind it, and how it is deployed."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """What the rest of the config and every table calls this model: lower case, digits, `.`, `_`, `-`."""

    engine: Literal["scripted"] = "scripted"
    """What answers the prompts. `scripted` is a rule in code that reads the prompt's text; it is no language model."""

    temperament: Temperament
    """How a scripted policy behaves: value, momentum, maker (quotes both sides), hoarder, panic."""

    replicas: int = Field(default=1, ge=1, le=64)
    """Replicas of this model's Ray Serve deployment."""

    num_cpus: float = Field(default=0.0, ge=0.0, le=256.0)
    """CPU cores that each replica reserves on the Ray cluster."""

    max_completion_tokens: int = Field(default=200, ge=16, le=4_000)
    """Most tokens of one reply; a longer reply is cut off, and is then a decision error."""

    fault_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of replies that a scripted policy garbles on purpose, to see what a run does with them."""
