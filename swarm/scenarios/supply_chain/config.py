"""The section `scenario` of a supply chain: its network, its plan, its customers and the news.

A table, a series of demand and everything else that can be wrong is refused here, by row and name, before a run starts.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from swarm.scenarios.supply_chain.planning import PlanConfig
from swarm.schema import Misplaced, StrictModel

Cents = Annotated[int, Field(ge=0, le=1_000_000_000)]
Rounds = Annotated[int, Field(ge=1, le=1_000)]


NETWORK_OF = {
    "table": "table",
    "serial": "serial",
    "regions": "tree",
    "warehouses_per_supplier": "tree",
    "retailers_per_warehouse": "tree",
}
"""The keys that one network alone is made from."""


class SerialConfig(StrictModel):
    """A line of nodes, the one that sells to customers first; the figures are those of Example 6.1 of Snyder and Shen
    2019 in cents, with Poisson's demand."""

    lead_times: tuple[Rounds, ...] = Field(default=(1, 1, 2), min_length=1, max_length=100)
    """Rounds from order to arrival at each node."""

    holding_cents: tuple[Cents, ...] = Field(default=(700, 400, 200), min_length=1, max_length=100)
    """What a unit in store costs a round at each node; what is under way costs what it would at its sender."""

    backlog_cents: int = Field(default=3_712, ge=0, le=1_000_000_000)
    """What a customer's wait costs for each unit and round."""

    demand: str = Field(default="5", max_length=20)
    """Mean demand of a round."""

    @model_validator(mode="after")
    def _lists_fit(self) -> "SerialConfig":
        if len(self.lead_times) != len(self.holding_cents):
            raise ValueError("lead_times and holding_cents differ in length; give one of each for every node")
        return self


class ShiftConfig(StrictModel):
    """A change of demand in a region, and the news of it."""

    region: str
    """Whose customers change."""

    first_round: int = Field(ge=1)
    """The round from which on they do."""

    last_round: int | None = Field(default=None, ge=1)
    """The last round in which they do; null: for good."""

    permille: int = Field(ge=0, le=100_000)
    """What demand is then, in 1/1000 of what it was."""

    announced: int | None = Field(default=0, ge=-100_000, le=100_000)
    """How many rounds after `first_round` the news comes, below 0 for before it; null: nobody says so."""

    happens: bool = True
    """Whether it comes true; false: the news is a lie, or somebody's mistake."""


class NewsConfig(StrictModel):
    """A line of news in words of your own, which no plan reads."""

    round: int = Field(ge=1)
    """The round in which it is heard."""

    region: str = ""
    """Whom it concerns: those with customers in this region; empty: everybody."""

    text: str = Field(min_length=1, max_length=300)
    """What is said."""

    @field_validator("text")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("expected words, got spaces alone; say something, or take the line out")
        return text


class SupplyConfig(StrictModel):
    """The setting `supply_chain`."""

    name: Literal["supply_chain"] = "supply_chain"
    """Which scenario this is."""

    mode: Literal["contracts", "market"] = "contracts"
    """contracts: nodes order of their suppliers at a fixed price, and who is short serves by a priority that is drawn.
    market: they buy and sell in a call auction for each tier and region, and the price says who goes without."""

    network: Literal["tree", "serial", "beer_game", "table"] = "tree"
    """tree: suppliers, warehouses and retailers, as many as `population` says, 1 to 4 to 20. serial: a line as
    `serial` has it. beer_game: the four stages of the board. table: as `table` has it."""

    warehouses_per_supplier: int = Field(default=4, ge=1, le=100)
    """How many warehouses order of one supplier, in a tree."""

    retailers_per_warehouse: int = Field(default=5, ge=1, le=100)
    """How many retailers order of one warehouse, in a tree."""

    serial: SerialConfig = SerialConfig()
    """The line of the network `serial`."""

    table: str = Field(default="", max_length=2_000_000)
    """A network in CSV with a row for each node and supplier. Columns: node, supplier (or outside), lead_time, holding
    (cents), and as you like order_delay, share, tier, region, transit, backlog (cents), demand, capacity, start_stock.
    A start stock below 0 is what customers are owed when the run begins."""

    series: str = Field(default="", max_length=5_000_000)
    """Customers' demand in CSV, with a column `round` and one for each node that sells to customers; empty: drawn from
    Poisson's law. Beyond the end its last row goes on."""

    regions: tuple[str, ...] = Field(default=("coast", "hills", "plains"), min_length=1, max_length=26)
    """The regions of a tree; its retailers lie in them in turn."""

    customers_seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    """What customers' demand is drawn from; null: the run's seed. By it several runs meet the same customers."""

    plan: PlanConfig = PlanConfig()
    """How nodes order when nobody says otherwise."""

    shifts: tuple[ShiftConfig, ...] = Field(default=(), max_length=1_000)
    """Changes of demand, and the news of them."""

    news: tuple[NewsConfig, ...] = Field(default=(), max_length=10_000)
    """More news, in your own words."""

    price_cents: tuple[Cents, ...] = Field(default=(2_000, 1_200, 800), min_length=1, max_length=100)
    """The fixed price of a unit that a tier sells, from the customers up; beyond the last one that one goes on."""

    expedite_cents: int = Field(default=300, ge=0, le=1_000_000)
    """What it costs to get a unit a round earlier."""

    road_cents: int = Field(default=600, ge=0, le=1_000_000)
    """At auction: what it costs to have a unit that was bought in another region by road, in the next round."""

    band_permille: int = Field(default=2_000, ge=0, le=100_000)
    """A node is asked again once its position leaves its level by so many 1/1000 standard deviations of its lead time's
    demand, or customers wait for as much; 0: never for that."""

    concerned_permille: int = Field(default=1, ge=1, le=1_000)
    """News calls a node that it concerns so much of, in 1/1000 of its demand, where decisions stand; 1000: those alone
    whose customers it all concerns, since a small model reads that and no more."""

    purse_cents: int | None = Field(default=None, ge=0, le=1 << 60)
    """What each node has to pay its costs from; null: enough to pay for every round at its worst."""

    @model_validator(mode="after")
    def _regions_differ(self) -> "SupplyConfig":
        if doubled := sorted({name for name in self.regions if self.regions.count(name) > 1}):
            raise Misplaced("scenario.regions", f"two regions are called {doubled[0]!r}; give each its own name")
        return self

    @model_validator(mode="after")
    def _keys_are_the_networks(self) -> "SupplyConfig":
        # What another network is made from would go unread, and nobody would know.
        for key, network in NETWORK_OF.items():
            if self.network != network and getattr(self, key) != type(self).model_fields[key].default:
                told = f"the network {self.network!r} does not read it; take it out, or set scenario.network={network}"
                raise Misplaced(f"scenario.{key}", told)
        return self
