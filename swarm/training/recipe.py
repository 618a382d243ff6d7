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


@dataclass(frozen=True, slots=True)
class JudgeRecipe:
    """The length and the matter of training an adapter that judges: menus once, or for so many minutes."""

    seed: int = 2
    menus: int = 800
    held_out_menus: int = 100
    minutes: float = 60.0
    rank: int = 16
    first_layer: int = 8
    """Layers before this one stay as they are, and no gradient goes through them."""

    rounds_of_a_step: int = 2
    rate: float = 1e-3
    keep_every: int = 60
    """Menus between two writings of the adapter as far as it is."""


Tell = Callable[[str], None]
