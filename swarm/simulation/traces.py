"""Keeps what each round was made of, row by row: every call of a model, every order and every message.

These tables are of the size of the journal, so no run writes them: they are made in a replay, when somebody asks.
Prompts are made again and held against their digests, as for one trader alone.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from swarm.agents.mind import Seats
from swarm.agents.minds import asking
from swarm.agents.recall import recalled
from swarm.coordination.messages import GOSSIP, NO_GOOD, OFFER, TIP
from swarm.errors import ConfigError, ReplayMismatch
from swarm.market.orders import Int64, side_name
from swarm.scenarios.protocol import MarketState
from swarm.simulation.folder import RunFolder
from swarm.simulation.history import Compose
from swarm.simulation.joint import JointSetting
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.replay import replay

_SCHEMAS: dict[str, dict[str, Any]] = {
    "calls": {
        "round": pl.Int64,
        "region": pl.String,
        "trader": pl.Int64,
        "mind": pl.String,
        "call": pl.Int64,
        "asker": pl.String,
        "model": pl.String,
        "prompt": pl.String,
        "missing": pl.String,
        "reply": pl.String,
        "finish_reason": pl.String,
        "prompt_tokens": pl.Int64,
        "completion_tokens": pl.Int64,
    },
    "orders": {
        "round": pl.Int64,
        "region": pl.String,
        "trader": pl.Int64,
        "mind": pl.String,
        "sequence": pl.Int64,
        "side": pl.String,
        "good": pl.String,
        "limit_ticks": pl.Int64,
        "quantity_lots": pl.Int64,
        "refused": pl.String,
    },
    "messages": {
        "round": pl.Int64,
        "region": pl.String,
        "sender": pl.Int64,
        "mind": pl.String,
        "kind": pl.String,
        "good": pl.String,
        "text": pl.String,
    },
}

TABLES = tuple(_SCHEMAS)
"""The tables that are made in a replay; regions are nulls where there is one market, and so is what nobody knows."""

_WRITES = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(CREATE|DELETE|DROP|TRUNCATE)\b", re.IGNORECASE | re.DOTALL)
"""Statements that polars would carry out on its copy of the tables, as if something had become of the files."""

_KINDS = {GOSSIP: "gossip", TIP: "tip", OFFER: "offer"}


class Traces:
    """A watcher that keeps the rows of those of `TABLES` that are `wanted`."""

    def __init__(self, wanted: frozenset[str] = frozenset(TABLES)) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES if name in wanted}

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Begins with nothing."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps the rows of a round, market by market."""
        setting = outcome.plan.scenario
        if isinstance(setting, JointSetting):
            markets = list(zip(setting.config.all_names, setting.number_of, outcome.of, strict=True))
        else:
            markets = [("", np.arange(outcome.plan.traders), outcome)]
        # Seats of a market become the run's numbers, under which all other tables have a trader.
        for region, number_of, own in markets:
            numbers = number_of.tolist()
            for name, add in (("calls", _calls), ("orders", _orders), ("messages", _messages)):
                if name in self._rows:
                    self._rows[name] += ((own.round, region or None, *row) for row in add(own, numbers))

    def tables(self) -> dict[str, pl.DataFrame]:
        """Returns the tables of the rounds so far."""
        return {name: pl.DataFrame(rows, schema=_SCHEMAS[name], orient="row") for name, rows in self._rows.items()}


def _calls(outcome: RoundOutcome, numbers: list[int]) -> list[tuple[Any, ...]]:
    basis, turns, plan = outcome.basis, outcome.gathered.turns, outcome.plan
    if basis is None:
        return []
    minds, names = asking(plan.shard), turns.mind_names
    row_of = {seat: row for row, seat in enumerate(basis.seen.private.trader.tolist())}
    rows = []
    # A row for each call, in the order in which a turn made them.
    for turn, seat in enumerate(turns.trader.tolist()):
        seats = Seats.at(basis.seen, np.array([row_of[seat]], dtype=np.int64))
        made, _ = recalled(plan.shard, minds[names[turn]], turns, turn, seats)
        for number, call in enumerate(made, 1):
            prompt = "\n\n".join(call.prompt) or None
            kept = (call.asker or None, call.model, prompt, call.missing or None, call.answer or None)
            spent = (call.finish_reason, call.prompt_tokens, call.completion_tokens)
            rows.append((numbers[seat], names[turn], number, *kept, *spent))
    return rows


def _orders(outcome: RoundOutcome, numbers: list[int]) -> list[tuple[Any, ...]]:
    basis, refused, plan = outcome.basis, outcome.taken.reasons, outcome.plan
    if basis is None:
        return []
    goods, orders = plan.scenario.goods, basis.orders
    columns = (orders.trader, orders.sequence, orders.side, orders.good, orders.limit_ticks, orders.quantity_lots)
    return [
        (
            *(numbers[seat], plan.minds[seat], sequence, side_name(side), goods[good], limit, lots),
            refused.get((seat, sequence)),
        )
        for seat, sequence, side, good, limit, lots in zip(*(c.tolist() for c in columns), strict=True)
    ]


def _messages(outcome: RoundOutcome, numbers: list[int]) -> list[tuple[Any, ...]]:
    said, plan = outcome.said, outcome.plan
    goods = plan.scenario.goods
    columns = (said.sender.tolist(), said.kind.tolist(), said.good.tolist(), said.text)
    return [
        (numbers[seat], plan.minds[seat], _KINDS[kind], None if good == NO_GOOD else goods[good], text)
        for seat, kind, good, text in zip(*columns, strict=True)
    ]


def traces(journals: Mapping[str, Path], compose: Compose, wanted: frozenset[str]) -> dict[str, pl.DataFrame]:
    """Returns those of `TABLES` that are wanted, of all rounds; ReplayMismatch where the history does not hold."""
    watcher = Traces(wanted)
    result = replay(journals, compose, (watcher,))
    if not result.holds:
        raise ReplayMismatch(f"the history does not hold: {result.mismatch or 'its hash is another'}")
    return watcher.tables()


def queried(folder: RunFolder, compose: Compose, sql: str) -> pl.DataFrame:
    """Returns what a query in polars' SQL comes to over all tables of a run; ConfigError says what is wrong with it.

    The run is replayed only where the query names a table that is made in a replay.
    """
    if writes := _WRITES.match(sql):
        raise ConfigError("SQL", f"{writes[1].upper()} would change a run's tables, and no query does", "use SELECT")
    # Those that no query has named yet are there with their columns, so that SHOW TABLES has them.
    tables: dict[str, pl.DataFrame] = {name: pl.DataFrame(schema=schema) for name, schema in _SCHEMAS.items()}
    tables |= folder.read_record().tables
    wanted = frozenset(name for name in TABLES if re.search(rf"\b{name}\b", sql, re.IGNORECASE))
    if wanted:
        tables |= traces(folder.journals, compose, wanted)
    try:
        return pl.SQLContext(tables).execute(sql, eager=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        known = ", ".join(sorted(tables))
        said = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise ConfigError("SQL", said, f"tables of this run: {known}") from error
