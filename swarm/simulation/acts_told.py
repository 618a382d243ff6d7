"""Tells acts in words, with the names of goods and the numbers that traders have in the run."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from swarm.market.ledger import CASH
from swarm.market.orders import Int64
from swarm.simulation.deeds import CENTS, PEBBLES
from swarm.simulation.joint import JointSetting
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.party import Account, Act, Announce, Cap, Exile, Freeze, Move, Pardon, Quote, Reprice, Say, Strike

MOST_NAMED = 4
"""How many traders of one act are named."""


def told(act: Act, goods: Sequence[str], number_of: Int64 | None = None) -> str:
    """Returns an act in a few words; `number_of` has the run's numbers by seat, where these are others."""
    match act:
        case Move():
            moved = ", ".join(_amounts(act, goods)) or "nothing"
            ends = f"from {_who(act.source, number_of)} to {_who(act.target, number_of)}"
            return f"{_in_pebbles(act.cause)}: {moved} {ends}"
        case Reprice():
            return f"{act.cause}: the price of {_named(goods, act.good)} times {act.permille / 1_000:g}"
        case Say():
            return f"to {_who(act.to, number_of)}: {act.text}"
        case Announce():
            return f"news: {act.text}"
        case Quote():
            return f"the prices of {act.of}"
        case Freeze():
            return f"{act.cause}: {_who(act.trader, number_of)} may not trade for {act.rounds} rounds"
        case Cap():
            return f"{act.cause}: {_who(act.trader, number_of)} may own {act.lots} lots of a good at most"
        case Exile() | Pardon():
            verdict = "exiled" if isinstance(act, Exile) else "pardoned"
            return f"{act.cause}: {_who(act.trader, number_of)} {verdict}"
        case Strike():
            size = f"{act.size_permille / 10:g}%, {act.rounds} rounds"
            return f"{act.kind} of {_named(goods, act.good)} ({size})"


def by_party(outcome: RoundOutcome, of: frozenset[str] | None = None) -> Iterator[tuple[str, str, str]]:
    """Yields who did what in a round, in words, and why it was refused or nothing; of the parties `of`, or of all."""
    setting = outcome.plan.scenario
    # By market: the run's number of each seat, which in a single market is the seat's own.
    numbers = setting.number_of if isinstance(setting, JointSetting) else (None,)
    for own, number_of in zip(outcome.of or (outcome,), numbers, strict=True):
        for acted in own.acted:
            if of is not None and acted.party not in of:
                continue
            refused = dict(acted.refused)
            for index, act in enumerate(acted.acts):
                yield acted.party, told(act, setting.goods, number_of), refused.get(index, "")


def _amounts(move: Move, goods: Sequence[str]) -> Iterator[str]:
    # A column each by row: what is moved, and how much of it in cents or lots.
    assets, amounts = np.asarray(move.asset), np.asarray(move.amount)
    for asset in np.unique(assets).tolist():
        total = int(amounts[assets == asset].sum())
        if asset == CASH:
            yield f"{total / CENTS:,.10g} {PEBBLES}"
        else:
            yield f"{total:,} {_named(goods, asset - 1)}"


def _in_pebbles(cause: str) -> str:
    """Returns a cause that names cents, as that of a loan does, with pebbles in their place, as all other money."""
    return re.sub(r"\b(\d{1,18}) cents\b", lambda cents: f"{int(cents[1]) / CENTS:,.10g} {PEBBLES}", cause)


def _named(goods: Sequence[str], good: int) -> str:
    return goods[good] if 0 <= good < len(goods) else f"good {good}"


def _who(account: Account, number_of: Int64 | None) -> str:
    if isinstance(account, str):
        return account
    seats = np.asarray(account).tolist()
    # A refused act may name a seat that there is not.
    known = (seat if number_of is None or not 0 <= seat < len(number_of) else int(number_of[seat]) for seat in seats)
    named = ", ".join(str(number) for _, number in zip(range(MOST_NAMED), known, strict=False))
    more = f" and {len(seats) - MOST_NAMED} more" if len(seats) > MOST_NAMED else ""
    return f"trader{'s' if len(seats) != 1 else ''} {named}{more}"
