"""Says in words what is wrong with what a scenario wants moved: its cause, the round, the good and the trader.

The market refuses all of it anyhow, by number; here are the names. It is asked for more only where that happened.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from swarm.errors import LedgerError, ScenarioError, suggest
from swarm.market.ledger import ISSUE, ROAD
from swarm.scenarios.protocol import Int64, Movement, ReferenceMove, Restriction
from swarm.schema import short
from swarm.simulation.entries import Acted
from swarm.simulation.market import MarketAnswer
from swarm.simulation.plan import RunPlan

COLUMNS = ("source", "target", "asset", "amount")


@contextmanager
def explained(plan: RunPlan, round_: int, wanted: Sequence[object], before: MarketAnswer | None) -> Iterator[None]:
    """Has the block execute what is wanted; LedgerError in words where it is refused.

    ScenarioError where what is wanted has no form that the market takes. `before` is what the market said last; None
    before the opening, when nobody has anything.
    """
    when = f"round {round_}" if round_ else "the opening"
    for one in wanted:
        if not isinstance(one, Acted):
            _check(plan, when, one)
    try:
        yield
    except LedgerError as error:
        told = _overdraw(plan, [one for one in wanted if isinstance(one, Movement)], before)
        raise LedgerError(f"scenario {plan.scenario_name}: {when}: {told}") if told else error from error


def _check(plan: RunPlan, when: str, wanted: object) -> None:
    """ScenarioError where what is wanted cannot even be said to the market."""
    if isinstance(wanted, ReferenceMove):
        for name, number in (("good", wanted.good), ("permille", wanted.permille)):
            if not isinstance(number, int | np.integer):
                raise _mistake(plan, when, f"{wanted.cause}: {name}: expected a whole number, got {short(number)}")
        return
    if isinstance(wanted, Restriction):
        return
    if not isinstance(wanted, Movement):
        raise _mistake(plan, when, f"expected a Movement or a ReferenceMove, got {type(wanted).__name__}")
    columns = {name: getattr(wanted, name) for name in COLUMNS}
    for name, column in columns.items():
        if isinstance(column, str):
            known = plan.market.named_accounts
            if column not in known:
                told = f"there is no account {column!r}{suggest(column, known)}; named_accounts has {', '.join(known)}"
                raise _mistake(plan, when, f"{wanted.cause}: {name}: {told}")
        elif not isinstance(column, np.ndarray) or column.dtype.kind not in "iu":
            got = column.dtype if isinstance(column, np.ndarray) else type(column).__name__
            told = f"expected whole numbers, got {got}: the ledger has cents and lots, and nothing smaller"
            raise _mistake(plan, when, f"{wanted.cause}: {name}: {told}")
    if len(rows := {len(column) for column in columns.values() if not isinstance(column, str)}) > 1:
        raise _mistake(plan, when, f"{wanted.cause}: expected columns of one length, got {sorted(rows)}")


def _mistake(plan: RunPlan, when: str, what: str) -> ScenarioError:
    return ScenarioError(f"scenario {plan.scenario_name}: {when}: {what}")


def _overdraw(plan: RunPlan, moves: Sequence[Movement], before: MarketAnswer | None) -> str:
    """Which movement takes more than there is, of what and from whom; empty where none does."""
    names, assets = plan.market.named_accounts, ("cash", *plan.scenario.goods)
    balances = np.zeros((plan.traders + len(names), len(assets)), dtype=np.int64)
    if before is not None:
        balances = np.concatenate([before.state.balances, before.named])[:, : len(assets)]
    number = {name: plan.traders + i for i, name in enumerate(names)}
    may_owe = [number[name] for name in (ISSUE, ROAD) if name in number]
    for move in moves:
        source, target = (_rows(side, number, len(move.amount)) for side in (move.source, move.target))
        # Numbers of no account or asset have no balance that could be told.
        bounds = [("account", source), ("account", target), ("asset", move.asset)]
        for what, column in bounds:
            most = balances.shape[what == "asset"]
            if len(wrong := column[(column < 0) | (column >= most)]):
                return f"{move.cause}: there is no {what} {int(wrong[0])}"
        if len(wrong := move.amount[move.amount < 0]):
            return f"{move.cause}: an amount is {int(wrong[0])}, below zero"
        after = balances.copy()
        np.subtract.at(after, (source, move.asset), move.amount)
        np.add.at(after, (target, move.asset), move.amount)
        below = after < 0
        below[may_owe] = False
        if below.any():
            account, asset = (int(found[0]) for found in np.nonzero(below))
            who = f"trader {account}" if account < plan.traders else f"the account {names[account - plan.traders]!r}"
            unit = "cents of cash" if asset == 0 else f"lots of {assets[asset]}"
            lacks, has = -int(after[account, asset]), int(balances[account, asset])
            return f"{move.cause}: {who} has {has} {unit}, which is {lacks} fewer than are taken"
        balances = after
    return ""


def _rows(side: Int64 | str, number: dict[str, int], rows: int) -> Int64:
    return np.full(rows, number[side]) if isinstance(side, str) else side
