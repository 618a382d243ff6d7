"""Owns what a training is asked for: how long, on how much, at which rates. It knows neither torch nor the network."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """The length and the matter of a training; the same recipe on the same machine gives the same models."""

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
