"""Reads the user's own copies of labelled contracts: CUAD, ContractNLI and CLAUDETTE, as far as a folder has them.

None of it comes with the software. Topics are named as rules name them: a category of CUAD by its name, a statement of
ContractNLI as `nda-3`, a class of unfair terms as `unfair-ltd`.
"""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from swarm.errors import ConfigError
from swarm.scenarios.contract.quotation import Span
from swarm.scenarios.contract.stances import AGAINST, NOTHING, THERE
from swarm.scenarios.contract.verdicts import CONTRADICTED, MET, MISSING

Kind = TypeVar("Kind")
CORPORA = CUAD, NLI, UNFAIR = "cuad", "contract_nli", "unfair_tos"
UNFAIR_CLASSES = ("a", "ch", "cr", "j", "law", "ltd", "ter", "use")
FEWEST = 8
"""So many documents are learned from, at the least: a word of clauses that fewer pieces have is not known."""

LABELS = {"Contradiction": AGAINST, "Entailment": THERE, "NotMentioned": NOTHING}
"""ContractNLI's names for the labels of `swarm.scenarios.contract.stances`."""


@dataclass(frozen=True, slots=True)
class Clauses:
    """A contract of CUAD: its text, and the spans of each category that it has; empty where these were not found."""

    text: str
    labels: Mapping[str, Sequence[Span]]


@dataclass(frozen=True, slots=True)
class Stated:
    """A contract of ContractNLI: its sentences, and by statement its label and the sentences that show it."""

    sentences: tuple[str, ...]
    labels: Mapping[str, int]
    evidence: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of one company: sentences, the classes in which each is unfair, and the fold that the corpus puts it in."""

    sentences: tuple[str, ...]
    unfair: tuple[frozenset[str], ...]
    fold: int


def verdict_of(label: int, bars: bool) -> int:
    """Returns the verdict that a label comes to; a rule that bars something is broken by what is there."""
    if bars:
        return CONTRADICTED if label == THERE else MET
    return {THERE: MET, AGAINST: CONTRADICTED}.get(label, MISSING)


def had(data: Path) -> tuple[str, ...]:
    """Returns the corpora that a folder has."""
    return tuple(name for name in CORPORA if (data / name).is_dir())


def cuad(data: Path) -> tuple[list[Clauses], list[Clauses]]:
    """Returns the contracts to learn from, and those of the official test."""
    parts = [
        [one for name in names for one in _documents(data / CUAD / f"{name}.jsonl.gz", _clauses)]
        for names in (("cuad_train_a", "cuad_train_b"), ("cuad_test63",))
    ]
    return _enough(data / CUAD, parts[0]), parts[1]


def nli(data: Path) -> tuple[list[Stated], list[Stated]]:
    """Returns the agreements to learn from, and those of the official test."""
    parts = [
        [one for name in names for one in _documents(data / NLI / f"{name}.json.gz", _stated)]
        for names in (("dev", "train_truncated"), ("test",))
    ]
    return _enough(data / NLI, parts[0]), parts[1]


def unfair(data: Path) -> list[Terms]:
    """Returns the terms of all companies; grades 2 and 3 are unfair, 1 is fair."""
    return _enough(data / UNFAIR, _documents(data / UNFAIR / "claudette_en.jsonl.gz", _terms))


def _enough(folder: Path, found: list[Kind]) -> list[Kind]:
    if len(found) < FEWEST:
        expected = f"{folder}: expected at least {FEWEST} documents to learn from, got {len(found)}"
        raise ConfigError("DATA", expected, "add some, or take the folder away")
    return found


def _clauses(document: Mapping[str, Any]) -> Clauses:
    return Clauses(document["text"], document["labels"])


def _terms(document: Mapping[str, Any]) -> Terms:
    # Tags are a class and a grade, such as `ltd3`.
    tags = (frozenset(tag.rstrip("123") for tag in own if tag[-1] in "23") for own in document["tags"])
    return Terms(tuple(document["sentences"]), tuple(tags), document["fold"])


def _stated(document: Mapping[str, Any]) -> Stated:
    # There is one set of annotations for each document.
    told = document["annotation_sets"][0]["annotations"]
    return Stated(
        tuple(document["text"][start:end] for start, end in document["spans"]),
        {name: LABELS[one["choice"]] for name, one in told.items()},
        {name: tuple(one["spans"]) for name, one in told.items()},
    )


def _documents(path: Path, read: Callable[[Mapping[str, Any]], Kind]) -> list[Kind]:
    """Returns what a packed file holds; ConfigError where it is not there, or is of another form."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            text = file.read()
        # Texts have line ends of other kinds within them, which part no rows.
        if path.name.endswith(".jsonl.gz"):
            return [read(json.loads(line)) for line in text.split("\n") if line]
        return [read(one) for one in json.loads(text)["documents"]]
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ConfigError(
            "DATA", f"{path}: it cannot be read ({type(error).__name__})", "docs/contracts.md names the files"
        ) from error
