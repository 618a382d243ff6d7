"""Makes the panels and variables of all dashboards with Grafana's builders, in one look.

Every panel here has a description and a unit, because there is no other way to make one. It knows Grafana's builders,
but no metric of a run besides its count of rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as model

TAG = "swarm"
COLUMNS = 24
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
RATE = "$__rate_interval"

GAP_MS = 60_000
"""Gaps up to this long are drawn through."""

GOOD, FAIR, BAD = "green", "orange", "red"


@dataclass(frozen=True, slots=True)
class Query:
    """One query in PromQL and the name of its series; `{{label}}` in it stands for the label's value."""

    expr: str
    legend: str


Builder = Any


def board(
    uid: str, title: str, description: str, variables: Sequence[Builder], panels: Sequence[Builder]
) -> model.Dashboard:
    """Returns a dashboard with links to the others, its variables, and its panels and rows in reading order."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-15m", "now")
        .refresh("10s")
        .timezone(looks.TimeZoneBrowser)
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .editable()
        .link(
            dashboard.DashboardLink("Swarm")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    # A query may use the variables above its own, so their order is the caller's.
    for variable in variables:
        made.with_variable(variable)
    # Numbered in reading order, so that a panel's id is the same in every build.
    for number_of_panel, panel in enumerate(panels, start=1):
        panel.id(number_of_panel)
        if isinstance(panel, dashboard.Row):
            made.with_row(panel)
        else:
            made.with_panel(panel)
    return made.build()


def variable(name: str, label: str, series: str, of: str, description: str, several: bool = False) -> Builder:
    """Returns a variable with the values of the label `of` on `series`; with `several`, many can be chosen at once."""
    made = (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(SOURCE)
        .query({"query": f"label_values({series}, {of})", "refId": name})
        .definition(f"label_values({series}, {of})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC if several else model.VariableSort.NATURAL_DESC)
    )
    # ".*" also finds the series that lack the label, unlike a list of all values.
    if several:
        made.multi(True).include_all(True).all_value(".*")
        made.current(model.VariableOption(selected=True, text="All", value="$__all"))
    return made


def row(title: str) -> Builder:
    """Returns a heading over the panels that follow."""
    return dashboard.Row(title)


def number(
    title: str,
    description: str,
    unit: str,
    query: Query,
    *,
    width: int = 4,
    height: int = 4,
    decimals: int | None = None,
    steps: Sequence[tuple[float, str]] = (),
    spark: bool = False,
) -> Builder:
    """Returns a panel of the latest values in large figures; from each of `steps` on, a value has that colour."""
    # Without thresholds a figure has the colour of text: green would say that somebody had judged it.
    panel = (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .graph_mode(looks.BigValueGraphMode.AREA if spark else looks.BigValueGraphMode.NONE)
        .color_mode(looks.BigValueColorMode.VALUE if steps else looks.BigValueColorMode.NONE)
        .thresholds(_steps(steps))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )
    return _dressed(panel, title, description, unit, [query], width, height, decimals)


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = 12,
    height: int = 8,
    decimals: int | None = None,
    stacked: bool = False,
    bottom: float | None = 0,
    top: float | None = None,
    axis: str = "",
    repeat: str | None = None,
) -> Builder:
    """Returns a panel of series over time, whose axis holds `bottom` and `top` however small the values are.

    The legend says the latest values where the number of series is known here, and so has room for them.
    """
    # A legend with a label in it stands for as many series as the label has values.
    latest = [] if any("{{" in query.legend for query in queries) else ["lastNotNull"]
    panel = (
        timeseries.Panel()
        .line_width(1 if stacked else 2)
        .fill_opacity(50 if stacked else 0)
        .show_points(looks.VisibilityMode.NEVER)
        .line_interpolation(looks.LineInterpolation.LINEAR)
        # A scrape or two that failed is no event of the run.
        .span_nulls(GAP_MS)
        .axis_label(axis)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(looks.LegendDisplayMode.LIST)
            .placement(looks.LegendPlacement.BOTTOM)
            .calcs(latest)
        )
        .tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
    )
    # Only what differs from Grafana's defaults is set.
    if stacked:
        panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A"))
    if bottom is not None:
        panel.axis_soft_min(bottom)
    if top is not None:
        panel.axis_soft_max(top)
    if repeat is not None:
        panel.repeat(repeat).repeat_direction("h").max_per_row(4)
    return _dressed(panel, title, description, unit, queries, width, height, decimals)


def bars(
    title: str,
    description: str,
    unit: str,
    query: Query,
    *,
    width: int = 6,
    height: int = 8,
    decimals: int | None = None,
) -> Builder:
    """Returns a panel of the latest values side by side."""
    # Bars begin at 0, or their lengths would not compare.
    panel = (
        bargauge.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .orientation(looks.VizOrientation.HORIZONTAL)
        .display_mode(looks.BarGaugeDisplayMode.BASIC)
        .value_mode(looks.BarGaugeValueMode.TEXT)
        .name_placement(looks.BarGaugeNamePlacement.TOP)
        .sizing(looks.BarGaugeSizing.AUTO)
        .show_unfilled(True)
        .min(0)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    )
    return _dressed(panel, title, description, unit, [query], width, height, decimals)


def per_round(counter: str, by: str, run: str = 'run="$run"') -> str:
    """Returns the query for what a counter gains in a round, by a label; it has no value while no round passes."""
    # The rate of the counter over that of rounds, so that the window's length cancels out.
    return (
        f"sum by ({by}) (rate({counter}[{RATE}])) / on () group_left () sum(rate(swarm_rounds_total{{{run}}}[{RATE}]))"
    )


def quantile(q: float, histogram: str, by: str = "") -> str:
    """Returns the query for a quantile of a histogram's observations within the rate's window."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}[{RATE}])))"


def _steps(steps: Sequence[tuple[float, str]]) -> Builder:
    # Grafana wants a first mark without a value, which stands for all that is below the others.
    marks = [model.Threshold(value=None, color=GOOD if steps else "text")]
    marks += [model.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(marks)


def _dressed(
    panel: Builder,
    title: str,
    description: str,
    unit: str,
    queries: Sequence[Query],
    width: int,
    height: int,
    decimals: int | None,
) -> Builder:
    # All panels pass here, so none lacks a title, a description or a unit.
    panel.title(title).description(description).unit(unit).datasource(SOURCE).span(width).height(height)
    if decimals is not None:
        panel.decimals(decimals)
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend).range())
    return panel
