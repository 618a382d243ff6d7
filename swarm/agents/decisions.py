"""Decisions: what reading a round's turns comes to, as columns.

It asks no model and keeps nothing, so a replay reads what was answered to the same decisions. How a form is read, it
does not know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from swarm.agents.decision import Decision, DecisionError, Reading, engine_failure
from swarm.agents.form import Repair
from swarm.agents.observation import Int64
from swarm.agents.turns import NEVER_ASKED, Turns
from swarm.coordination.standing import NO_STAND, Stands
from swarm.llm.protocol import ENGINE_FAILURES
from swarm.market.orders import BUY, SELL, Orders

Stand = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """All that a round's turns mean: the orders of all of them, and columns with one value for each turn.

    `chosen` is what a form reads that is no bundle of orders, and None elsewhere; it is empty where all are orders.
    """

    orders: Orders
    # One line each, empty where nothing is said.
    gossip: tuple[str, ...]
    errors: tuple[DecisionError | None, ...]
    # How many of the lines were too long.
    cut_gossip: int
    repairs: tuple[tuple[Repair, ...], ...]
    # How many replies of a model the turn took, and what went wrong in single ones of them.
    steps: tuple[int, ...]
    faults: tuple[tuple[DecisionError, ...], ...]
    # For how long each decision stands, and what wakes its trader before.
    stands: Stands
    chosen: tuple[Any, ...] = ()

    @classmethod
    def join(cls, parts: Sequence["Decisions"], order: Int64) -> "Decisions":
        """Returns the decisions of all parts; row i of the joined is row `order[i]` of the parts one after another."""
        picked = order.tolist()

        def rows(name: str) -> tuple[Any, ...]:
            flat = [value for part in parts for value in getattr(part, name)]
            return tuple([flat[i] for i in picked])

        chosen = [value for p in parts for value in (p.chosen or (None,) * len(p.errors))]
        return cls(
            orders=Orders.concatenate([p.orders for p in parts]).in_canonical_order(),
            gossip=rows("gossip"),
            errors=rows("errors"),
            cut_gossip=sum(p.cut_gossip for p in parts),
            repairs=rows("repairs"),
            steps=rows("steps"),
            faults=rows("faults"),
            stands=Stands.concatenate([p.stands for p in parts]).take(order),
            chosen=tuple([chosen[i] for i in picked]) if any(p.chosen for p in parts) else (),
        )


def decisions_of(
    turns: Turns,
    readings: Sequence[Reading[Any]],
    goods: tuple[str, ...],
    max_gossip_chars: int,
    stand: Stand = NO_STAND,
    says_stand: bool = True,
) -> Decisions:
    """Returns the columns of what was read of each turn. A turn that cannot be read has no orders and no gossip.

    `stand` is how decisions stand whose reply does not say it, or, without `says_stand`, whose form cannot.
    """
    gossip: list[str] = []
    rows: list[tuple[int, int, int, int, int, int, int]] = []
    stands: list[Stand] = []
    chosen: list[Any] = []
    cut = 0
    good_number = {name: g for g, name in enumerate(goods)}
    for trader, reading in zip(turns.trader.tolist(), readings, strict=True):
        outcome = reading.outcome
        if isinstance(outcome, DecisionError):
            gossip.append("")
            stands.append(NO_STAND)
            chosen.append(None)
            continue
        # A line of gossip is one line, cut where it is too long, and that is counted.
        line = " ".join(getattr(outcome, "gossip", "").split())
        cut += len(line) > max_gossip_chars
        kept = line[:max_gossip_chars]
        gossip.append(kept if kept.isprintable() else "".join(c for c in kept if c.isprintable()))
        if not isinstance(outcome, Decision):
            # What is no bundle of orders cannot say how long it stands; what it means meanwhile is its scenario's.
            stands.append(stand)
            chosen.append(outcome)
            continue
        chosen.append(None)
        stands.append(_stand(outcome, stand) if says_stand else stand)
        for sequence, order in enumerate(outcome.orders):
            side = BUY if order.side == "buy" else SELL
            rows.append((trader, sequence, good_number[order.good], side, order.price, order.quantity, 0))
    return Decisions(
        # [orders, 7]: trader, sequence, good, side, limit, lots and a priority that the loop draws later.
        Orders.of_rows(rows),
        tuple(gossip),
        tuple([r.outcome if isinstance(r.outcome, DecisionError) else None for r in readings]),
        cut,
        tuple([r.repairs for r in readings]),
        tuple([r.steps for r in readings]),
        tuple([r.faults for r in readings]),
        Stands.of(stands),
        tuple(chosen) if any(value is not None for value in chosen) else (),
    )


def read_single(turns: Turns, tokens: int, read: Callable[[int, str, bool], Reading[Any]]) -> list[Reading[Any]]:
    """Returns what turns of one reply each come to; `tokens` bounds a prompt and its reply together.

    `read(i, text, cut)` reads the reply of turn i, which is asked of replies alone that ended within their bounds.
    """
    spent = (turns.prompt_tokens + turns.completion_tokens).tolist()
    readings: list[Reading[Any]] = []
    for i, (text, finish_reason) in enumerate(zip(turns.text, turns.finish_reason, strict=True)):
        # Failure first, then cost: a reply that took more than a turn may is not read at all.
        if finish_reason in ENGINE_FAILURES:
            if text == NEVER_ASKED:
                readings.append(Reading(DecisionError.OVER_BUDGET, steps=0))
            else:
                readings.append(Reading(engine_failure(finish_reason)))
        elif spent[i] > tokens:
            readings.append(Reading(DecisionError.OVER_BUDGET))
        else:
            readings.append(read(i, text, finish_reason == "length"))
    return readings


def _stand(decision: Decision, default: Stand) -> Stand:
    wake = decision.wake
    if wake is None or not decision.stand:
        # What wakes the trader is the config's, where the reply does not say.
        return (decision.stand, *default[1:])
    return (decision.stand, wake.price, wake.fill, wake.message, wake.need)
