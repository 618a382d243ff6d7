"""Orders of supply chains between runs, tier by tier: their mean, the band that they lie in, and how much they vary.

Where all runs meet the same customers (`scenario.customers_seed`), the band is what the minds do differently.
"""

from collections.abc import Mapping
from pathlib import Path

import altair as alt
import polars as pl

from swarm.experiments.plan import RUNS, Experiment
from swarm.report import charts
from swarm.report.charts import Panel, Spec
from swarm.report.parts import PANELS, Figure, Key, Table
from swarm.report.wording import shortened

MOST_VARIANTS = 4
"""Variants with charts of their own; the table has all."""

NAME = "supply"


def bands(experiment: Experiment, folder: Path, letters: Mapping[str, str]) -> tuple[Figure | Table, ...]:
    """Returns a figure for each variant with two runs or more, and a table; nothing where no run is a supply chain."""
    # {label: the tables of its runs}, of those that are done.
    figures: list[Figure | Table] = []
    rows: list[tuple[str, ...]] = []
    paths: dict[str, list[Path]] = {label: [] for label in letters}
    for run in experiment.runs():
        paths[run.variant.label].append(folder / RUNS / run.folder / "tables" / f"{NAME}.parquet")
    for label, letter in letters.items():
        there = [path for path in paths[label] if path.is_file()]
        if len(there) < 2:
            continue
        found = between_runs([pl.read_parquet(path) for path in there])
        if len(figures) < MOST_VARIANTS:
            figures.append(_figure(f"{letter}: {shortened(label, 80)}", found, len(there)))
        rows += _rows(letter, found, len(there))
    if not rows:
        return ()
    read = (
        "The deviation of a tier's orders between runs, in percent of customers' mean demand, over all rounds. Where "
        "it grows from the customers up though all runs meet the same customers, it is the minds' own bullwhip."
    )
    head = ("variant", "tier", "runs", "deviation", "of customers' demand")
    return (*figures, Table("How much orders vary between runs", read, head, tuple(rows), words=(0, 1)))


def between_runs(tables: list[pl.DataFrame]) -> pl.DataFrame:
    """Returns a row per tier and round: `low`, `mean`, `high` and `deviation` of orders, and the same of demand."""
    runs = pl.concat(
        table.select("round", "tier", "ordered_units", run=pl.lit(number)).join(
            table.group_by("round").agg(pl.col("demand_units").sum()), on="round"
        )
        for number, table in enumerate(tables)
    )
    orders, demand = pl.col("ordered_units"), pl.col("demand_units")
    return runs.group_by("tier", "round", maintain_order=True).agg(
        low=orders.min(),
        mean=orders.mean(),
        high=orders.max(),
        deviation=orders.std(),
        demand=demand.mean(),
        demand_deviation=demand.std(),
    )


def _rows(letter: str, found: pl.DataFrame, runs: int) -> list[tuple[str, ...]]:
    rows = []
    for tier in found["tier"].unique(maintain_order=True).to_list():
        own = found.filter(pl.col("tier") == tier)
        # Variances add up over rounds, deviations do not.
        parts = (own.select((pl.col(name) ** 2).mean() ** 0.5).item() for name in ("deviation", "demand_deviation"))
        demand = max(float(own.select(pl.col("demand").mean()).item()), 1e-9)
        rows.append((letter, tier, str(runs), *(f"{100 * part / demand:.1f}%" for part in parts)))
    return rows


def _figure(title: str, found: pl.DataFrame, runs: int) -> Figure:
    """Returns a panel for each tier: the band and the mean of orders, and customers' mean demand."""
    last = int(found.select(pl.col("round").max()).item())
    tiers = found["tier"].unique(maintain_order=True).to_list()[:PANELS]
    kept = ("round", "low", "mean", "high", "demand")
    panels = tuple(
        Panel(tier, 140, _chart(last), {"rows": found.filter(pl.col("tier") == tier).select(kept).to_dicts()})
        for tier in tiers
    )
    keys = (Key("orders of the tier, mean and band", charts.FIRST), Key("customers' demand, mean", charts.MUTED))
    caption = f"The band reaches from the least to the most that {runs} runs ordered in a round."
    return Figure(f"Orders between runs, {title}", caption, panels, keys, "grid")


def _chart(last: int) -> Spec:
    """Returns a band and two lines over rounds, from `rows`."""
    base = charts.named("rows").encode(x=charts.round_axis(last))
    axis = charts.amount_axis("low", "units per round", ",~r")
    tooltip = charts.point_tooltip(*((name, name, ",.4~r") for name in ("low", "mean", "high", "demand")))
    return charts.spec(
        base.mark_area(color=charts.FIRST, opacity=0.25, clip=True).encode(y=axis, y2=alt.Y2("high")),
        base.mark_line(color=charts.MUTED, strokeWidth=1.4, clip=True).encode(y=alt.Y("demand:Q")),
        base.mark_line(color=charts.FIRST, strokeWidth=1.8, clip=True).encode(y=alt.Y("mean:Q"), tooltip=tooltip),
        height=140,
    )
