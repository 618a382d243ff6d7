"""Measures a market by what economists judge it by, over a whole run; formulas are those of `swarm.market.quality`.

Prices are compared with the reference price, since few settings have a fundamental value that anybody knows: with the
one before each round, and with the one that the run opened at. A round in which a good was not traded has no price.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from swarm.market import quality
from swarm.scenarios.protocol import KnowsValues
from swarm.simulation.long_tables import scan
from swarm.simulation.plan import RunPlan

MIN_RETURNS = 1_000
"""Fewer returns than this have no tail that can be told from chance."""

MEANINGS = {
    "efficiency": "Gains from trade that were realised, over the largest that were possible; 1 is the best.",
    "price_error": "Mean distance of the prices paid from the reference price before the round, over its mean.",
    "relative_absolute_deviation": "RAD: mean distance of prices from the opening price, over that; 0 is no bubble.",
    "relative_deviation": "RD: the same with its sign; above 0 is dearer than at the opening, below 0 cheaper.",
    "volume_lots": "Lots that changed hands.",
    "seller_concentration": "HHI of what sellers sold: 1 is a monopoly, 1 over their number is equal shares.",
    "gini_of_wealth": "Inequality of wealth at the end: 0 is equal, near 1 one owns all.",
    "tail_index": "Hill's exponent of the largest 5% of returns; 2 to 5 is usual for assets, a bell curve is above.",
}
"""What each measure says, in one sentence."""


def measures(plan: RunPlan, tables: Mapping[str, pl.DataFrame], gini_of_wealth: float) -> dict[str, dict[str, Any]]:
    """Returns each measure as `market`, for all goods together, and `by_good` where it has a meaning there.

    `market` is the mean of the goods' by volume; a value that cannot be told is None.
    """
    prices, trades = tables["prices"], scan(tables, "trades")
    by_good: dict[str, dict[str, float]] = {
        name: {}
        for name in ("price_error", "relative_absolute_deviation", "relative_deviation", "seller_concentration")
    }
    volumes: dict[str, float] = {}
    returns: list[Any] = []
    opening = dict(zip(plan.scenario.goods, plan.scenario.opening_reference_ticks.tolist(), strict=True))
    # Only rounds in which the good was traded have a price that anybody paid.
    for good in plan.scenario.goods if prices.width else ():
        traded = prices.filter((pl.col("good") == good) & (pl.col("clearing_ticks") > 0))
        paid, before = traded["clearing_ticks"].to_numpy(), traded["reference_before_ticks"].to_numpy()
        volumes[good] = int(traded["volume_lots"].sum())
        if not len(paid):
            continue
        fundamental = np.full(len(paid), opening[good])
        sold = trades.filter(pl.col("good") == good).group_by("seller").agg(pl.col("quantity_lots").sum()).collect()
        for name, value in (
            ("price_error", quality.relative_absolute_deviation(paid, before)),
            ("relative_absolute_deviation", quality.relative_absolute_deviation(paid, fundamental)),
            ("relative_deviation", quality.relative_deviation(paid, fundamental)),
            ("seller_concentration", quality.herfindahl_hirschman(sold["quantity_lots"].to_numpy())),
        ):
            by_good[name][good] = round(value, 6)
        returns.append(quality.log_returns(paid))
    # The market's value is the mean of its goods by volume; what has no meaning by good stands alone.
    found: dict[str, dict[str, Any]] = {"efficiency": {"market": _efficiency(plan)}}
    found |= {name: {"market": _mean(values, volumes), "by_good": values} for name, values in by_good.items()}
    found["volume_lots"] = {"market": sum(volumes.values()), "by_good": volumes}
    found["gini_of_wealth"] = {"market": round(gini_of_wealth, 6)}
    found["tail_index"] = {"market": _tail_index(np.concatenate(returns) if returns else np.empty(0))}
    return {name: found[name] for name in MEANINGS}


def _efficiency(plan: RunPlan) -> float | None:
    # Where traders come and go, the scenario counts among the possible gains those of the absent.
    if plan.population or not isinstance(plan.scenario, KnowsValues):
        return None
    found = plan.scenario.efficiency
    # Where nothing could be gained and something was lost, there is no share of it to tell.
    return round(found, 6) if np.isfinite(found) else None


def _mean(values: dict[str, float], volumes: dict[str, float]) -> float | None:
    """Returns the mean by volume."""
    total = sum(volumes[good] for good in values)
    return round(sum(value * volumes[good] for good, value in values.items()) / total, 6) if total else None


def _tail_index(returns: Any) -> float | None:
    moved = returns[returns != 0]
    if len(moved) < MIN_RETURNS:
        return None
    index = quality.hill_tail_index(moved, share=0.05)
    return round(index, 6) if np.isfinite(index) else None
