"""The keys of an embedded model: one of the tiny ones that travel with the code."""

from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from swarm.llm.entry import ModelEntry
from swarm.llm.temperament import Temperament

STUDENT = "model.onnx"
"""The file of a model in a folder of its own."""

GRAPH = "embedded-{}"
"""What a model's file calls its graph, by what it was schooled as."""

READER, CASES = "reader", "cases"
"""The models that read the news of supply chains and the cases of a fraud desk; they answer no menu of a market."""


REVIEWER = "reviewer"
"""What a model's file says that was schooled on cases of contract desks; none of these travels with the code."""


class EmbeddedModel(ModelEntry):
    """One of the tiny language models that travel with the code, or one that was trained alike; it answers letters."""

    engine: Literal["embedded"]
    """What answers the prompts. `embedded` is a tiny model of our own on the CPU, run by onnxruntime."""

    temperament: Temperament | Literal["profit", "reader", "cases"] | None = None
    """value, momentum, maker (quotes both sides), hoarder, panic, or profit (learned what pays); of supply chains
    reader, of fraud desks cases. Or `path`."""

    path: Path | None = None
    """A model of your own: a folder that `swarm distil` or `swarm train-reviewer` has written, or the .onnx file in
    it."""

    form: Literal["menu"] = "menu"
    """What it answers with at a market: the letters of a menu that the engine has computed, and nothing else."""

    temperature: float = Field(default=0.0, ge=0.0, le=5.0)
    """0: always the likeliest letter. Above: drawn by the request's seed, the flatter the hotter."""

    threads: int = Field(default=1, ge=1, le=64)
    """Threads that one process computes with."""

    max_completion_tokens: int = Field(default=2, ge=2, le=4_000)
    """Most tokens of one reply, which has two."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.temperament is None) == (self.path is None):
            raise ValueError("expected either a temperament or the path of a model of your own; name one of them")
        return self

    @property
    def weights(self) -> Path:
        """The file of the model's weights, whether it is there or not."""
        if self.path is None:
            return self.weights_of(str(self.temperament))
        path = self.path.expanduser()
        return path if path.suffix == ".onnx" else path / STUDENT

    @staticmethod
    def weights_of(temperament: str) -> Path:
        """Returns the file of one of the models that travel with the code."""
        return Path(str(files(__package__))) / "weights" / f"{temperament}.onnx"

    def placed(self) -> Self:
        """Returns the entry with its file as seen from anywhere."""
        return self.model_copy(update={"path": self.weights.absolute()}) if self.path else self

    @property
    def may_count_more(self) -> bool:
        """Its words and numbers are tokens, none shorter than the estimate's pieces."""
        return False

    @property
    def lab(self) -> str:
        """This project."""
        return "Thousand Token Wood"
