"""The config of the setting `duopoly`."""

from typing import Literal

from pydantic import Field

from swarm.scenarios.duopoly.remedy import Remedy, RemedyName
from swarm.schema import StrictModel


class DuopolyConfig(StrictModel):
    """The setting `duopoly`."""

    name: Literal["duopoly"] = "duopoly"
    """Which scenario this is."""

    prices: int = Field(default=15, ge=3, le=26)
    """How many prices a seller chooses from, from a little below competition to a little above a cartel."""

    buyers: int = Field(default=10, ge=1, le=10_000)
    """Buyers in each market; profits grow with them."""

    shown_rounds: int = Field(default=5, ge=1, le=50)
    """How many past rounds of its market a seller is shown."""

    remedy: RemedyName = "none"
    """What is done against collusion: nothing, a `warning` among the news, `damages`, or an `entrant`."""

    damages_permille: int = Field(default=1_500, ge=0, le=10_000)
    """With `damages`: the expected damages, in 1/1000 of the profit above the competitive one; never more than the
    profit."""

    entrant_permille: int = Field(default=300, ge=0, le=1_000)
    """With `entrant`: how often a third seller is in a market for a round, in 1/1000; its price is drawn from those up
    to the competitive one."""

    @property
    def figures(self) -> Remedy:
        """The remedy in figures."""
        return Remedy(
            self.damages_permille if self.remedy == "damages" else 0,
            self.entrant_permille if self.remedy == "entrant" else 0,
        )
