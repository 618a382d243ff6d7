"""Standing orders and wake-ups: who has something to decide in a round, and what the others' orders do meanwhile.

A decision may stand for some rounds, with the conditions under which its trader wants to think again. All of it follows
from recorded decisions and cleared rounds, as columns over traders; there is no model here, no clock and no chance.
"""

from pydantic import Field

from swarm.schema import StrictModel


class WakeConfig(StrictModel):
    """What makes a trader think again before its orders have stood out their time."""

    price_permille: int = Field(default=100, ge=0, le=10_000)
    """The reference price of a good that it has orders in (of any good, if it has none) has moved by this much since
    it decided, in 1/1000; 0: no price wakes it."""

    fill: bool = True
    """One of its orders was filled, in part or whole."""

    message: bool = False
    """Somebody's line reached it; where everybody gossips in every round, that is always."""

    need: bool = True
    """It has run out of a good that it needs, and had not when it decided."""


class StandingConfig(StrictModel):
    """How long a decision may stand. What of it a model does not say itself is as here."""

    max_rounds: int = Field(default=0, ge=0, le=1_000)
    """Most rounds in which a decision's orders are put in again without asking its model; 0: every trader is asked in
    every round. A model with the form `orders` chooses up to this many; what answers with letters of a menu cannot
    say so, and its decisions stand for all of them."""

    wake: WakeConfig = WakeConfig()
    """What wakes a trader whose reply does not say it."""
