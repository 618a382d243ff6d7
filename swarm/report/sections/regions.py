"""The section on regions: their prices, how far these lie apart, what each came to, and what was on the road."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from swarm.report import aggregates, charts, wording
from swarm.report.charts import Panel, Spec
from swarm.report.parts import PANELS, Figure, Key, SectionPlugin, Table, good_keys
from swarm.report.wording import count
from swarm.simulation.record import RunRecord


def regions(record: RunRecord) -> tuple[Figure | Table, ...]:
    """Returns figures and tables of the regions side by side; none where there is one market."""
    summary = record.summary
    if not summary.get("regions"):
        return ()
    told, goods, last = summary["regions"], summary["goods"], summary["rounds"]
    names = told["names"]
    # [kept rounds x regions x goods] prices, and [kept rounds x goods] how far they lie apart.
    frame = aggregates.region_prices(record)
    spec = region_price_chart(names, last)
    # One deviation over regions per good, and their plain mean over goods.
    apart = aggregates.dispersion(record)
    mean = apart.group_by("round", maintain_order=True).agg(pl.col("percent").mean().round(2))
    spread = {"rows": aggregates.rows(apart), "mean": aggregates.rows(mean)}
    of: dict[str, dict[str, Any]] = told["of"]
    return (
        Figure(
            "Price of every good, region by region",
            "A line is a region's reference price after the round; where lines draw together, goods that travel have "
            "made one price of several.",
            tuple(
                Panel(good, 150, spec, {"rows": aggregates.rows(frame.filter(pl.col("good") == good))})
                for good in goods[:PANELS]
            ),
            good_keys(names),
            "grid",
        ),
        Figure(
            "Dispersion of prices over regions",
            "The standard deviation of a good's price over regions, in percent of its mean: 0 is one price everywhere. "
            "The thick line is the mean of all goods.",
            (Panel("Dispersion of prices", 240, dispersion_chart(goods, last), spread),),
            (*good_keys(goods), Key("mean of all goods", "var(--ink)")),
        ),
        Table(
            "What each region came to",
            "Guests live in another region and have a seat in this market, too. What is unexplained, of all assets, "
            "must be 0.",
            ("region", "live here", "guests", "trades", "lots traded", "decision errors", "late", "unexplained"),
            tuple(
                (
                    name,
                    count(own["live_here"]),
                    count(own["guests"]),
                    count(own["trades"]),
                    count(own["volume_lots"]),
                    count(sum(wording.errors_of_decisions(own).values())),
                    count(own["late_turns"]),
                    count(sum(abs(flow["unexplained"]) for flow in own["conservation"].values())),
                )
                for name, own in of.items()
            ),
        ),
        _road_table(record),
    )


def _road_table(record: RunRecord) -> Table:
    told = record.summary["regions"]
    of: dict[str, dict[str, Any]] = told["of"]
    rows = tuple(
        (
            f"{row['asset']} ({'cents' if row['asset'] == 'cash' else 'lots'})",
            count(row["left"]),
            count(row["arrived"]),
            count(row["under_way"]),
            *(count(own["road"][row["asset"]]) for own in of.values()),
            # The sum of all markets' accounts, which the reader can hold against what is under way.
            count(sum(own["road"][row["asset"]] for own in of.values())),
            count(row["toll"]),
        )
        for row in aggregates.traffic(record).to_dicts()
    )
    return Table(
        "What travelled",
        "Each market has an account for the road, which is below 0 where more came than left. All of them together "
        "must hold what is under way, and the run would have stopped after the first round in which they did not.",
        ("asset", "left", "arrived", "under way", *(f"road of {name}" for name in of), "of all", "tolls"),
        rows,
        empty="None: there are no travellers.",
    )


def region_price_chart(names: Sequence[str], last: int) -> Spec:
    """Returns reference prices of the one good in `rows`, a line for each region."""
    # Regions take the colours of goods, since in this figure a panel is a good and a line a region.
    colours, dashes = zip(*(charts.good_colour(names, name) for name in names), strict=True)
    lines = charts.named("rows").encode(
        x=charts.round_axis(last),
        y=charts.amount_axis("reference", "price (pebbles)", ",~r", zero=False),
        color=alt.Color("region:N", scale=alt.Scale(domain=list(names), range=list(colours)), legend=None),
        tooltip=[alt.Tooltip("region:N"), *charts.point_tooltip(("reference", "reference price, pebbles", ",.4~r"))],
    )
    # Dashes keep regions apart for those who do not see the colours, and beyond the eighth.
    strokes = alt.StrokeDash("region:N", scale=alt.Scale(domain=list(names), range=list(dashes)), legend=None)
    return charts.spec(
        *charts.backdrop(last),
        lines.mark_line(strokeWidth=2, clip=True).encode(strokeDash=strokes),
        lines.mark_circle(size=90, opacity=0, clip=True),
        height=150,
    )


def dispersion_chart(goods: Sequence[str], last: int) -> Spec:
    """Returns the dispersion of prices over regions, a line for each good in `rows` and their mean in `mean`."""
    dashes = alt.Scale(domain=list(goods), range=[charts.good_colour(goods, good)[1] for good in goods])
    axis = charts.amount_axis("percent", "deviation over regions (% of the mean)", ",~r")
    lines = charts.named("rows").encode(
        x=charts.round_axis(last),
        y=axis,
        color=charts.good_scale(goods),
        tooltip=[alt.Tooltip("good:N"), *charts.point_tooltip(("percent", "deviation, %", ",.3~r"))],
    )
    mean = charts.named("mean").encode(x=charts.round_axis(last), y=axis)
    return charts.spec(
        *charts.backdrop(last),
        lines.mark_line(strokeWidth=1.4, opacity=0.75, clip=True).encode(
            strokeDash=alt.StrokeDash("good:N", scale=dashes, legend=None)
        ),
        mean.mark_line(color=charts.INK, strokeWidth=2.6, clip=True),
        lines.mark_circle(size=90, opacity=0, clip=True),
        height=240,
    )


SECTION = SectionPlugin("regions", "Regions", regions)
