"""Makes the setting of a run from its section: network, customers and news; ConfigError where it is wrong."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from swarm.errors import ConfigError, suggest
from swarm.scenarios.protocol import ShockMark
from swarm.scenarios.supply_chain import series as series_of
from swarm.scenarios.supply_chain import shapes, table
from swarm.scenarios.supply_chain.config import ShiftConfig, SupplyConfig
from swarm.scenarios.supply_chain.demand import Demand, Shift, factor
from swarm.scenarios.supply_chain.network import Network
from swarm.scenarios.supply_chain.news import EVERYWHERE, News, announcement
from swarm.scenarios.supply_chain.planning import PlanConfig
from swarm.scenarios.supply_chain.wares import TradedNetwork

FOREVER = 1 << 31


@dataclass(eq=False)
class Setup:
    """The network of a run, its customers, and all news in the order of rounds."""

    network: Network
    demand: Demand
    news: tuple[News, ...]

    @cached_property
    def _by_round(self) -> dict[int, tuple[News, ...]]:
        found: dict[int, tuple[News, ...]] = {}
        for line in self.news:
            found[line.round] = (*found.get(line.round, ()), line)
        return found

    def news_in(self, round_: int) -> tuple[News, ...]:
        """Returns the lines that are heard in a round."""
        return self._by_round.get(round_, ())

    def true_rate(self, round_: int) -> npt.NDArray[np.float64]:
        """Returns [nodes]: the mean demand of a round, of customers and of nodes below."""
        rate = self.demand.rate_millis(round_)
        if rate is self.network.demand_millis:
            return self.network.mean
        return self.network.through(rate / 1_000)

    def marks(self, rounds: int) -> tuple[ShockMark, ...]:
        """Returns the shifts of demand as a chart shows them."""
        return tuple(
            ShockMark(
                f"{self.network.regions[s.region]} x{s.permille / 1_000:g}",
                s.first_round,
                min(s.last_round, rounds),
                "units",
            )
            for s in self.demand.shifts
            if s.first_round <= rounds
        )


def set_up(config: SupplyConfig, seed: int, traders: int, rounds: int) -> Setup:
    """Returns the setting of a run of `traders` nodes."""
    # Shapes are tables, too, and go through the same checks.
    text = _rows(config, traders)
    try:
        network = table.read_table(text, rounds)
    except table.TableError as error:
        key = table.KEY if config.network == "table" else "scenario.network"
        raise ConfigError(key, str(error)) from None
    if config.mode == "market":
        try:
            network = TradedNetwork.of(network)
        except ValueError as error:
            told = "give each level a tier of its own, or set scenario.mode=contracts"
            raise ConfigError("scenario.mode", f"a market is one of a tier, and {error}", told) from None
        names = network.wares.names
        if len(set(names)) < len(names):
            doubled = Counter(names).most_common(1)[0][0]
            told = f"two of its goods, each named after tier and region, would be called {doubled!r}"
            raise ConfigError("scenario.mode", told, "rename a tier or a region, or set scenario.mode=contracts")
    if len(network) != traders:
        raise ConfigError(
            "population", f"this network has {len(network)} nodes, and there are {traders} traders", "make them as many"
        )
    _must_fit_tiers(config, network)
    if len(config.plan.levels) == 0 and config.plan.rule == "levels":
        raise ConfigError("scenario.plan.levels", "the rule 'levels' needs them", "one for each tier, customers' first")
    demand = None
    if config.series:
        try:
            demand = series_of.read_series(config.series, network)
        except series_of.SeriesError as error:
            raise ConfigError(series_of.KEY, str(error)) from None
    elif config.network == "beer_game":
        demand = series_of.classic(network)
    shifts = [_shift(one, i, network) for i, one in enumerate(config.shifts)]
    # What is announced and never happens is news alone.
    happening = {i: shifts[i] for i, one in enumerate(config.shifts) if one.happens}
    if demand is not None and happening:
        raise ConfigError("scenario.shifts", "a series has its shifts in itself", "take them out, or the series")
    _must_stay_countable(happening, network)
    drawn = seed if config.customers_seed is None else config.customers_seed
    return Setup(
        network, Demand(network, drawn, tuple(happening.values()), demand), _news(config, seed, network, shifts)
    )


def _must_stay_countable(shifts: Mapping[int, Shift], network: Network) -> None:
    """Raises ConfigError where shifts of a region, by number, multiply its demand to more than a table may have."""
    for number, one in shifts.items():
        mean = int(network.demand_millis[network.region == one.region].max(initial=0))
        millis = mean * factor([*shifts.values()], one)
        if millis > table.MAX_NUMBER:
            told = (
                f"with all shifts of {network.regions[one.region]!r} a node's customers want {millis / 1_000:,.0f} "
                f"units in round {one.first_round}, over {table.MAX_NUMBER // 1_000:,}"
            )
            raise ConfigError(f"scenario.shifts.{number}.permille", told, "lower it, or take a shift out")


def _must_fit_tiers(config: SupplyConfig, network: Network) -> None:
    """Raises ConfigError where a list that goes by tiers has more entries than the network has tiers."""
    plan, tiers = config.plan, len(network.tiers)
    for key, value, default in (
        ("plan.z_permille", plan.z_permille, PlanConfig().z_permille),
        ("plan.central_z_permille", plan.central_z_permille, PlanConfig().central_z_permille),
        ("plan.levels", plan.levels, ()),
        ("price_cents", config.price_cents, SupplyConfig().price_cents),
    ):
        # A default is for networks of any depth.
        if len(value) > tiers and value != default:
            what = f"expected at most {tiers}, one for each tier of the network, got {len(value)}"
            raise ConfigError(f"scenario.{key}", what, f"tiers: {', '.join(network.tiers)}")


def _rows(config: SupplyConfig, traders: int) -> str:
    """Returns the table of a network as its shape has it."""
    match config.network:
        case "table":
            if not config.table.strip():
                raise ConfigError(
                    table.KEY, "the network 'table' needs a table", f"columns: {', '.join(table.COLUMNS)}"
                )
            return config.table
        case "serial":
            line = config.serial
            return shapes.serial(line.lead_times, line.holding_cents, line.backlog_cents, line.demand)
        case "beer_game":
            return shapes.beer_game()
        case "tree":
            below = config.warehouses_per_supplier
            each = 1 + below + below * config.retailers_per_warehouse
            if traders % each:
                raise ConfigError(
                    "population",
                    f"a tree with {below} warehouses to a supplier and {config.retailers_per_warehouse} retailers to a "
                    f"warehouse has a multiple of {each} nodes, got {traders}",
                    f"use {max(traders // each, 1) * each}",
                )
            suppliers = traders // each
            warehouses = suppliers * below
            return shapes.tree(suppliers, warehouses, warehouses * config.retailers_per_warehouse, config.regions)


def _shift(one: ShiftConfig, index: int, network: Network) -> Shift:
    key = f"scenario.shifts.{index}"
    if one.region not in network.regions:
        told = f"there is no region {one.region!r}{suggest(one.region, network.regions)}"
        raise ConfigError(f"{key}.region", told, f"known: {', '.join(network.regions)}")
    last = FOREVER if one.last_round is None else one.last_round
    if last < one.first_round:
        raise ConfigError(f"{key}.last_round", f"it lies before first_round {one.first_round}")
    return Shift(network.regions.index(one.region), one.first_round, last, one.permille)


def _news(config: SupplyConfig, seed: int, network: Network, shifts: list[Shift]) -> tuple[News, ...]:
    """Returns all lines of news, those of shifts in wordings that the seed draws."""
    # Wordings are drawn by the number of the shift, so that one more shifts no other.
    found: list[News] = []
    for number, (one, shift) in enumerate(zip(config.shifts, shifts, strict=True)):
        if one.announced is None:
            continue
        text = announcement(seed, number, one.region, one.permille, one.first_round)
        found.append(News(max(one.first_round + one.announced, 1), shift.region, text, one.permille, one.happens))
    for index, line in enumerate(config.news):
        if line.region and line.region not in network.regions:
            told = f"there is no region {line.region!r}{suggest(line.region, network.regions)}"
            raise ConfigError(f"scenario.news.{index}.region", told, f"known: {', '.join(network.regions)}")
        region = network.regions.index(line.region) if line.region else EVERYWHERE
        found.append(News(line.round, region, " ".join(line.text.split())))
    return tuple(sorted(found, key=lambda line: line.round))
