"""The section on prices: clearing and reference prices, of all goods and good by good."""

from collections.abc import Sequence

import altair as alt

from swarm.report import aggregates, charts
from swarm.report.charts import Panel, Rows, Spec
from swarm.report.parts import PANELS, Figure, Key, SectionPlugin, good_keys, of_regions
from swarm.simulation.record import RunRecord


def prices(record: RunRecord) -> tuple[Figure, ...]:
    """Returns a figure of all goods' clearing prices, and one of each good's with its reference price.

    Where nothing was traded, only the second, of goods whose reference price has moved.
    """
    summary = record.summary
    goods, last = summary["goods"], summary["rounds"]
    # Shocks are named above the first figure alone; panels below are too narrow.
    marks = charts.shock_marks(summary["shocks"], summary["rounds"])
    frame, _ = aggregates.prices(record)
    columns = ("round", "good", "clearing", "reference", "volume")
    rows = aggregates.rows(frame, *columns)
    one_price = one_price_chart(goods, last)
    by_good = charts.by_good(rows, goods[:PANELS])
    if not summary["trades"]:
        by_good = [(good, own) for good, own in by_good if len({row["reference"] for row in own}) > 1]
    each = Figure(
        "Clearing and reference price, good by good",
        "Reference prices (dashes) are the market's after the round; each panel has a scale of its own."
        + of_regions(summary),
        tuple(Panel(good, 150, one_price, {"rows": own}) for good, own in by_good),
        (Key("clearing price", "var(--ink)"), Key("reference price", "var(--muted)", "dashed")),
        "grid",
    )
    if not summary["trades"]:
        return (each,) if by_good else ()
    together = Figure(
        "Clearing price of every good",
        "All of a round's trades in a good are made at one price, its line; it breaks where nobody traded."
        + of_regions(summary),
        (Panel("Clearing prices", 300, all_prices_chart(goods, last, marks), {"rows": rows}),),
        good_keys(goods),
    )
    return together, each


def all_prices_chart(goods: Sequence[str], last: int, marks: Rows) -> Spec:
    """Returns the clearing prices of all goods over rounds, from `rows`."""
    dashes = alt.Scale(domain=list(goods), range=[charts.good_colour(goods, good)[1] for good in goods])
    lines = charts.named("rows").encode(
        x=charts.round_axis(last),
        y=charts.amount_axis("clearing", "clearing price (pebbles)", ",~r"),
        color=charts.good_scale(goods),
        tooltip=[alt.Tooltip("good:N"), *charts.point_tooltip(("clearing", "clearing price, pebbles", ",.4~r"))],
    )
    return charts.spec(
        *charts.backdrop(last, marks, named_seasons=True),
        lines.mark_line(strokeWidth=2.2, clip=True).encode(
            strokeDash=alt.StrokeDash("good:N", scale=dashes, legend=None)
        ),
        # Unseen, and large enough to be pointed at: they show the tooltip.
        lines.mark_circle(size=90, opacity=0, clip=True),
        height=300,
    )


def one_price_chart(goods: Sequence[str], last: int) -> Spec:
    """Returns clearing price (line) and reference price (dashes) of the one good in `rows`."""
    # Not from zero: a panel is there to show how a price moves, and panels are not compared.
    axis = [charts.amount_axis(column, "price (pebbles)", ",~r", zero=False) for column in ("reference", "clearing")]
    hover = charts.point_tooltip(
        ("clearing", "clearing price, pebbles", ",.4~r"),
        ("reference", "reference price, pebbles", ",.4~r"),
        ("volume", "lots", ",.4~r"),
    )
    base = charts.named("rows").encode(x=charts.round_axis(last))
    return charts.spec(
        *charts.backdrop(last),
        base.mark_line(color=charts.MUTED, strokeWidth=1.4, strokeDash=[3, 2], clip=True).encode(y=axis[0]),
        base.mark_line(strokeWidth=2.2, point={"size": 14}, clip=True).encode(
            y=axis[1], color=charts.good_scale(goods)
        ),
        base.mark_circle(size=90, opacity=0, clip=True).encode(y=axis[0], tooltip=hover),
        height=150,
    )


SECTION = SectionPlugin("prices", "Prices", prices)
