"""The type of what an engine must offer: one file or folder under `swarm.llm.engines` with one export `ENGINE`.

An engine is what runs a model. Nothing outside its plug-in asks for its class or its name: what others must know of it
stands here, or is a property of its entry. An engine's own packages are imported by its `client` and `check` alone, so
that a run owes nothing for engines that it does not use.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from swarm.llm.entry import ModelEntry
from swarm.llm.protocol import LETTERS, PROSE, TOOLS, ModelClient, ModelRequest

Entry = TypeVar("Entry", bound=ModelEntry)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The needs of a model's replica, in terms of no cluster's own."""

    num_gpus: float = 0.0
    accelerator_type: str | None = None
    """Kinds of GPU that it may run on; None for any."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """What must be in its process's environment before anything is imported."""

    can_die: bool = False
    """Whether it has a process of its own whose health is looked at."""

    most_replicas: int | None = None
    """Most replicas where it grows with its load; None where it does not grow."""

    target_ongoing_batches: float = 2.0
    """Batches under way per replica from which on a growing deployment gets another."""

    routing: Literal["balanced", "prefix"] = "balanced"
    """Which replica gets a batch: the less busy one, or the one that had prompts beginning alike before."""

    most_http_requests: int | None = None
    """Requests over HTTP that one replica takes at once; None for as many as batches."""


@dataclass(frozen=True, slots=True)
class Nature:
    """The nature of an engine's models, in the words that stand beside their results.

    What `is_rule` is a rule in code, and is never called a language model. `aside` is what is added of several of them,
    and `about` what a reader must know of each to judge its results.
    """

    name: str
    plural: str
    is_rule: bool = False
    aside: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of `swarm models list`: the keys of an entry, what such a model is, and how it decides."""

    keys: str
    what: str
    how: str


@dataclass(frozen=True, slots=True)
class CheckConditions:
    """The conditions of a check: tokens of a turn, seconds to wait for, and whether engines run here."""

    tokens_per_turn: int
    timeout_s: float
    here: bool = True
    requests: Mapping[str, ModelRequest] = field(default_factory=dict)
    """A request as the run will make it, by model, as far as they are known."""


# What an engine does that has nothing to check, warn of, measure or ask of a cluster.
def _nothing_wrong(models: Sequence[Any], conditions: CheckConditions) -> list[str]:
    return []


def _nothing_to_warn_of(models: Sequence[Any]) -> list[str]:
    return []


def _not_measured(models: Sequence[Any], within_s: float) -> dict[str, float]:
    return {}


def _no_terms(model: Any) -> str:
    return ""


def _no_rows() -> list[Listed]:
    return []


def _plain(model: Any) -> Deployment:
    return Deployment()


@dataclass(frozen=True, slots=True)
class EnginePlugin(Generic[Entry]):
    """One engine: the keys of its entries, and what is done with an entry."""

    name: str
    """What the key `engine` of its entries calls it: the name of its file or folder."""

    config: type[Entry]
    """The class of its entries, whose key `engine` allows this name alone."""

    client: Callable[[Entry], ModelClient]
    """Returns a client that runs the model in this process or below it, or reaches its endpoint from here."""

    check: Callable[[Sequence[Entry], CheckConditions], list[str]] = _nothing_wrong
    """Returns one line for each model that cannot be used: `models: NAME: reason; remedy`. Runs before a run."""

    warnings: Callable[[Sequence[Entry]], list[str]] = _nothing_to_warn_of
    """Returns what a user should know although nothing is wrong."""

    terms: Callable[[Entry], str] = _no_terms
    """Returns in a line whose model it is and under which licence; empty where nobody can tell here."""

    latencies_s: Callable[[Sequence[Entry], float], dict[str, float]] = _not_measured
    """Returns the measured seconds of the shortest completion by model, at most a given bound; {} if not measured."""

    deployment: Callable[[Entry], Deployment] = _plain
    """Returns what a replica needs of a cluster."""

    abilities: frozenset[str] = frozenset({TOOLS})
    """What its models can do beyond writing what a schema asks for; forms and minds that need one name it."""

    advises: frozenset[str] = frozenset({LETTERS, PROSE})
    """What its models can tell a party that asks them: a letter of a menu of its own, and words."""

    summary: str = ""
    """What it is, in one sentence."""

    nature: Nature | None = None
    """What its models are called; None for language models that are called by the engine's name."""

    listed: Callable[[], Sequence[Listed]] = _no_rows
    """Returns what can be chosen with it, where that is more than one thing."""

    stays_here: bool = False
    """Whether it asks nobody and loads nothing but files that an entry names; without one, anybody may use it."""

    package: tuple[str, str] | None = None
    """A package that it imports beyond what is always installed, and how one gets it."""

    @property
    def known_as(self) -> Nature:
        """What its models are called."""
        return self.nature or Nature(f"model behind {self.name}", f"models behind {self.name}")

    @property
    def rows(self) -> Sequence[Listed]:
        """What can be chosen with it."""
        return self.listed() or [Listed(f"engine: {self.name}", self.known_as.name, self.summary)]

    @property
    def is_checked(self) -> bool:
        """Tells whether there is anything to be found out about its models before a run."""
        return self.check is not _nothing_wrong
