"""The section on who traded with whom: what each kind, and each mind, sold to each."""

from collections.abc import Sequence

import altair as alt

from swarm.report import aggregates, charts, deciders
from swarm.report.charts import Panel, Spec
from swarm.report.parts import Figure, SectionPlugin
from swarm.simulation.record import RunRecord


def trade(record: RunRecord) -> tuple[Figure, ...]:
    """Returns a square of sellers by buyers for kinds, and one for minds."""
    summary = record.summary
    if not summary["trades"]:
        return ()
    figures = []
    for by, noun, names in (("kind", "kind", summary["kinds"]), ("mind", "mind", sorted(deciders.minds(summary)))):
        rows = aggregates.rows(aggregates.traded_value(record, by))
        largest = max(row["value"] for row in rows)
        spec = who_with_whom_chart(names, noun, largest)
        figures.append(
            Figure(
                f"Value traded by {noun}",
                f"A row is what that {noun} sold, and to whom; the stronger a field, the more it was worth, in "
                "pebbles.",
                (Panel(f"Value traded by {noun}", spec["height"], spec, {"rows": rows}),),
                layout="half",
                by_mind=by == "mind",
            )
        )
    return tuple(figures)


def who_with_whom_chart(names: Sequence[str], noun: str, largest: int) -> Spec:
    """Returns a square of sellers by buyers, from `rows` with `seller`, `buyer`, `value`."""
    crowded = len(names) > 9
    # A column on a phone is some 45 px wide; names that would not stand level there slant.
    level = len(names) <= 5 and max(map(len, names)) <= 6
    labels = alt.Axis(labelLimit=130, labelOverlap=False, domain=False, ticks=False, labelAngle=0 if level else -35)
    base = charts.named("rows").encode(
        x=alt.X("buyer:N", title=f"buyer's {noun}", sort=list(names), scale=alt.Scale(domain=list(names)), axis=labels),
        y=alt.Y(
            "seller:N",
            title=f"seller's {noun}",
            sort=list(names),
            scale=alt.Scale(domain=list(names)),
            axis=alt.Axis(labelLimit=130, minExtent=0, labelOverlap=False),
        ),
        tooltip=[
            alt.Tooltip("seller:N"),
            alt.Tooltip("buyer:N"),
            alt.Tooltip("value:Q", title="value in pebbles", format=",.0f"),
            alt.Tooltip("trades:Q", format=","),
        ],
    )
    strength = alt.Opacity("value:Q", scale=alt.Scale(domain=[0, max(1, largest)], range=[0.04, 0.62]), legend=None)
    # Figures in the fields, unless there are too many for a field to hold one.
    layers = [base.mark_rect(color=charts.FIRST, stroke=charts.SURFACE, strokeWidth=2).encode(opacity=strength)]
    if not crowded:
        layers.append(base.mark_text(color=charts.INK, fontSize=12).encode(text=alt.Text("value:Q", format=".2~s")))
    return charts.spec(*layers, height=max(160, min(520, 44 * len(names))))


SECTION = SectionPlugin("trade", "Who traded with whom", trade)
