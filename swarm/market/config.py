"""The market's section of a config."""

from typing import Literal

from pydantic import Field

from swarm.schema import StrictModel


class MarketConfig(StrictModel):
    """How orders are priced, bounded, cleared and rationed."""

    tick_cents: int = Field(default=100, ge=1, le=10_000)
    """Size of one price step in cents; 100 cents are one pebble."""

    max_price_ticks: int = Field(default=1_000, ge=10, le=100_000)
    """Highest limit that an order may have, in ticks."""

    max_quantity_lots: int = Field(default=100, ge=1, le=1_000_000)
    """Largest quantity of one order, in lots; one lot is one unit of a good."""

    max_orders_per_round: int = Field(default=3, ge=1, le=8)
    """How many orders one trader may submit in one round."""

    rationing: Literal["priority", "pro_rata"] = "priority"
    """Who gets the last lots at the margin: the seed's draw of the round, or everybody in proportion."""

    drift_permille: int = Field(default=80, ge=0, le=500)
    """How far a reference price moves after a round in which all orders of one side stayed unfilled, in 1/1000."""
