"""Opens the door to a training: says in one line what is missing, and imports torch only where it is there."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from swarm.errors import ConfigError, OutputError
from swarm.llm.engines.llama.config import NoFileError, located
from swarm.llm.engines.llama.gguf import NotGgufError, read_header
from swarm.llm.entry import Temperament
from swarm.training.recipe import Distilling, JudgeRecipe, ReaderRecipe, Recipe, Tell

TAUGHT = ("llama", "qwen2", "qwen3")
"""Architectures whose layers an adapter is known to be put beside."""


def train_models(out: Path, recipe: Recipe, tell: Tell) -> dict[str, Any]:
    """Trains the five models into the folder `out` and returns the record of it; ConfigError where torch is missing."""
    _prepare("swarm train", out)
    from swarm.training.train import train

    return train(out, recipe, tell)


def train_reader(out: Path, recipe: ReaderRecipe, tell: Tell) -> dict[str, Any]:
    """Trains the reader of news into the folder `out` and returns the record of it; ConfigError without torch."""
    _prepare("swarm train-reader", out)
    from swarm.training.reader import train_reader

    return train_reader(out, recipe, tell)


def distil_student(
    runs: Sequence[Path], out: Path, wanted: Distilling, examples: Path | None, tell: Tell
) -> dict[str, Any]:
    """Makes a student from runs into the folder `out` and returns the record of it.

    ConfigError where torch is missing, or no embedded model has the name of the base.
    """
    if wanted.base not in get_args(Temperament):
        raise ConfigError("--base", f"expected one of {', '.join(get_args(Temperament))}, got {wanted.base!r}")
    _prepare("swarm distil", out)
    from swarm.training.distil import distil

    return distil(runs, out, wanted, tell, examples)


def train_judge(base: str, out: Path, recipe: JudgeRecipe, tell: Tell) -> dict[str, Any]:
    """Trains an adapter that judges into `out` and returns the record of it.

    `base` is a GGUF file or the name of a package that carries one; ConfigError where its layers are not known, where
    torch, transformers, peft or gguf is missing, or where the device is.
    """
    try:
        file = located(base)
        architecture = read_header(file).architecture
    except NoFileError as error:
        raise ConfigError("--base", str(error), error.remedy) from None
    except NotGgufError as error:
        raise ConfigError("--base", f"{base} cannot be read: {error}", "name another file") from None
    # Layers have other names in other architectures, and an adapter is written by them.
    if architecture not in TAUGHT:
        expected = f"expected a model of an architecture of {', '.join(TAUGHT)}, got {architecture!r}"
        raise ConfigError("--base", expected, "name another")
    _prepare("swarm train-judge", out, ("torch", "transformers", "peft", "gguf"))
    if recipe.device != "cpu":
        import torch

        if not torch.cuda.is_available():
            raise ConfigError("--device", f"expected a GPU that torch can use for {recipe.device!r}", "use cpu")
    from swarm.training.judge import train

    return train(file, out, recipe, tell)


def _prepare(command: str, out: Path, packages: Sequence[str] = ("torch", "onnx")) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ConfigError(
            command,
            f"expected {' and '.join(missing)} to be installed",
            "pip install '.[train]' in a clone of the project",
        )
    # The folder is made before hours of training, not after.
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: this folder cannot be made ({error.strerror})") from error
