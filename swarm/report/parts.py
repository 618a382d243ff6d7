"""The types that sections of the report are made of, figures, tables, marked texts, and the plug-in that makes them.

It knows neither how a chart looks nor how the page is laid out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from swarm.report import charts
from swarm.report.charts import Panel
from swarm.simulation.record import RunRecord

PANELS = 12
"""Most goods or kinds with a panel of their own."""


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a figure's colour key; `look` is a class of the page: line, band, block and others."""

    label: str
    colour: str
    look: str = "line"


@dataclass(frozen=True, slots=True)
class Figure:
    """Panels that are read alike, under one title and one sentence that says how."""

    title: str
    caption: str
    panels: tuple[Panel, ...]
    keys: tuple[Key, ...] = ()
    layout: Literal["wide", "grid", "half"] = "wide"
    by_mind: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text; the columns that are not among `words` hold numbers."""

    title: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)
    by_mind: bool = False
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a text; `look` is a class of the page for a mark, empty for none, and `told` what it is marked for."""

    text: str
    look: str = ""
    told: str = ""


@dataclass(frozen=True, slots=True)
class Marked:
    """A text as it is, with marks in it."""

    title: str
    caption: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    key: str
    title: str
    parts: tuple[Figure | Table | Marked, ...]


@dataclass(frozen=True, slots=True)
class SectionPlugin:
    """One file's way to show what a run has: `build` makes the parts, none where there is nothing to show.

    `without_rounds` tells that the section also stands in the report of a run that finished no round, `of_trades` that
    it has nothing to say of one without trades whose scenario tells figures of its own.
    """

    name: str
    title: str
    build: Callable[[RunRecord], tuple[Figure | Table | Marked, ...]]
    without_rounds: bool = False
    of_trades: bool = False


def of_regions(summary: Mapping[str, Any]) -> str:
    """Returns the sentence for figures that put several regions together; empty where there is one market."""
    return " Shown are means over regions, of clearing prices by volume." if summary.get("regions") else ""


def good_keys(goods: Sequence[str], look: str = "line") -> tuple[Key, ...]:
    """Returns an entry of the colour key for each good."""
    keys = []
    for good in goods:
        colour, dashes = charts.good_colour(goods, good)
        # The key shows that a line is dashed, and not which of the dashes it has.
        keys.append(Key(good, colour, "dashed" if look == "line" and dashes != charts.DASHES[0] else look))
    return tuple(keys)


def time_unit(longest_s: float) -> tuple[str, int]:
    """Returns the unit in which such a time is a readable number, and how many of it are a second."""
    return ("s", 1) if longest_s >= 1 else ("ms", 1_000)
