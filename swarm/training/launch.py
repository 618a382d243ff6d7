"""Opens the door to a training: says in one line what is missing, and imports torch only where it is there."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from swarm.errors import ConfigError, OutputError
from swarm.llm.entry import Temperament
from swarm.training.recipe import Distilling, Labels, Recipe, Tell


def train_models(out: Path, recipe: Recipe, tell: Tell) -> dict[str, Any]:
    """Trains the five models into the folder `out` and returns the record of it; ConfigError where torch is missing."""
    _prepare("swarm train", out)
    from swarm.training.train import train

    return train(out, recipe, tell)


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


def labels_named(name: str) -> Labels:
    """Returns the kind of labels of this name; ConfigError says which there are."""
    for known in get_args(Labels):
        if name == known:
            found: Labels = known
            return found
    raise ConfigError("--labels", f"expected one of {', '.join(get_args(Labels))}, got {name!r}")


def _prepare(command: str, out: Path) -> None:
    missing = [package for package in ("torch", "onnx") if find_spec(package) is None]
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
