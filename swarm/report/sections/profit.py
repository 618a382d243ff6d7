"""The section on profits: by mind and by kind, with all of their spread."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from swarm.report import aggregates, charts, deciders
from swarm.report.charts import Panel, Spec
from swarm.report.parts import PANELS, Figure, Key, SectionPlugin, Table
from swarm.report.wording import count, pebbles
from swarm.simulation.record import RunRecord


def profit(record: RunRecord) -> tuple[Figure | Table, ...]:
    """Returns figures of profits by mind and by kind, and a table of both."""
    summary = record.summary
    of_minds = aggregates.profits(record)
    found = {"mind": of_minds, "kind": aggregates.by_trader(of_minds)}
    if found["mind"].is_empty():
        return ()
    read = (
        "A dot is a trader, the thick mark the median, the box the middle half, the thin line 10% to 90%; right of the "
        "dashes is gain."
    )
    keys = (
        Key("a trader", charts.FIRST, "dot"),
        Key("median", "var(--ink)", "tick"),
        Key("middle half", charts.FIRST, "band"),
        Key("10% to 90%", "var(--ink)", "thin"),
    )
    figures = []
    for by, noun in (("mind", "mind"), ("kind", "kind")):
        boxes, dots = aggregates.boxes(found[by], by), aggregates.dots(found[by], by)
        # A mind stands with what it is, since a rule's profit must not be read as a model's.
        shown = {group: deciders.mind_label(summary, group) if by == "mind" else group for group in boxes["group"]}
        data = {
            "boxes": [{**row, "label": shown[row["group"]]} for row in boxes.to_dicts()],
            "dots": [{**row, "label": shown[row["group"]]} for row in dots.to_dicts()],
        }
        spec = profit_chart(list(shown.values()), noun)
        panel = Panel(f"Profit by {noun}", spec["height"], spec, data)
        figures.append(Figure(f"Profit by {noun}", read, (panel,), keys, "half", by == "mind"))
    return (*figures, _profit_table(record, found["mind"]))


def _profit_table(record: RunRecord, found: pl.DataFrame) -> Table:
    summary = record.summary
    kinds = [kind for kind in summary["kinds"][:PANELS] if kind in set(found["kind"])]
    # {(mind, kind): (median profit in pebbles, traders)}
    cells = {
        (mind, kind): (middle, n)
        for mind, kind, middle, n in found.group_by("mind", "kind").agg(pl.col("profit").median(), pl.len()).iter_rows()
    }
    # A row per mind, the best median first.
    rows = []
    for row in aggregates.boxes(found, "mind").to_dicts():
        mind = row["group"]
        of_kinds = (cells.get((mind, kind)) for kind in kinds)
        rows.append(
            (
                mind,
                deciders.nature(summary, mind),
                count(row["traders"]),
                pebbles(row["mean"]),
                pebbles(row["median"]),
                f"{pebbles(row['low'])} to {pebbles(row['high'])}",
                *(f"{pebbles(cell[0])} ({count(cell[1])})" if cell else "none" for cell in of_kinds),
            )
        )
    return Table(
        "Profit by mind and kind, in pebbles",
        f"Profit is wealth after round {count(_last_kept(record))} less wealth at the "
        f"start{_where_it_decided(summary)}. "
        f"{aggregates.USED_UP} For each kind, the median and, in brackets, the number of traders.",
        ("mind", "what it is", "traders", "mean", "median", "10% to 90%", *kinds),
        tuple(rows),
        words=(0, 1),
        by_mind=True,
    )


def _where_it_decided(summary: deciders.Summary) -> str:
    """Returns the clause on a mind's profit where a fork has changed who decides; else nothing."""
    return ", over the rounds in which the mind decided" if len(deciders.parts(summary)) > 1 else ""


def profit_chart(labels: Sequence[str], title: str) -> Spec:
    """Returns boxes of quantiles from `boxes`, with a dot per trader from `dots`; profits in pebbles."""
    amount = alt.Axis(format=",~r", grid=True, tickCount=alt.ExprRef("width > 500 ? 9 : 4"))
    row = charts.category(labels, title)
    box = charts.named("boxes").encode(
        y=row,
        tooltip=[
            alt.Tooltip("group:N", title="who"),
            alt.Tooltip("traders:Q", format=","),
            *(
                alt.Tooltip(f"{name}:Q", title=shown, format=",.2f")
                for name, shown in (("low", "10%"), ("q1", "25%"), ("median", "median"), ("q3", "75%"), ("high", "90%"))
            ),
        ],
    )
    # The first layer with an axis of x sets it for all: from 10% to 90%, then the box, the dots and the median.
    x = alt.X("low:Q", title="profit (pebbles)", axis=amount)
    dot = charts.named("dots").mark_circle(size=26, color=charts.FIRST, opacity=0.55)
    return charts.spec(
        charts.named("zero").mark_rule(color=charts.MUTED, strokeDash=[4, 3]).encode(x=alt.X("zero:Q")),
        box.mark_rule(color=charts.INK, opacity=0.7).encode(x=x, x2=alt.X2("high")),
        box.mark_bar(color=charts.FIRST, opacity=0.25, size=22).encode(x=alt.X("q1:Q"), x2=alt.X2("q3")),
        dot.encode(
            x=alt.X("profit:Q"),
            y=row,
            yOffset=alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-0.6, 1.6])),
            tooltip=[
                alt.Tooltip("trader:Q", format=","),
                alt.Tooltip("kind:N"),
                alt.Tooltip("mind:N"),
                alt.Tooltip("profit:Q", title="profit, pebbles", format=",.2f"),
            ],
        ),
        box.mark_tick(color=charts.INK, thickness=2.5, size=26).encode(x=alt.X("median:Q")),
        height=46 * len(labels),
    )


def _last_kept(record: RunRecord) -> int:
    return int(record.scan("traders").select(pl.col("round").max()).collect().item())


SECTION = SectionPlugin("profit", "Profit", profit)
