"""Tells who is there in a round, where traders come and go while a run goes on, and what they bring and leave behind.

Where k traders are present, they are the traders 0 .. k-1, and in several regions as many in one as in another, up to
one; the others own nothing, decide nothing and hear nothing. A traveller who goes leaves what it has at both seats. A
scenario knows of all of them all the time: what it would do to those who are absent is left out, so that what it would
give them stays where it is, while what it keeps of its creatures itself, as their moods, goes on. Who comes back begins
anew. What one said in its last round is still heard.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from swarm.market.ledger import CASH, ISSUE
from swarm.market.margin import BANK, DEFAULTS, LENDER
from swarm.scenarios.protocol import Consequence, Int64, MarketState, Movement
from swarm.schema import StrictModel

Mask = npt.NDArray[np.bool_]

DEPARTED = "departed"
"""The account that has what those left behind who went; it exists where traders come and go."""

ARRIVAL, DEPARTURE = "arrival", "departure"

MIN_TRADERS, MAX_TRADERS = 2, 2_000_000


class PopulationStage(StrictModel):
    """A stage of the population: how many traders there are from a round on."""

    from_round: int = Field(ge=1, le=1_000_000)
    """The first round in which so many are there; 1 in the first stage, and more in each that follows."""

    traders: int = Field(ge=MIN_TRADERS, le=MAX_TRADERS)
    """How many traders are there. Who comes has what the scenario gives at the opening, and who goes, the last first,
    leaves all that it has to the account `departed`."""


def population_in(stages: Sequence[PopulationStage], round_: int) -> int:
    """Returns how many traders are there in a round; before the first round, as many as in it."""
    return next(stage.traders for stage in reversed(stages) if stage.from_round <= max(round_, 1))


def among(consequences: Sequence[Consequence], there: Mask) -> list[Consequence]:
    """Returns the consequences without what they do to any trader but those who are there, by number."""
    return [_rows(c, there) if isinstance(c, Movement) else c for c in consequences]


def turnover(
    opening: Sequence[Consequence], before: Mask, now: Mask, market: MarketState, tick_cents: int
) -> list[Consequence]:
    """Returns what is moved when other traders are there than before.

    Who goes pays what it owes with what it has and leaves the rest behind; what is still owed is written off. Those who
    come get what `opening` has for them, from where it has it.
    """
    # First those who go, so that what they leave is not what others begin with.
    leaving, coming = before & ~now, now & ~before
    left = [Movement(DEPARTURE, *m) for m in _departures(leaving, market, tick_cents)] if leaving.any() else []
    if not coming.any():
        return list(left)
    theirs = [
        # What lenders begin with moves between accounts alone, and happens once.
        c
        for c in opening
        if isinstance(c, Movement) and not (isinstance(c.source, str) and isinstance(c.target, str))
    ]
    came = [
        Movement(ARRIVAL, m.source, m.target, m.asset, m.amount)
        for m in among(theirs, coming)
        if isinstance(m, Movement)
    ]
    return [*left, *came]


def _departures(leaving: Mask, market: MarketState, tick_cents: int) -> Iterator[tuple[Int64, str, Int64, Int64]]:
    """Yields rows of source, target, asset and amount by which those who leave come to own and to owe nothing."""
    have = np.where(leaving[:, None], market.balances, 0)
    assets = have.shape[1]
    if market.owed is not None and market.owed[leaving].any():
        owe = np.where(leaving[:, None], market.owed, 0)
        # [assets] cents a unit: a cent of cash, and each good's lot at its reference price.
        marks = np.concatenate([[1], market.reference_ticks * tick_cents])
        # What is owed is given back as far as it is there.
        paid = np.minimum(have, owe)
        for asset in range(assets):
            yield _rows_of(paid, asset, BANK if asset == CASH else LENDER, asset)
        yield from (_rows_of(paid, asset, ISSUE, asset + assets) for asset in range(assets))
        have, owe = have - paid, owe - paid
        # Goods are taken for the cash that is owed, and cash for goods, at reference prices, whole lots of either.
        for asset in range(1, assets):
            lots = np.minimum(have[:, asset], -(-owe[:, CASH] // marks[asset]))
            cents = np.minimum(lots * marks[asset], owe[:, CASH])
            yield _rows_of(lots, None, BANK, asset)
            yield _rows_of(cents, None, ISSUE, CASH + assets)
            have[:, asset] -= lots
            owe[:, CASH] -= cents
        for asset in range(1, assets):
            lots = np.minimum(owe[:, asset], have[:, CASH] // marks[asset])
            yield _rows_of(lots * marks[asset], None, LENDER, CASH)
            yield _rows_of(lots, None, ISSUE, asset + assets)
            have[:, CASH] -= lots * marks[asset]
            owe[:, asset] -= lots
        yield from (_rows_of(owe, asset, DEFAULTS, asset + assets) for asset in range(assets))
    trader, asset_ = np.nonzero(have)
    yield trader, DEPARTED, asset_, have[trader, asset_]


def _rows_of(amounts: Int64, column: int | None, target: str, asset: int) -> tuple[Int64, str, Int64, Int64]:
    """Returns the rows of one movement to an account, of a column of amounts by trader."""
    amount = amounts if column is None else amounts[:, column]
    trader = np.flatnonzero(amount)
    return trader, target, np.full_like(trader, asset), amount[trader]


def _rows(movement: Movement, there: Mask) -> Movement:
    # A row stays where all traders in it are there; accounts always are.
    kept = np.ones(len(movement.amount), dtype=np.bool_)
    for side in (movement.source, movement.target):
        if not isinstance(side, str):
            kept &= there[side]
    source, target = (side if isinstance(side, str) else side[kept] for side in (movement.source, movement.target))
    return Movement(movement.cause, source, target, movement.asset[kept], movement.amount[kept])
