"""The section on wealth: of everybody and by kind, and how unequal it is."""

from swarm.report import aggregates, charts
from swarm.report.charts import Panel, Spec
from swarm.report.parts import Figure, Key, SectionPlugin
from swarm.report.sections.spreads import SPREAD_KEYS, by_kind, spread_over_rounds_chart
from swarm.simulation.record import RunRecord


def wealth(record: RunRecord) -> tuple[Figure, ...]:
    """Returns figures of everybody's wealth, its Gini coefficient, and wealth by kind."""
    last = record.summary["rounds"]
    title, pattern = "wealth (pebbles)", ",.4~r"
    # From cents to pebbles; the same rows are drawn behind every kind's panel.
    everyone = aggregates.rows(aggregates.spread(record, "wealth_cents", aggregates.CENTS))
    spec = spread_over_rounds_chart(last, title, pattern, height=240)
    gini = aggregates.rows(aggregates.wealth_gini(record))
    return (
        Figure(
            "Wealth of everybody",
            "Wealth is cash and stock at reference prices; half of the traders have more than the line says."
            + (" Stock is valued at the mean price over regions." if record.summary.get("regions") else ""),
            (Panel("Wealth", 240, spec, {"rows": everyone}),),
            SPREAD_KEYS,
            "half",
        ),
        Figure(
            "Inequality of wealth",
            "0 means that all have the same, 1 that one has all; a rising line means that few pull away.",
            (Panel("Gini coefficient", 240, gini_chart(last), {"rows": gini}),),
            (Key("Gini coefficient", charts.FIRST),),
            "half",
        ),
        by_kind(record, "Wealth by kind", "wealth_cents", aggregates.CENTS, title, pattern, everyone),
    )


def gini_chart(last: int) -> Spec:
    """Returns a line of the Gini coefficient over rounds, from `rows`."""
    base = charts.named("rows").encode(
        x=charts.round_axis(last, 0),
        y=charts.amount_axis("gini", "Gini coefficient (0 to 1)", ".2~f"),
        tooltip=charts.point_tooltip(("gini", "Gini", ".3f")),
    )
    return charts.spec(
        *charts.backdrop(last, first=0),
        base.mark_line(color=charts.FIRST, strokeWidth=2.2, clip=True),
        base.mark_circle(size=90, opacity=0, clip=True),
        height=240,
    )


SECTION = SectionPlugin("wealth", "Wealth", wealth)
