"""The menu of a patron that a model plays: a few deeds that it could do now, by letter, and what it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarm.llm.strict import choice_in
from swarm.market.ledger import CASH
from swarm.market.orders import Int64
from swarm.seeding import draw_some
from swarm.simulation.dealings import PURSE, Dealings
from swarm.simulation.deeds import CENTS, Ally, Bribe, Deed, Loan, Short, Tip
from swarm.simulation.party import MarketView

LETTERS = "ABCDEFGHIJKLMNOP"
TITLE = "patron"
HEARERS, LOTS, ROUNDS, PEBBLES = 6, 10, 4, 40
"""How many are told, how much is sold short and for how long, and what a loan, a bribe or an alliance takes."""

RULES = (
    "You are a patron with a purse, outside a market of small creatures. You want to reach your AIM. A short gains "
    "when the price falls before it ends, and loses when it rises. Creatures may believe what you tell them, and "
    "remember it.\n"
    "Answer with the letter of a deed and nothing else."
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A line of the menu, and the deeds that it stands for."""

    line: str
    deeds: Sequence[Deed]


def choices(market: MarketView, before_ticks: Int64, seed: int, round_: int) -> list[Choice]:
    """Returns the deeds that are offered: on the goods that rose and fell most, and with the poorest and richest."""
    change = market.state.reference_ticks - before_ticks
    up, down = market.goods[int(np.argmax(change))], market.goods[int(np.argmin(change))]
    # Who is gone can neither hear nor owe anything.
    there = np.flatnonzero(market.staying)
    if not len(there):
        return [Choice("do nothing", ())]
    hearers = there[draw_some(HEARERS, seed, "patron's hearers", round_, there)].tolist()
    cash = market.state.balances[there, CASH]
    poor, rich = int(there[int(np.argmin(cash))]), int(there[int(np.argmax(cash))])

    def told(good: str, direction: Any) -> Choice:
        return Choice(f"tell {len(hearers)} creatures that {good} will {direction}", [
            Tip(trader=one, good=good, direction=direction) for one in hearers
        ])  # fmt: skip

    def shorted(good: str) -> Choice:
        return Choice(f"sell {LOTS} {good} short for {ROUNDS} rounds", [Short(good=good, lots=LOTS, rounds=ROUNDS)])

    offered = [Choice("do nothing", ()), shorted(up), told(up, "fall"), told(up, "rise")]
    # While no price moves, both are the same good.
    if down != up:
        offered += [shorted(down), told(down, "fall"), told(down, "rise")]
    return [
        *offered,
        Choice(f"lend trader {poor} {PEBBLES} pebbles at 10%", [Loan(trader=poor, pebbles=PEBBLES)]),
        Choice(f"bribe trader {rich} to buy 2 {up}", [Bribe(trader=rich, good=up, lots=2, pebbles=PEBBLES // 2)]),
        Choice(f"ally with trader {rich}", [Ally(trader=rich, pebbles=PEBBLES // 2)]),
    ]


def question(
    market: MarketView, before_ticks: Int64, dealings: Dealings, aim_pebbles: int, offered: Sequence[Choice]
) -> str:
    """Returns what the model is shown: its purse and aim, prices, what is open, and the menu."""
    purse = int(market.named[PURSE][CASH]) // CENTS
    # One row for each good, in the order of the market.
    prices = zip(market.goods, market.state.reference_ticks.tolist(), before_ticks.tolist(), strict=True)
    lines = [f"PURSE {purse} AIM {aim_pebbles}", "PRICES good price change"]
    lines += [f"{good} {now} {now - before:+d}" for good, now, before in prices]
    for short in dealings.shorts.values():
        now = int(market.state.reference_ticks[short.good])
        lines.append(f"OPEN short of {short.lots} {market.goods[short.good]} at {short.ticks}, now {now}")
    lines += [f"OPEN loan to trader {loan.seat}: {loan.left_cents // CENTS} due" for loan in dealings.loans.values()]
    return "\n".join([*lines, "DEEDS", *(f"{a} {one.line}" for a, one in zip(LETTERS, offered, strict=False))])


def schema(offered: Sequence[Choice]) -> dict[str, Any]:
    """Returns the schema of an answer: one of the menu's letters."""
    return {"type": "string", "enum": list(LETTERS[: len(offered)]), "title": TITLE}


def chosen(text: str, offered: Sequence[Choice]) -> Choice | None:
    """Returns the choice that an answer names, bare, quoted or in an object; None where it names none."""
    letter = choice_in(text) or ""
    # Anything longer than a letter is no choice.
    number = LETTERS.find(letter) if len(letter) == 1 else -1
    return offered[number] if 0 <= number < len(offered) else None
