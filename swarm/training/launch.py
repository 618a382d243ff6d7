"""Opens the door to a training: says in one line what is missing, and imports torch only where it is there."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swarm.errors import ConfigError, OutputError
from swarm.training.recipe import Recipe, Tell


def train_models(out: Path, recipe: Recipe, tell: Tell) -> dict[str, Any]:
    """Trains the five models into the folder `out` and returns the record of it; ConfigError where torch is missing."""
    missing = [package for package in ("torch", "onnx") if find_spec(package) is None]
    if missing:
        raise ConfigError(
            "swarm train",
            f"expected {' and '.join(missing)} to be installed",
            "pip install '.[train]' in a clone of the project",
        )
    # The folder is made before hours of training, not after.
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: this folder cannot be made ({error.strerror})") from error
    from swarm.training.train import train

    return train(out, recipe, tell)
