"""Opens the door to a training: says in one line what is missing, and imports torch only where it is there."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from swarm.errors import ConfigError, OutputError
from swarm.llm.engines.llama.config import NoFileError, located
from swarm.llm.engines.llama.gguf import NotGgufError, read_header
from swarm.llm.temperament import Temperament
from swarm.training import labelled_contracts
from swarm.training.lessons import of_runs, simulated
from swarm.training.recipe import (
    CasesRecipe,
    Distilling,
    JudgeRecipe,
    ReaderRecipe,
    Recipe,
    ReviewerRecipe,
    Tell,
)

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


def train_reviewer(data: Path, out: Path, recipe: ReviewerRecipe, tell: Tell) -> dict[str, Any]:
    """Trains a tiny reviewer of contracts into the folder `out` and returns the record of it.

    ConfigError where torch is missing, or the folder has nothing to learn from.
    """
    _has_labels(data)
    _prepare("swarm train-reviewer", out)
    from swarm.training.reviewer import train_reviewer

    return train_reviewer(data, out, recipe, tell)


def train_cases(out: Path, recipe: CasesRecipe, tell: Tell) -> dict[str, Any]:
    """Trains the model of cases into the folder `out` and returns the record of it; ConfigError without torch."""
    _prepare("swarm train-cases", out)
    from swarm.training.case_reader import train_cases

    return train_cases(out, recipe, tell)


def train_screener(data: Path, out: Path, tell: Tell) -> dict[str, Any]:
    """Trains a screener of contracts, writes it to the file `out` and returns the record of it.

    ConfigError where scikit-learn is missing, or the folder has nothing to learn from.
    """
    if find_spec("sklearn") is None:
        raise ConfigError("swarm train-screener", "needs scikit-learn", "install the extra `contracts`")
    _has_labels(data)
    from swarm.training.screener import train_screener

    # Minutes of training end with a file, so that it can be written is known before.
    if out.is_dir() or not out.absolute().parent.is_dir() or not os.access(out.absolute().parent, os.W_OK):
        raise OutputError(f"{out}: no screener can be written there; --out names a file in a folder that is there")
    return train_screener(data, out, tell)


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


def train_judge(base: str, out: Path, recipe: JudgeRecipe, tell: Tell, runs: Sequence[Path] = ()) -> dict[str, Any]:
    """Trains an adapter that judges into `out`, from `runs` or else from simulated markets, and returns its record.

    `base` is a GGUF file or the name of a package that carries one; ConfigError where its layers are not known, where
    torch, transformers, peft or gguf is missing, where the device is, or where a run has nothing to learn from.
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
    # Runs are read before torch and the model are, which takes longer.
    lessons = of_runs(runs, recipe) if runs else simulated(recipe)
    from swarm.training.judge import train

    return train(file, out, recipe, tell, lessons)


def _has_labels(data: Path) -> None:
    if not labelled_contracts.had(data):
        known = ", ".join(labelled_contracts.CORPORA)
        raise ConfigError("DATA", f"{data}: expected a folder {known} in it", "see docs/contracts.md")


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
