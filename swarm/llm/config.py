"""The models' section of a config."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from swarm.schema import StrictModel

Temperament = Literal["value", "momentum", "maker", "hoarder", "panic"]
DecisionForm = Literal["orders", "menu"]


class ModelConfig(StrictModel):
    """One model: its name, the engine behind it, and how it is deployed."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """What the rest of the config and every table calls this model: lower case, digits, `.`, `_`, `-`."""

    engine: Literal["scripted"] = "scripted"
    """What answers the prompts. `scripted` is a rule in code that reads the prompt's text; it is no language model."""

    temperament: Temperament
    """How a scripted policy behaves: value, momentum, maker (quotes both sides), hoarder, panic."""

    form: DecisionForm = "orders"
    """What it answers with: orders as JSON, or the letters of a menu that the engine has computed."""

    replicas: int = Field(default=1, ge=1, le=64)
    """Replicas of this model's Ray Serve deployment."""

    num_cpus: float = Field(default=0.0, ge=0.0, le=256.0)
    """CPU cores that each replica reserves on the Ray cluster."""

    max_completion_tokens: int = Field(default=200, ge=16, le=4_000)
    """Most tokens of one reply; a longer reply is cut off, and is then a decision error."""

    fault_rate: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of replies that a scripted policy garbles on purpose, to see what a run does with them."""


class EmbeddedModel(StrictModel):
    """One of the tiny language models that travel with the code; it answers menus and nothing else."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """What the rest of the config and every table calls this model: lower case, digits, `.`, `_`, `-`."""

    engine: Literal["embedded"]
    """What answers the prompts: a tiny model of our own on the CPU, by onnxruntime."""

    temperament: Temperament
    """Which of the five: value, momentum, maker (quotes both sides), hoarder, panic."""

    form: Literal["menu"] = "menu"
    """What it answers with: the letters of a menu."""

    temperature: float = Field(default=0.0, ge=0.0, le=5.0)
    """0: always the likeliest letter. Above: drawn by the request's seed, the flatter the hotter."""

    threads: int = Field(default=1, ge=1, le=64)
    """Threads that one process computes with."""

    replicas: int = Field(default=1, ge=1, le=64)
    """Replicas of this model's Ray Serve deployment."""

    num_cpus: float = Field(default=0.0, ge=0.0, le=256.0)
    """CPU cores that each replica reserves on the Ray cluster."""

    max_completion_tokens: int = Field(default=2, ge=2, le=16)
    """Most tokens of one reply, which is two letters."""


def _engine_of(section: Any) -> str:
    """The engine that a section names; a section without one means the scripted policies."""
    engine = section.get("engine", "scripted") if isinstance(section, dict) else section.engine
    return str(engine)


AnyModel = Annotated[
    Annotated[ModelConfig, Tag("scripted")] | Annotated[EmbeddedModel, Tag("embedded")],
    Discriminator(_engine_of),
]
"""Any entry of a config's `models`, told apart by `engine`."""
