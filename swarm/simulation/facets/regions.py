"""Keeps several markets beside each other: prices, how far these differ, and what travelled between them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from swarm.market.orders import Int64
from swarm.market.quality import price_dispersion
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Columns, Kept, Tables
from swarm.simulation.joint import JointSetting
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.parties.road import RoadRound
from swarm.simulation.plan import RunPlan


class Regions:
    """The prices of each region and the traffic of the road; of one market alone, nothing."""

    name = "regions"

    def __init__(self) -> None:
        self._prices, self._moves = Columns(), Columns()
        self._dispersion: list[float] = []
        self._road: RoadRound | None = None

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Keeps the setting, which knows the regions where there are several."""
        self._plan = plan

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keeps the round in each region, and what travelled after it."""
        if not outcome.of or not isinstance(outcome.plan.scenario, JointSetting):
            return
        goods = np.array(outcome.plan.scenario.goods)
        # [goods], from [regions, goods] reference prices after the round.
        dispersion = price_dispersion(np.array([o.state.reference_ticks for o in outcome.of]))
        self._dispersion.append(float(dispersion.mean()) if len(goods) else 0.0)
        # [goods] rows for each region, with the dispersion of the round in all of them.
        for name, own in zip(outcome.plan.scenario.config.all_names, outcome.of, strict=True):
            self._prices.add(
                {
                    "round": np.full(len(goods), own.round),
                    "region": np.full(len(goods), name),
                    "good": goods,
                    "clearing_ticks": own.cleared.clearing_ticks,
                    "reference_ticks": own.state.reference_ticks,
                    "volume_lots": own.cleared.volume_lots,
                    "unfilled_buy_lots": own.cleared.unfilled_buy_lots,
                    "unfilled_sell_lots": own.cleared.unfilled_sell_lots,
                    "price_dispersion_permille": np.rint(1_000 * dispersion).astype(np.int64),
                }
            )
        self._road = road = outcome.road
        if road is not None:
            # A row for cash in cents, then one for each good in lots.
            self._moves.add(
                {
                    "round": np.full(len(goods) + 1, outcome.round),
                    "asset": np.array(["cash", *goods]),
                    "left": road.left,
                    "arrived": road.arrived,
                    "toll": road.toll,
                    "under_way": road.under_way,
                }
            )

    def tables(self) -> Kept:
        """Returns `regions`, prices by region and round, and `road`, what travelled, by asset and round."""
        if not isinstance(self._plan.scenario, JointSetting):
            return {}
        return {"regions": self._prices.table(), "road": self._moves.table()}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns who the regions are, how far their prices differed and what travelled."""
        setting = self._plan.scenario
        if not isinstance(setting, JointSetting):
            return {}
        # Who is abroad may change with a fork, so that is taken from the plan that holds at the end.
        config, names, road = self._plan.last.scenario, setting.config.all_names, self._road
        nothing = [0] * (len(setting.goods) + 1)
        carried = road.carried_lots.tolist() if road else nothing[1:]
        mean = round(1_000 * float(np.mean(self._dispersion)), 1) if self._dispersion else 0.0
        told = {
            "names": list(names),
            "roads": [[names[a], names[b]] for a, b in setting.config.pairs],
            "travellers": len(setting.travellers),
            "abroad": config.config.abroad if isinstance(config, JointSetting) else setting.config.abroad,
            "price_dispersion_permille": {
                "mean": mean,
                "by_round": [round(value * 1_000) for value in self._dispersion],
            },
            "carried_lots": dict(zip(setting.goods, carried, strict=True)),
            "toll_cents": road.toll_cents if road else 0,
            "under_way": dict(zip(("cash", *setting.goods), road.under_way.tolist() if road else nothing, strict=True)),
        }
        return {"regions": told}


FACET = Regions
