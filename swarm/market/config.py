"""The market's section of a config: fields with their bounds; what they cause is the exchange's matter."""

from typing import Literal

from pydantic import Field

from swarm.errors import ConfigError, suggest
from swarm.market.margin import MarginConfig
from swarm.schema import StrictModel

Mechanism = Literal["call", "continuous"]
SelfTrade = Literal["none", "cancel_newest", "cancel_oldest"]


class MarketConfig(StrictModel):
    """The rules by which orders are priced, bounded, matched and rationed."""

    mechanism: Mechanism = "call"
    """How a round's orders are matched: at one price in a call auction, or one after another in a continuous one."""

    mechanisms: dict[str, Mechanism] = Field(default_factory=dict, max_length=64)
    """Goods, by name, that are matched in another way than `mechanism` says."""

    tick_cents: int = Field(default=100, ge=1, le=10_000)
    """Size of one price step in cents; 100 cents are one pebble."""

    max_price_ticks: int = Field(default=1_000, ge=10, le=100_000)
    """Highest limit that an order may have, in ticks."""

    max_quantity_lots: int = Field(default=100, ge=1, le=1_000_000)
    """Largest quantity of one order, in lots; one lot is one unit of a good."""

    price_step_ticks: int = Field(default=1, ge=1, le=1_000)
    """Limits must be whole multiples of this many ticks."""

    quantity_step_lots: int = Field(default=1, ge=1, le=10_000)
    """Quantities must be whole multiples of this many lots."""

    max_orders_per_round: int = Field(default=3, ge=1, le=16)
    """How many orders one trader may submit in one round."""

    rationing: Literal["priority", "pro_rata"] = "priority"
    """Who gets the last lots at the margin: the seed's draw of the round, or everybody in proportion."""

    drift_permille: int = Field(default=80, ge=0, le=500)
    """How far a reference price moves after a round in which all orders of one side stayed unfilled, in 1/1000."""

    self_trade: SelfTrade = "none"
    """Which order goes when a trader's own bid and ask would meet: neither, the newer, or the older."""

    band_permille: int | None = Field(default=None, ge=1, le=999)
    """Orders further from the reference price than this, in 1/1000, are refused; null: no band."""

    halt_permille: int | None = Field(default=None, ge=1, le=999)
    """A trade further from the round's reference price than this, in 1/1000, trips the circuit breaker; null: none."""

    halt_rounds: int = Field(default=1, ge=1, le=1_000)
    """For how many rounds after the one in which its circuit breaker tripped a good is not traded."""

    rest_rounds: int = Field(default=0, ge=0, le=1_000)
    """For how many rounds after its own an unfilled limit order may stay in the book of a continuous market, with what
    it offers held; 0: none. In a call auction no order stays."""

    margin: MarginConfig | None = None
    """Loans and short sales for orders that an account cannot cover; null: such orders are refused."""


def mechanisms_of(config: MarketConfig, goods: tuple[str, ...]) -> tuple[Mechanism, ...]:
    """Returns how each good is matched; ConfigError if one is named that the scenario does not have."""
    for good in config.mechanisms:
        if good not in goods:
            raise ConfigError(
                f"market.mechanisms.{good}",
                f"there is no such good{suggest(good, list(goods))}",
                f"known: {', '.join(goods)}",
            )
    return tuple(config.mechanisms.get(good, config.mechanism) for good in goods)
