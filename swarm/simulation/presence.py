"""Who is there in a round, where traders come and go while a run goes on, and what they bring and leave behind.

Where k traders are present, they are the traders 0 .. k-1; the others own nothing, decide nothing and hear nothing. A
scenario knows of all of them all the time: what it would do to those who are absent is left out, so that what it would
give them stays where it is, while what it keeps of its creatures itself, as their moods, goes on. Who comes back begins
anew. What one said in its last round is still heard.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from swarm.scenarios.protocol import Consequence, Int64, Movement
from swarm.schema import StrictModel

DEPARTED = "departed"
"""The account that has what those left behind who went; it exists where traders come and go."""

ARRIVAL, DEPARTURE = "arrival", "departure"

MIN_TRADERS, MAX_TRADERS = 2, 200_000


class PopulationStep(StrictModel):
    """How many traders there are from a round on."""

    from_round: int = Field(ge=1, le=1_000_000)
    """The first round in which so many are there; 1 in the first step, and more in each that follows."""

    traders: int = Field(ge=MIN_TRADERS, le=MAX_TRADERS)
    """How many traders are there. Who comes has what the scenario gives at the opening, and who goes, the last first,
    leaves all that it has to the account `departed`."""


def present_in(steps: Sequence[PopulationStep], round_: int) -> int:
    """How many traders are there in a round; before the first round, as many as in it."""
    return next(step.traders for step in reversed(steps) if step.from_round <= max(round_, 1))


def among(consequences: Sequence[Consequence], first: int, end: int) -> list[Consequence]:
    """The consequences without what they do to any trader but `first` .. `end` - 1."""
    return [_rows(c, first, end) if isinstance(c, Movement) else c for c in consequences]


def turnover(opening: Sequence[Consequence], before: int, now: int, balances: Int64) -> list[Consequence]:
    """What is moved when from `before` traders there come to be `now`; `balances` is [traders, assets].

    Those who come get what `opening` has for them, from where it has it.
    """
    if now < before:
        trader, asset = np.nonzero(balances[now:before])
        trader = trader + now
        return [Movement(DEPARTURE, trader, DEPARTED, asset, balances[trader, asset])]
    theirs = [
        c for c in opening if isinstance(c, Movement) and not (isinstance(c.source, str) and isinstance(c.target, str))
    ]
    return [
        Movement(ARRIVAL, m.source, m.target, m.asset, m.amount)
        for m in among(theirs, before, now)
        if isinstance(m, Movement)
    ]


def _rows(movement: Movement, first: int, end: int) -> Movement:
    kept = np.ones(len(movement.amount), dtype=np.bool_)
    for side in (movement.source, movement.target):
        if not isinstance(side, str):
            kept &= (first <= side) & (side < end)
    source, target = (side if isinstance(side, str) else side[kept] for side in (movement.source, movement.target))
    return Movement(movement.cause, source, target, movement.asset[kept], movement.amount[kept])
