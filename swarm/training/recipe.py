"""What a training is asked for: how long, on how much, at which rates. It knows neither torch nor the network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from swarm.llm.temperament import Temperament

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and on what to train; the same recipe on the same machine gives the same models."""

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
    """The length and the matter of training an adapter that judges: at most so many menus once, for so many minutes."""

    seed: int = 2
    temperament: Temperament = "value"
    """Whose rule says in simulated markets what an action is worth."""

    menus: int = 800
    held_out_menus: int = 100
    minutes: float = 60.0
    rank: int = 16
    layers: int = 15
    """The model's layers that are kept, from its first; judging takes less of a model than writing. 0 keeps all."""

    first_layer: int = 0
    """Layers before this one stay as they are, and no gradient goes through them."""

    device: Device = "cpu"
    """What torch computes on: one thread of the CPU, or a GPU (`cuda`), which takes weights of 16 bits."""

    rounds_of_a_step: int = 1
    rate: float = 1e-3
    keep_every: int = 60
    """Menus between two writings of the adapter as far as it is."""


@dataclass(frozen=True, slots=True)
class ReaderRecipe:
    """How long and on how much the reader of news is trained; rounds are lines of news with a few prompts each."""

    seed: int = 3
    rounds: int = 5_000
    held_out_rounds: int = 300
    steps: int = 700
    batch_rounds: int = 20
    prompts_per_round: int = 6
    rate: float = 3e-3
    minutes: float = 60.0


@dataclass(frozen=True, slots=True)
class ReviewerRecipe:
    """How long and on how much a reviewer of contracts is trained; a step takes `batch_rounds` times so many cases."""

    seed: int = 4
    contracts: int = 150
    """Contracts of CUAD that cases are made of, drawn by lot; of the other data all are."""

    steps: int = 500
    batch_rounds: int = 10
    prompts_per_round: int = 6
    rate: float = 2e-3
    minutes: float = 30.0


@dataclass(frozen=True, slots=True)
class CasesRecipe:
    """How long and on how many banks the model of a fraud desk's cases is trained; the last banks are held out."""

    seed: int = 4
    banks: int = 26
    held_out_banks: int = 6
    rounds: int = 16
    """Days of each bank that cases are made of."""

    steps: int = 240
    batch_rounds: int = 10
    cases_per_round: int = 8
    rate: float = 2e-3
    minutes: float = 60.0


Labels = Literal["advantages", "chosen", "random"]


@dataclass(frozen=True, slots=True)
class Distilling:
    """How a student is made from runs."""

    minutes: float = 60.0
    """Minutes after which no further turn is judged and no further step is taken."""

    markets: int = 0
    """Drawn markets of the five embedded models to learn from, beside the runs that are named."""

    base: str = "value"
    """The embedded model that the student begins as."""

    labels: Labels = "advantages"
    """What is learnt: what would have brought most; or, for comparison, what was done, in all turns or in some."""

    ablations: bool = False
    """Makes of the same turns the two students for comparison besides, whatever the labels."""

    relabelled: int = 2
    """Times that the student then plays in the same settings, and its own states are judged."""

    turns_per_round: int = 16
    """Turns of a round that are judged at most."""

    own_turns_per_round: int = 4
    """Turns of a round of the student's own that are judged at most, after each schooling but the last."""

    margin_ticks: int = 3
    """What the best action must bring over passing to be learnt."""

    temperature_ticks: float = 6.0
    """Actions whose gains lie closer than about this share what is learnt."""

    steps: int = 250
    """Steps of schooling before the first and after each relabelling."""

    seed: int = 1


Tell = Callable[[str], None]
