"""Owns the entries of a journal: a closed union with one codec, read as strictly as a config is.

An entry is a command of the market, or a fact that changes nothing in it by itself: how the run began and was forked,
what was decided, what parties did, and the end of a round. This module knows the form of each entry; what must hold
among them, and between them and a plan, is the history's to check.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from swarm.agents.turns import Turns
from swarm.coordination.assignment import OWN, Chosen
from swarm.market import commands, records
from swarm.market.commands import Command
from swarm.market.config import Mechanism
from swarm.market.orders import Int64, Orders
from swarm.market.records import RecordError
from swarm.simulation import party
from swarm.simulation.party import Act

JOURNAL_FORMAT = 2
MAX_VERSION_CHARS = 100


@dataclass(frozen=True, slots=True)
class RunBegan:
    """The first entry: the journal's format, the version of the software that began it, and the run's config."""

    format: int
    software: str
    config_sha256: str
    config: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """The entry from which a replay comes to a round's decisions without any model.

    `late` are the traders that no answer came from. What the staffing chose is `pace`, the level and how many of those
    who are due are asked, or `chosen`, each one by name with its model; with neither, all were asked at their own.
    """

    round: int
    turns: Turns
    baseline_orders: Orders
    late: Int64
    pace: tuple[int, int] | None = None
    chosen: Chosen | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Acted:
    """The entry of what a party did after a round; `refused` has the index of each act that does not hold, and why."""

    round: int
    party: str
    acts: tuple[Act, ...]
    refused: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Forked:
    """The entry with which a run leaves the history of another, after a round, for another config."""

    round: int
    parent_sha256: str
    changes: tuple[str, ...]
    config_sha256: str
    config: dict[str, Any]
    mechanisms: tuple[Mechanism, ...]


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """The last entry of a round: the hash of the market's state."""

    round: int
    state_sha256: str


Entry = RunBegan | Decided | Acted | Forked | RoundEnded | Command

_FACTS: dict[str, type[Any]] = {c.__name__: c for c in (RunBegan, Decided, Acted, Forked, RoundEnded)}
KINDS: tuple[str, ...] = (*_FACTS, *commands.KINDS)


def to_record(entry: Entry, *, as_arrays: bool = False) -> list[Any]:
    """Returns `[kind, field, field, ...]` in plain values; a command's columns may stay arrays."""
    if type(entry).__name__ not in _FACTS:
        return commands.to_record(entry, as_arrays=as_arrays)  # type: ignore[arg-type]
    record = [type(entry).__name__, *(_written(getattr(entry, f.name)) for f in fields(entry))]
    # A field that is not written keeps journals short, and the same as before there was such a field.
    return record[:-1] if _is_short(entry) else record


def from_record(record: Any) -> Entry:
    """Returns the entry that `to_record` wrote; RecordError names the kind, and the field that is no such entry's."""
    kind, *values = records.listed(record, "the record") or [None]
    if type(kind) is not str or kind not in KINDS:
        raise records.expected("the kind", f"one of {', '.join(KINDS)}", kind)
    try:
        if kind not in _FACTS:
            return commands.from_record(record)
        # The short form has its last field filled in, so that one reader serves for both.
        if kind == Decided.__name__ and len(values) == len(fields(Decided)) - 1:
            values = [*values, _NOBODY_CHOSEN]
        # Each field is read by its name where one is listed, else by its type.
        entry: Entry = records.read_fields(_FACTS[kind], values, _READERS)
    except RecordError as error:
        raise RecordError(f"{kind}: {error}") from None
    return entry


_NOBODY_CHOSEN = object()
"""Stands for the last field of a Decided that is not written."""


def _is_short(entry: Entry) -> bool:
    """Tells whether the last field is left out: where no staffing has named whom it asks, in nearly all runs."""
    return isinstance(entry, Decided) and entry.chosen is None


def _written(value: Any) -> Any:
    match value:
        case Turns():
            return value.to_record()
        case Orders():
            return commands.pack_orders(value)
        case Chosen():
            # Columns as bytes: a list of integers would be five times as long and slower to read.
            packed = [records.pack_column(column) for column in (value.trader, value.model)]
            return [len(value.trader), *packed, list(value.models)]
        case np.ndarray():
            return value.tolist()
        case tuple():
            return [party.to_record(one) if isinstance(one, Act) else _written(one) for one in value]
        case _:
            return value


def _version(value: Any, name: str) -> str:
    found = records.text(value, name)
    if len(found) > MAX_VERSION_CHARS or not found.isprintable():
        raise records.expected(name, "a version", value)
    return found


def _mechanisms(value: Any, name: str) -> tuple[Mechanism, ...]:
    return tuple(records.mechanism(one, name) for one in records.texts(value, name))


def _late(value: Any, name: str) -> Int64:
    return records.ascending(records.column(value, name, low=0), name)


def _pace(value: Any, name: str) -> tuple[int, int] | None:
    if value is None:
        return None
    level, asked = records.listed(value, name, 2)
    return records.integer(level, f"{name}.level", 0, 255), records.count(asked, f"{name}.asked")


def _chosen(value: Any, name: str) -> Chosen | None:
    if value is _NOBODY_CHOSEN:
        return None
    length, trader, model, models = records.listed(value, name, 4)
    asked = records.count(length, f"{name}.asked")
    names = records.texts(models, f"{name}.models")
    number = records.packed_column(trader, f"{name}.trader", asked)
    # No trader has a number below zero, and none is named twice.
    number = records.ascending(records.within(number, f"{name}.trader", 0, records.HIGHEST), f"{name}.trader")
    which = records.packed_column(model, f"{name}.model", asked)
    return Chosen(number, records.within(which, f"{name}.model", OWN, len(names) - 1), names)


def _acts(value: Any, name: str) -> tuple[Act, ...]:
    return tuple(party.from_record(one, f"{name}[{i}]") for i, one in enumerate(records.listed(value, name)))


def _refused(value: Any, name: str) -> tuple[tuple[int, str], ...]:
    pairs = [records.listed(pair, name, 2) for pair in records.listed(value, name)]
    return tuple((records.count(index, name), records.text(why, name)) for index, why in pairs)


_READERS: dict[Any, records.Read] = {
    "round": records.round_number,
    "turns": lambda value, _: Turns.from_record(value),
    "late": _late,
    "pace": _pace,
    "chosen": _chosen,
    "acts": _acts,
    "refused": _refused,
    "changes": records.texts,
    "mechanisms": _mechanisms,
    "software": _version,
    "config": records.plain_map,
    "baseline_orders": commands.unpack_orders,
    str: records.text,
    int: records.integer,
}
