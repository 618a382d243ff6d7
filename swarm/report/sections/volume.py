"""The section on volume: lots traded per round, and what was wanted or offered in vain."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from swarm.report import aggregates, charts
from swarm.report.charts import Panel, Rows, Spec
from swarm.report.parts import PANELS, Figure, Key, SectionPlugin, good_keys
from swarm.simulation.record import RunRecord


def volumes(record: RunRecord) -> tuple[Figure, ...]:
    """Returns figures of lots traded per round, and of what was wanted or offered in vain."""
    summary = record.summary
    goods, last = summary["goods"], summary["rounds"]
    marks = charts.shock_marks(summary["shocks"], summary["rounds"])
    frame, _ = aggregates.prices(record)
    # Goods without trade would be bars of no height that still answer to the pointer.
    stacked = aggregates.stacked(frame.filter(pl.col("volume") > 0), "volume", ["round"])
    bars = aggregates.rows(stacked, "round", "from", "to", "good", "volume", "y0", "y1")
    unmet = aggregates.rows(frame, "round", "from", "to", "good", "demand", "supply")
    unfilled = unfilled_chart(goods, last)
    return (
        Figure(
            "Lots traded",
            "The height of a bar is the round's volume, and each colour in it one good's share.",
            (Panel("Volume", 220, volume_chart(goods, last, marks), {"rows": bars}),),
            good_keys(goods, "block"),
        ),
        Figure(
            "Unfilled demand and supply, good by good",
            "Above the line are lots that were bid for and not bought, below it lots that were offered and not sold, "
            "whatever their limits.",
            tuple(Panel(good, 140, unfilled, {"rows": own}) for good, own in charts.by_good(unmet, goods[:PANELS])),
            (
                Key("unfilled demand, upwards", "var(--ink)", "block"),
                Key("unfilled supply, downwards", "var(--ink)", "pale"),
            ),
            "grid",
        ),
    )


def volume_chart(goods: Sequence[str], last: int, marks: Rows) -> Spec:
    """Returns lots traded per round, stacked by good, from `rows` with `from`, `to`, `y0`, `y1`."""
    bars = charts.named("rows").mark_rect(clip=True, stroke=charts.SURFACE, strokeWidth=0.6)
    encoded = bars.encode(
        x=charts.round_axis(last, column="from"),
        x2=alt.X2("to"),
        y=charts.amount_axis("y0", "volume (lots per round)", ",~r"),
        y2=alt.Y2("y1"),
        color=charts.good_scale(goods),
        tooltip=[alt.Tooltip("good:N"), *charts.point_tooltip(("volume", "lots", ",.4~r"))],
    )
    return charts.spec(*charts.backdrop(last, marks), encoded, height=220)


def unfilled_chart(goods: Sequence[str], last: int) -> Spec:
    """Returns lots that found no seller (up) and no buyer (down) of the one good in `rows`."""
    # Supply hangs below the line, and is no negative number: labels go without a sign.
    axis = alt.Axis(labelExpr="format(abs(datum.value), ',~r')", tickCount=charts.TICKS)
    base = charts.named("rows").encode(
        x=charts.round_axis(last, column="from"),
        x2=alt.X2("to"),
        color=charts.good_scale(goods),
        tooltip=charts.point_tooltip(
            ("demand", "unfilled demand, lots", ",.4~r"), ("supply", "unfilled supply, lots", ",.4~r")
        ),
    )
    down = base.transform_calculate(down="-datum.supply")
    return charts.spec(
        *charts.backdrop(last),
        # Demand stands full above the line, supply pale below it.
        base.mark_rect(clip=True).encode(
            y=alt.Y("demand:Q", title="unfilled (lots per round)", axis=axis, scale=alt.Scale(nice=charts.TICKS)),
            y2=alt.datum(0),
        ),
        down.mark_rect(opacity=0.45, clip=True).encode(y=alt.Y("down:Q"), y2=alt.datum(0)),
        charts.named("zero").mark_rule(color=charts.MUTED).encode(y=alt.Y("zero:Q")),
        height=140,
    )


SECTION = SectionPlugin("volume", "Volume", volumes, of_trades=True)
