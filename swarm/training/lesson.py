"""What a training is asked for, and the door to it that says in one line what is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swarm.errors import ConfigError, OutputError


@dataclass(frozen=True, slots=True)
class Lesson:
    """How long and on what to train; the same lesson on the same machine gives the same models."""

    seed: int = 1
    markets: int = 600
    held_out_markets: int = 40
    shared_steps: int = 2_200
    own_steps: int = 200
    batch_rounds: int = 24
    prompts_per_round: int = 6
    rate: float = 2.5e-3
    own_rate: float = 8e-4
    workers: int = 3
    """Processes of one thread each; threads of one process would mostly wait for each other in so small a network."""


Tell = Callable[[str], None]


def train_models(out: Path, lesson: Lesson, tell: Tell) -> dict[str, Any]:
    """Train the five models into the folder `out` and return the record of it; ConfigError where torch is missing."""
    missing = [package for package in ("torch", "onnx") if find_spec(package) is None]
    if missing:
        raise ConfigError(
            "swarm train",
            f"expected {' and '.join(missing)} to be installed",
            "pip install 'thousand-token-wood[train]'",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: this folder cannot be made ({error.strerror})") from error
    from swarm.training.train import train

    return train(out, lesson, tell)
