"""Turns: what models answered in a round, as columns, and what reading the answers comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from swarm.agents.decision import DecisionError, Reading, Rules, engine_failure, read_reply
from swarm.agents.desk_trace import read_trace
from swarm.agents.form import Repair
from swarm.agents.menu import Menu, read_choice
from swarm.agents.observation import Int64
from swarm.llm.protocol import ENGINE_FAILURES, MAX_REPLY_CHARS, FinishReason
from swarm.market.orders import BUY, SELL, Orders

NO_MENUS: Mapping[int, Menu] = MappingProxyType({})
NEVER_ASKED = "over budget"
"""The text of a turn whose prompt did not fit its budget, so that no model was asked."""

_NO_DESKS: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """One row per trader that a model was to decide for, in the order of `trader`.

    `text` is the model's reply or, for a trader at a desk, the trace of its turn; tokens are those of all its steps.

    `pruned_messages` counts the lines of gossip that did not fit the trader's budget. Everything but `latency_s`,
    `cached_prompt_tokens` and `first_token_s` (NaN where no engine told it) is part of the run's history; those are
    what a clock and an engine's cache came to, and are kept beside it.
    """

    trader: Int64
    text: tuple[str, ...]
    finish_reason: tuple[FinishReason, ...]
    prompt_tokens: Int64
    completion_tokens: Int64
    pruned_messages: Int64
    latency_s: np.ndarray[Any, np.dtype[np.float64]]
    cached_prompt_tokens: Int64
    first_token_s: np.ndarray[Any, np.dtype[np.float64]] = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if not len(self.first_token_s):
            object.__setattr__(self, "first_token_s", np.full(len(self.trader), np.nan))

    def __len__(self) -> int:
        return len(self.trader)

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """All rows of `parts`, sorted by trader."""
        trader = np.concatenate([np.empty(0, dtype=np.int64), *(p.trader for p in parts)])
        order = np.argsort(trader, kind="stable")
        columns: dict[str, Any] = {}
        for f in fields(cls):
            if f.name in ("text", "finish_reason"):
                flat = [value for p in parts for value in getattr(p, f.name)]
                columns[f.name] = tuple(flat[i] for i in order)
            else:
                dtype = np.float64 if f.name in ("latency_s", "first_token_s") else np.int64
                column = np.concatenate([np.empty(0, dtype=dtype), *(getattr(p, f.name) for p in parts)])
                columns[f.name] = column[order]
        return cls(**columns)

    def to_record(self) -> list[Any]:
        """Plain lists, without the latency and the cached tokens."""
        return [
            self.trader.tolist(),
            list(self.text),
            list(self.finish_reason),
            self.prompt_tokens.tolist(),
            self.completion_tokens.tolist(),
            self.pruned_messages.tolist(),
        ]

    @classmethod
    def from_record(cls, record: list[Any]) -> Self:
        """What `to_record` wrote; latencies and cached tokens are zero."""
        trader, text, finish_reason, prompt, completion, pruned = record
        return cls(
            trader=np.array(trader, dtype=np.int64),
            text=tuple(text),
            finish_reason=tuple(finish_reason),
            prompt_tokens=np.array(prompt, dtype=np.int64),
            completion_tokens=np.array(completion, dtype=np.int64),
            pruned_messages=np.array(pruned, dtype=np.int64),
            latency_s=np.zeros(len(trader)),
            cached_prompt_tokens=np.zeros(len(trader), dtype=np.int64),
        )


def kept_text(text: str) -> str:
    """What is read and journalled of a reply: valid Unicode, and of an endless one just enough to see that it is."""
    return text[: MAX_REPLY_CHARS + 1].encode(errors="replace").decode()


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """What a round's turns mean: orders, and per turn one line of gossip, an error or None, the form's repairs, the
    number of the model's replies, and the faults of a desk's single steps."""

    orders: Orders
    gossip: tuple[str, ...]
    errors: tuple[DecisionError | None, ...]
    cut_gossip: int
    repairs: tuple[tuple[Repair, ...], ...]
    steps: tuple[int, ...]
    faults: tuple[tuple[DecisionError, ...], ...]


def read_turns(
    turns: Turns,
    makes: Int64,
    rules: Rules,
    tokens_per_turn: int,
    max_gossip_chars: int,
    desk_tokens: Mapping[int, int] = _NO_DESKS,
    menus: Mapping[int, Menu] = NO_MENUS,
) -> Decisions:
    """Read every reply; `makes` has one entry per turn. A turn that can't be read has no orders and no gossip.

    `desk_tokens` has, for each trader at a desk, the most tokens of its turn, and `menus` the menu of each trader that
    answers with letters.
    """
    gossip: list[str] = []
    errors: list[DecisionError | None] = []
    readings: list[Reading] = []
    rows: list[tuple[int, int, int, int, int, int, int]] = []
    cut = 0
    good_number = {name: g for g, name in enumerate(rules.goods)}
    spent = (turns.prompt_tokens + turns.completion_tokens).tolist()
    for i, (trader, made) in enumerate(zip(turns.trader.tolist(), makes.tolist(), strict=True)):
        text, finish_reason = turns.text[i], turns.finish_reason[i]
        if trader in desk_tokens:
            reading = _read_desk(text, finish_reason, spent[i], made, rules, desk_tokens[trader])
        else:
            reading = _read_one(text, finish_reason, spent[i], made, rules, tokens_per_turn, menus.get(trader))
        outcome = reading.outcome
        readings.append(reading)
        if isinstance(outcome, DecisionError):
            errors.append(outcome)
            gossip.append("")
            continue
        errors.append(None)
        line = " ".join(outcome.gossip.split())
        cut += len(line) > max_gossip_chars
        gossip.append("".join(c for c in line[:max_gossip_chars] if c.isprintable()))
        for sequence, order in enumerate(outcome.orders):
            side = BUY if order.side == "buy" else SELL
            rows.append((trader, sequence, good_number[order.good], side, order.price, order.quantity, 0))
    columns = np.array(rows, dtype=np.int64).reshape(len(rows), 7)
    return Decisions(
        Orders(*(columns[:, c].copy() for c in range(7))),
        tuple(gossip),
        tuple(errors),
        cut,
        tuple(r.repairs for r in readings),
        tuple(r.steps for r in readings),
        tuple(r.faults for r in readings),
    )


def _read_one(
    text: str,
    finish_reason: FinishReason,
    spent: int,
    makes: int,
    rules: Rules,
    tokens_per_turn: int,
    menu: Menu | None,
) -> Reading:
    if finish_reason in ENGINE_FAILURES:
        if text == NEVER_ASKED:
            return Reading(DecisionError.OVER_BUDGET, steps=0)
        return Reading(engine_failure(finish_reason))
    if spent > tokens_per_turn:
        return Reading(DecisionError.OVER_BUDGET)
    if menu:
        return Reading(DecisionError.TRUNCATED if finish_reason == "length" else read_choice(text, menu, rules))
    return read_reply(text, finish_reason == "length", rules, makes)


def _read_desk(
    text: str, finish_reason: FinishReason, spent: int, makes: int, rules: Rules, max_tokens: int
) -> Reading:
    reading = read_trace(text, rules, makes)
    if finish_reason in ENGINE_FAILURES:
        return replace(reading, outcome=engine_failure(finish_reason))
    return replace(reading, outcome=DecisionError.OVER_BUDGET) if spent > max_tokens else reading
