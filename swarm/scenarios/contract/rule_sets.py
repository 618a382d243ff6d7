"""Reads rule sets: what a contract must have, or must not have. A mistake is named with its rule.

A pattern is a line of parts with ` ~ ` between them; each part is a regular expression that begins at a word, and all
of them are in one sentence or in neighbours of one clause (`met`), or one after another in one sentence (`against`). A
part that begins with `!` must not be there.
"""

import importlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 - `date` is the key's name
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from swarm import bounded_yaml
from swarm.errors import ConfigError, suggest
from swarm.schema import StrictModel, checked

OURS = Path(__file__).parent / "sets"
KEY = "scenario.rule_sets"
JOINT, BARRED, AT_A_WORD = " ~ ", "!", r"(?<!\w)"
MOST_RULES = 2_000
MOST_TURNS = 9
"""What repeats oftener may hold no choice and nothing else that does."""


class Rule(StrictModel):
    """One requirement."""

    id: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,19}$")
    """Its name within the set."""

    title: str = Field(min_length=2, max_length=60)
    """Its heading in the report."""

    says: str = Field(min_length=10, max_length=300)
    """What holds where the rule is met, in a sentence."""

    bars: bool = False
    """It is about something that must not be there: `against` finds it, and where nothing does the rule is met."""

    met: tuple[str, ...] = Field(default=(), max_length=20)
    """Patterns, any of which meets the rule."""

    against: tuple[str, ...] = Field(default=(), max_length=20)
    """Patterns, any of which contradicts it."""

    words: str = Field(min_length=2, max_length=120)
    """Words that such a clause has, by which candidates are found; endings don't count."""

    weight: int = Field(default=3, ge=1, le=5)
    """How much it matters."""

    laws: tuple[str, ...] = ()
    """The governing laws under which it applies; none: under any."""

    topic: str = ""
    """What a trained screener calls it; empty: none knows it."""

    @model_validator(mode="after")
    def _has_patterns(self) -> "Rule":
        if self.bars and self.met:
            raise ValueError("what must not be there has no `met`; write its patterns under `against`")
        if not (self.against if self.bars else self.met):
            raise ValueError(f"expected a pattern under `{'against' if self.bars else 'met'}`")
        for pattern in (*self.met, *self.against):
            parts_of(pattern)
        if not re.search("[a-z0-9]{2}", self.words.lower()):
            raise ValueError(f"{self.words!r} has no word in Latin letters, by which a clause is found; name some")
        return self


class RuleSet(StrictModel):
    """A set of rules with its version and date."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")
    """Its name."""

    version: str = Field(min_length=1, max_length=20)
    """Its version, which stands in the report and in each finding's key."""

    date: Date
    """When that version was made."""

    title: str = Field(min_length=2, max_length=60)
    """Its heading in the report."""

    laws: tuple[str, ...] = ()
    """The governing laws under which it applies; none: under any."""

    rules: tuple[Rule, ...] = Field(min_length=1, max_length=MOST_RULES)
    """Its rules, each once."""

    @model_validator(mode="after")
    def _has_each_rule_once(self) -> "RuleSet":
        # By id, and by what each says, without case and white space.
        ids: dict[str, str] = {}
        told: dict[str, str] = {}
        for rule in self.rules:
            sentence = " ".join(rule.says.lower().split())
            if rule.id in ids:
                raise ValueError(f"the rule {rule.id} stands there twice; leave one out or rename it")
            if sentence in told:
                raise ValueError(f"the rules {told[sentence]} and {rule.id} say the same; leave one out")
            ids[rule.id], told[sentence] = rule.id, rule.id
        return self

    def applies(self, laws: Sequence[str], law: str) -> bool:
        """Tells whether what holds under some laws holds under this one; under a law that nobody names it does."""
        return not laws or not law or law in laws


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a pattern: those that must be there, and those that must not."""

    wanted: tuple[re.Pattern[str], ...]
    barred: tuple[re.Pattern[str], ...]


@cache
def parts_of(pattern: str) -> Parts:
    """Returns the parts of a pattern; ValueError where one is no regular expression, or none is wanted."""
    sides: tuple[list[re.Pattern[str]], list[re.Pattern[str]]] = ([], [])
    try:
        for part in pattern.split(JOINT):
            barred = part.startswith(BARRED)
            # Lines are broken anywhere between words; a look behind takes a width that is known.
            space = r"\s" if "(?<" in part else r"\s+"
            own = part.removeprefix(BARRED).replace(" ", space)
            if why := _unfit(own):
                raise ValueError(f"{pattern[:60]!r}: the part {part[:40]!r} {why}")
            sides[barred].append(re.compile(rf"{AT_A_WORD}(?:{own})", re.IGNORECASE))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern[:60]!r} is no pattern ({error})") from error
    if not sides[0]:
        raise ValueError(f"{pattern[:60]!r} wants nothing; give it a part without {BARRED!r}")
    return Parts(tuple(sides[0]), tuple(sides[1]))


def _unfit(part: str) -> str:
    """Returns why a regular expression is no part of a pattern; empty where it is one."""
    # By itself, since a bracket too many would close the one that is put around it.
    if re.compile(part, re.IGNORECASE).match(""):
        return "fits anywhere, even where nothing stands; write the words that it must find"
    if _endless(importlib.import_module("re._parser").parse(part)):
        return f"repeats what repeats or has a choice, which may take for ever; bound it, as {{0,{MOST_TURNS}}}"
    return ""


def _endless(tree: Any, repeated: bool = False) -> bool:
    """Tells whether a parsed expression repeats without a bound what can itself be read in several ways."""
    for kind, inner in tree:
        name = str(kind)
        if repeated and name == "BRANCH":
            return True
        many = name.endswith("_REPEAT") and inner[1] > MOST_TURNS
        if repeated and many:
            return True
        # Only what is nested holds expressions: lists of them, at any depth of tuples.
        if any(_endless(one, repeated or many) for one in _within(inner)):
            return True
    return False


def _within(inner: Any) -> Iterator[Any]:
    """Yields the parsed expressions right within a node."""
    for one in inner if isinstance(inner, tuple | list) else ():
        if hasattr(one, "getwidth"):
            yield one
        else:
            yield from _within(one)


@cache
def ours() -> dict[str, RuleSet]:
    """Returns the sets that come with the software, by id."""
    found = [read_rule_set(path, KEY) for path in sorted(OURS.glob("*.yaml"))]
    return {one.id: one for one in found}


def read_rule_set(path: Path, key: str) -> RuleSet:
    """Returns the set of a YAML file; ConfigError names what is wrong and where."""
    try:
        data: Any = bounded_yaml.parse(bounded_yaml.read_text(path))
    except (OSError, ValueError) as error:
        raise ConfigError(key, f"{path}: no rule set can be read here ({error})") from error
    if not isinstance(data, dict):
        raise ConfigError(key, f"{path}: expected id, version, date, title and rules", "see docs/contracts.md")
    return parsed(data, f"{key} ({path.name}): ")


def parsed(data: dict[str, Any], key: str) -> RuleSet:
    """Returns a set of plain values, checked."""
    # YAML has dates of its own, and lists where tuples are kept.
    return checked(RuleSet, {**data, "date": str(data.get("date", ""))}, key)


def named(name: str) -> RuleSet:
    """Returns the set of ours with this id; ConfigError where there is none."""
    known = ours()
    if name not in known:
        raise ConfigError(
            KEY,
            f"there is no rule set {name[:40]!r}{suggest(name, list(known))}",
            f"name a YAML file, or one of {', '.join(known)}",
        )
    return known[name]
