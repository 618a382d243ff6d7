"""The table of an experiment: the mean of each measure by variant, and its distance from the first variant, by seed."""

from math import isfinite
from typing import Any

import numpy as np
import polars as pl

from swarm import figures
from swarm.experiments.statistics import holm, interval, p_of_mean

SCHEMA = {
    "measure": pl.String,
    "variant": pl.String,
    "runs": pl.Int64,
    "mean": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "pairs": pl.Int64,
    "difference": pl.Float64,
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
    "p": pl.Float64,
    "differs": pl.Boolean,
}
"""Of each measure and variant: the runs that have a value, and their mean with its 95% interval.

For all variants but the first: the mean of the differences from it, over the seeds that both have, with an interval
and a p-value by Holm's correction over all differences of the table.
"""


def means(runs: pl.DataFrame, measures: list[str]) -> pl.DataFrame:
    """Returns the table of `SCHEMA` over a table of runs that has `variant`, `seed` and a column for each measure."""
    variants = runs["variant"].unique(maintain_order=True).to_list()
    rows: list[dict[str, Any]] = []
    differences: list[tuple[dict[str, Any], list[float]]] = []
    for measure in measures:
        values = {variant: _by_seed(runs, variant, measure) for variant in variants}
        base = values[variants[0]] if variants else {}
        for variant, found in values.items():
            # Rows are filled in below, once all differences are known.
            row = {"measure": measure, "variant": variant, "runs": len(found), **_mean(list(found.values()))}
            rows.append(row)
            if variant != variants[0]:
                # Paired by seed: the same weather and shocks on both sides, whose luck cancels out.
                paired = [found[seed] - base[seed] for seed in found if seed in base]
                row["pairs"] = len(paired)
                differences.append((row, paired))
    # Without a second pair there is no spread, so nothing is tested; what is tested counts in the correction.
    tested = [(row, paired) for row, paired in differences if len(paired) > 1]
    for (row, paired), corrected in zip(tested, holm([p_of_mean(p) for _, p in tested]), strict=True):
        middle, half = interval(paired, corrected.confidence)
        row |= {"difference": middle, "difference_low": middle - half, "difference_high": middle + half}
        row |= {"p": corrected.p, "differs": not middle - half <= 0 <= middle + half}
    return pl.DataFrame(rows, schema=SCHEMA)


def moving(runs: pl.DataFrame, measures: list[str]) -> list[str]:
    """Returns the measures that are not the same in all runs; what nothing moves would only cost the rest certainty."""
    return [name for name in measures if len({value for value in runs[name].to_list() if value is not None}) > 1]


def _by_seed(runs: pl.DataFrame, variant: str, measure: str) -> dict[int, float]:
    found = runs.filter(pl.col("variant") == variant).select("seed", measure).iter_rows()
    return {seed: value for seed, value in found if value is not None and isfinite(value)}


def _mean(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {}
    middle, half = interval(np.array(values))
    return {"mean": middle, "low": _finite(middle - half), "high": _finite(middle + half)}


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def figure(value: float | None, sign: str = "") -> str:
    """Returns a number with four figures; nothing for None."""
    return "" if value is None else figures.figure(value, 4, f"{sign},")


def between(low: float | None, high: float | None, sign: str = "") -> str:
    """Returns an interval in brackets; nothing where there is none."""
    return "" if low is None or high is None else f" ({figure(low, sign)} to {figure(high, sign)})"


def chance(p: float) -> str:
    """Returns a p-value with four decimals, or that it is smaller than these can tell."""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"
