"""Draws spreads over traders for several sections: the median and the band from 10% to 90%, round by round."""

import altair as alt

from swarm.report import aggregates, charts
from swarm.report.charts import Panel, Rows, Spec
from swarm.report.parts import PANELS, Figure, Key
from swarm.simulation.record import RunRecord

SPREAD_KEYS = (Key("median", charts.FIRST), Key("10% to 90% of traders", charts.FIRST, "band"))
COMPARED_KEYS = (*SPREAD_KEYS, Key("median of everybody", "var(--muted)", "dashed"))


def by_kind(
    record: RunRecord, heading: str, column: str, divisor: int, title: str, pattern: str, everyone: Rows
) -> Figure:
    """Returns a panel for each kind's spread of `column`, before the median of `everyone`."""
    found = aggregates.rows(aggregates.spread(record, column, divisor, ("kind",)))
    # One scale for all panels, or a poor kind would look as rich as the others.
    ends = min(0.0, *(row["low"] for row in found)), max(row["high"] for row in found)
    spec = spread_over_rounds_chart(record.summary["rounds"], title, pattern, height=150, compared=True, ends=ends)
    middle = [{"round": row["round"], "median": row["median"]} for row in everyone]
    return Figure(
        heading,
        "Each panel is one kind of trader, all to one scale: above the dashes it fares better than the middle of all.",
        tuple(
            Panel(kind, 150, spec, {"rows": [row for row in found if row["kind"] == kind], "everyone": middle})
            for kind in record.summary["kinds"][:PANELS]
        ),
        COMPARED_KEYS,
        "grid",
    )


def spread_over_rounds_chart(
    last: int, title: str, pattern: str, *, height: int, compared: bool = False, ends: tuple[float, float] | None = None
) -> Spec:
    """Returns median and 10-90% band from `rows`, between `ends`; `compared` adds that in `everyone` as dashes."""
    base = charts.named("rows").encode(x=charts.round_axis(last, 0))
    hover = charts.point_tooltip(("median", "median", pattern), ("low", "10%", pattern), ("high", "90%", pattern))
    axis = charts.amount_axis("low", title, pattern)
    if ends is not None:
        axis = axis.scale(domain=list(ends), nice=charts.TICKS)
    layers = [
        base.mark_area(color=charts.FIRST, opacity=0.22, clip=True).encode(y=axis, y2=alt.Y2("high")),
        base.mark_line(color=charts.FIRST, strokeWidth=2.2, clip=True).encode(y=alt.Y("median:Q")),
    ]
    if compared:
        everyone = charts.named("everyone").encode(x=charts.round_axis(last, 0), y=alt.Y("median:Q"))
        layers.append(everyone.mark_line(color=charts.MUTED, strokeWidth=1.3, strokeDash=[3, 2], clip=True))
    # Unseen, and last so that it lies on top and answers to the pointer.
    layers.append(base.mark_circle(size=90, opacity=0, clip=True).encode(y=alt.Y("median:Q"), tooltip=hover))
    return charts.spec(*charts.backdrop(last, first=0), *layers, height=height)
