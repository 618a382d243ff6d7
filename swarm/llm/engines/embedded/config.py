"""The keys of an embedded model: one of the tiny ones that travel with the code."""

from typing import Literal

from pydantic import Field

from swarm.llm.entry import ModelEntry, Temperament


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

    @property
    def may_count_more(self) -> bool:
        """Its words and numbers are tokens, none shorter than the estimate's pieces."""
        return False

    @property
    def lab(self) -> str:
        """This project."""
        return "Thousand Token Wood"
