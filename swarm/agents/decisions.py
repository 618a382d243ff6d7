"""Decisions: what reading a round's turns comes to, as columns.

It asks no model and keeps nothing, so a replay reads what was answered to the same decisions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from swarm.agents.decision import Decision, DecisionError, Reading, Rules, engine_failure, read_reply
from swarm.agents.desk_trace import read_trace
from swarm.agents.form import Repair
from swarm.agents.menu import Menu, read_choice
from swarm.agents.observation import Int64
from swarm.agents.turns import NEVER_ASKED, Turns
from swarm.coordination.standing import NO_STAND, Stands
from swarm.llm.protocol import ENGINE_FAILURES, FinishReason
from swarm.market.orders import BUY, SELL, Orders

NO_MENUS: Mapping[int, Menu] = MappingProxyType({})

_NO_DESKS: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """What a round's turns mean: orders, and per turn one line of gossip, an error or None, the form's repairs, the
    number of the model's replies, the faults of a desk's single steps, and how long the decision stands."""

    orders: Orders
    gossip: tuple[str, ...]
    errors: tuple[DecisionError | None, ...]
    cut_gossip: int
    repairs: tuple[tuple[Repair, ...], ...]
    steps: tuple[int, ...]
    faults: tuple[tuple[DecisionError, ...], ...]
    stands: Stands


def read_turns(
    turns: Turns,
    makes: Int64,
    rules: Rules,
    tokens_per_turn: int,
    max_gossip_chars: int,
    desk_tokens: Mapping[int, int] = _NO_DESKS,
    menus: Mapping[int, Menu] = NO_MENUS,
    stand: tuple[int, int, int, int, int] = NO_STAND,
) -> Decisions:
    """Read every reply; `makes` has one entry per turn. A turn that can't be read has no orders and no gossip.

    `desk_tokens` has, for each trader at a desk, the most tokens of its turn, and `menus` the menu of each trader that
    answers with letters. `stand` is how decisions stand whose form cannot say it, or whose reply does not.
    """
    gossip: list[str] = []
    errors: list[DecisionError | None] = []
    readings: list[Reading] = []
    rows: list[tuple[int, int, int, int, int, int, int]] = []
    stands: list[tuple[int, int, int, int, int]] = []
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
            stands.append(NO_STAND)
            continue
        errors.append(None)
        line = " ".join(outcome.gossip.split())
        cut += len(line) > max_gossip_chars
        gossip.append("".join(c for c in line[:max_gossip_chars] if c.isprintable()))
        stands.append(stand if trader in menus else _stand(outcome, stand))
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
        Stands.of(stands),
    )


def _stand(decision: Decision, default: tuple[int, int, int, int, int]) -> tuple[int, int, int, int, int]:
    wake = decision.wake
    if wake is None or not decision.stand:
        return (decision.stand, *default[1:])
    return (decision.stand, wake.price, wake.fill, wake.message, wake.need)


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
