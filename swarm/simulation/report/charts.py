"""The report's charts as Vega-Lite specs: how each looks, and nothing of where its numbers come from.

A spec names its data (`rows`, `shocks`, ...) and holds none, so that one spec serves all panels of a figure. Colours
are CSS variables of the page, so that a theme is switched, and a page printed, without drawing anything again. Text
from data stands in rows and in domains of scales, never in a spec's expressions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt

Spec = dict[str, Any]
Rows = list[dict[str, Any]]

INK, MUTED, GRID, SURFACE = "var(--ink)", "var(--muted)", "var(--grid)", "var(--surface)"
FIRST, SECOND, THIRD = "var(--first)", "var(--second)", "var(--third)"
GOOD_COLOURS = 8
DASHES = ([1, 0], [7, 3], [2, 2], [7, 2, 2, 2])

TICKS = 5
"""About how many ticks an upright axis has."""

TITLE_ROOM_PX = 1_000
"""The narrowest plot that shows shocks by their titles; narrower ones show their numbers."""

CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "autosize": {"type": "fit-x", "contains": "padding"},
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "titleFontWeight": 500,
        "titleFontSize": 12,
        "labelFontSize": 12,
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "titlePadding": 8,
        "labelOverlap": True,
    },
    "axisY": {"domain": False, "ticks": False, "minExtent": 34},
    "axisX": {"grid": False},
    "text": {"color": MUTED, "fontSize": 12},
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: its height in pixels, its spec, and the rows of each data set that the spec names."""

    label: str
    height: int
    spec: Spec
    data: dict[str, Rows] = field(default_factory=dict)


def good_colour(goods: Sequence[str], good: str) -> tuple[str, list[int]]:
    """The colour and the dashes of a good, the same everywhere; dashes tell goods apart once colours run out."""
    place = list(goods).index(good)
    return f"var(--good-{place % GOOD_COLOURS + 1})", list(DASHES[place // GOOD_COLOURS % len(DASHES)])


def by_good(rows: Rows, goods: Sequence[str]) -> list[tuple[str, Rows]]:
    """The rows of each good."""
    return [(good, [row for row in rows if row["good"] == good]) for good in goods]


def shock_marks(shocks: Sequence[dict[str, Any]], rounds: int) -> Rows:
    """Bands for the shocks of the rounds done, each with a number and the line (from 0) its title has room in."""
    ends: list[float] = []
    marks: Rows = []
    for number, shock in enumerate(shocks, start=1):
        first, last = shock["first_round"], min(shock["last_round"], rounds)
        if first > rounds:
            continue
        # A title begins at its band's left edge, or ends at its right one in the right half; 6.6 px is a wide letter.
        length = 6.6 * (len(shock["title"]) + 3) / TITLE_ROOM_PX * rounds
        right = first > rounds / 2
        begin = last - length if right else first - 0.5
        line = next((i for i, end in enumerate(ends) if end < begin), len(ends))
        ends[line : line + 1] = [begin + length]
        marks.append(
            {
                "from": first - 0.5,
                "to": last + 0.5,
                "at": last + 0.5 if right else first - 0.5,
                "right": right,
                "number": str(number),
                "title": shock["title"],
                "good": shock["good"],
                "rounds": f"{shock['first_round']:,}-{shock['last_round']:,}",
                "line": line,
            }
        )
    return marks


def season_marks(seasons: Rows) -> Rows:
    """Borders and names of seasons; none where there are too many to read."""
    if len(seasons) > 24:
        return []
    rounds = max((row["last"] for row in seasons), default=0)
    return [
        {
            "season": row["season"],
            "from": row["first"] - 0.5,
            "mid": (row["first"] + row["last"]) / 2,
            # The plot's width in pixels from which on the name, 7 px a letter, fits between its borders.
            "room": (7 * len(row["season"]) + 8) * rounds / (row["last"] - row["first"] + 1),
        }
        for row in seasons
    ]


def round_axis(last: int, first: float = 0.5, column: str = "round") -> alt.X:
    """The axis that all charts over rounds share."""
    return alt.X(
        f"{column}:Q",
        title="round",
        scale=alt.Scale(domain=[first, last + 0.5], nice=False),
        axis=alt.Axis(format=",d", tickMinStep=1, tickCount=alt.ExprRef("width > 500 ? 12 : 6")),
    )


def amount_axis(column: str, title: str, pattern: str, *, zero: bool = True) -> alt.Y:
    """An upright axis that ends at ticks, so that panels side by side stand at one height."""
    scale = alt.Scale(zero=zero, nice=TICKS)
    return alt.Y(f"{column}:Q", title=title, scale=scale, axis=alt.Axis(format=pattern, tickCount=TICKS))


def _named(name: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name=name))


def _spec(*layers: alt.Chart, height: int) -> Spec:
    chart = alt.layer(*layers).properties(width="container", height=height)
    spec: Spec = chart.to_dict(validate=False)
    del spec["$schema"], spec["config"]
    return spec


def _backdrop(
    last: int, marks: Sequence[dict[str, Any]] = (), *, first: float = 0.5, named_seasons: bool = False
) -> list[alt.Chart]:
    """Shocks as bands and seasons as dotted borders; with `marks`, the shocks' numbers or titles stand on top."""
    place = round_axis(last, first, "from")
    about = [alt.Tooltip("title:N", title="shock"), alt.Tooltip("good:N"), alt.Tooltip("rounds:N")]
    layers = [
        _named("shocks")
        .mark_rect(color="var(--shock)", opacity=0.16, clip=True)
        .encode(x=place, x2=alt.X2("to"), tooltip=about),
        _named("seasons").mark_rule(color=MUTED, opacity=0.45, strokeDash=[1, 4], clip=True).encode(x=place),
    ]
    if named_seasons:
        room = _named("seasons").transform_calculate(name="width > datum.room ? datum.season : ''")
        name = room.mark_text(baseline="bottom", dy=-4, fontSize=11, opacity=0.8, clip=True)
        layers.append(
            name.encode(x=round_axis(last, first, "mid"), y=alt.value(alt.ExprRef("height")), text=alt.Text("name:N"))
        )
    if marks:
        lines = 1 + max(mark["line"] for mark in marks)
        # With too many shocks for three lines of titles, numbers alone stay legible.
        roomy = f"width >= {TITLE_ROOM_PX * 0.85:.0f}" if lines <= 3 else "false"
        text = _named("shocks").transform_calculate(
            text=f"{roomy} ? datum.number + ' ' + datum.title : datum.number",
            y=f"{roomy} ? -5 - 15 * ({lines - 1} - datum.line) : -5",
            x=f"{roomy} ? datum.at : (datum.from + datum.to) / 2",
        )
        align = f"!({roomy}) ? 'center' : datum.right ? 'right' : 'left'"
        mark = text.mark_text(
            align=alt.ExprRef(align), baseline="bottom", fontSize=12, fontWeight=600, color="var(--shock-ink)"
        )
        layers.append(
            mark.encode(
                x=round_axis(last, first, "x"),
                y=alt.Y("y:Q", scale=None, axis=None),
                text=alt.Text("text:N"),
                tooltip=about,
            )
        )
    return layers


def _good_scale(goods: Sequence[str]) -> alt.Color:
    colours = [good_colour(goods, good)[0] for good in goods]
    return alt.Color("good:N", scale=alt.Scale(domain=list(goods), range=colours), legend=None)


def _point_tooltip(*fields: tuple[str, str, str]) -> list[alt.Tooltip]:
    return [alt.Tooltip("round:Q", format=",d"), *(alt.Tooltip(f"{f}:Q", title=t, format=p) for f, t, p in fields)]


def all_prices(goods: Sequence[str], last: int, marks: Rows) -> Spec:
    """Clearing prices of all goods over rounds, from `rows`."""
    dashes = alt.Scale(domain=list(goods), range=[good_colour(goods, good)[1] for good in goods])
    lines = _named("rows").encode(
        x=round_axis(last),
        y=amount_axis("clearing", "clearing price (ticks)", ",~r"),
        color=_good_scale(goods),
        tooltip=[alt.Tooltip("good:N"), *_point_tooltip(("clearing", "clearing price, ticks", ",.4~r"))],
    )
    return _spec(
        *_backdrop(last, marks, named_seasons=True),
        lines.mark_line(strokeWidth=2.2, clip=True).encode(
            strokeDash=alt.StrokeDash("good:N", scale=dashes, legend=None)
        ),
        lines.mark_circle(size=90, opacity=0, clip=True),
        height=300,
    )


def one_price(goods: Sequence[str], last: int) -> Spec:
    """Clearing price (line) and reference price (dashes) of the one good in `rows`."""
    axis = [amount_axis(column, "price (ticks)", ",~r", zero=False) for column in ("reference", "clearing")]
    hover = _point_tooltip(
        ("clearing", "clearing price, ticks", ",.4~r"),
        ("reference", "reference price, ticks", ",.4~r"),
        ("volume", "lots", ",.4~r"),
    )
    base = _named("rows").encode(x=round_axis(last))
    return _spec(
        *_backdrop(last),
        base.mark_line(color=MUTED, strokeWidth=1.4, strokeDash=[3, 2], clip=True).encode(y=axis[0]),
        base.mark_line(strokeWidth=2.2, point={"size": 14}, clip=True).encode(y=axis[1], color=_good_scale(goods)),
        base.mark_circle(size=90, opacity=0, clip=True).encode(y=axis[0], tooltip=hover),
        height=150,
    )


def region_price(names: Sequence[str], last: int) -> Spec:
    """Reference prices of the one good in `rows`, a line for each region."""
    colours, dashes = zip(*(good_colour(names, name) for name in names), strict=True)
    lines = _named("rows").encode(
        x=round_axis(last),
        y=amount_axis("reference", "price (ticks)", ",~r", zero=False),
        color=alt.Color("region:N", scale=alt.Scale(domain=list(names), range=list(colours)), legend=None),
        tooltip=[alt.Tooltip("region:N"), *_point_tooltip(("reference", "reference price, ticks", ",.4~r"))],
    )
    strokes = alt.StrokeDash("region:N", scale=alt.Scale(domain=list(names), range=list(dashes)), legend=None)
    return _spec(
        *_backdrop(last),
        lines.mark_line(strokeWidth=2, clip=True).encode(strokeDash=strokes),
        lines.mark_circle(size=90, opacity=0, clip=True),
        height=150,
    )


def dispersion(goods: Sequence[str], last: int) -> Spec:
    """How far prices lie apart over regions, a line for each good in `rows` and their mean in `mean`."""
    dashes = alt.Scale(domain=list(goods), range=[good_colour(goods, good)[1] for good in goods])
    axis = amount_axis("percent", "deviation over regions (% of the mean)", ",~r")
    lines = _named("rows").encode(
        x=round_axis(last),
        y=axis,
        color=_good_scale(goods),
        tooltip=[alt.Tooltip("good:N"), *_point_tooltip(("percent", "deviation, %", ",.3~r"))],
    )
    mean = _named("mean").encode(x=round_axis(last), y=axis)
    return _spec(
        *_backdrop(last),
        lines.mark_line(strokeWidth=1.4, opacity=0.75, clip=True).encode(
            strokeDash=alt.StrokeDash("good:N", scale=dashes, legend=None)
        ),
        mean.mark_line(color=INK, strokeWidth=2.6, clip=True),
        lines.mark_circle(size=90, opacity=0, clip=True),
        height=240,
    )


def volume(goods: Sequence[str], last: int, marks: Rows) -> Spec:
    """Lots traded per round, stacked by good, from `rows` with `from`, `to`, `y0`, `y1`."""
    bars = _named("rows").mark_rect(clip=True, stroke=SURFACE, strokeWidth=0.6)
    encoded = bars.encode(
        x=round_axis(last, column="from"),
        x2=alt.X2("to"),
        y=amount_axis("y0", "volume (lots per round)", ",~r"),
        y2=alt.Y2("y1"),
        color=_good_scale(goods),
        tooltip=[alt.Tooltip("good:N"), *_point_tooltip(("volume", "lots", ",.4~r"))],
    )
    return _spec(*_backdrop(last, marks), encoded, height=220)


def unfilled(goods: Sequence[str], last: int) -> Spec:
    """Lots that found no seller (up) and no buyer (down) of the one good in `rows`."""
    axis = alt.Axis(labelExpr="format(abs(datum.value), ',~r')", tickCount=TICKS)
    base = _named("rows").encode(
        x=round_axis(last, column="from"),
        x2=alt.X2("to"),
        color=_good_scale(goods),
        tooltip=_point_tooltip(
            ("demand", "unfilled demand, lots", ",.4~r"), ("supply", "unfilled supply, lots", ",.4~r")
        ),
    )
    down = base.transform_calculate(down="-datum.supply")
    return _spec(
        *_backdrop(last),
        base.mark_rect(clip=True).encode(
            y=alt.Y("demand:Q", title="unfilled (lots per round)", axis=axis, scale=alt.Scale(nice=TICKS)),
            y2=alt.datum(0),
        ),
        down.mark_rect(opacity=0.45, clip=True).encode(y=alt.Y("down:Q"), y2=alt.datum(0)),
        _named("zero").mark_rule(color=MUTED).encode(y=alt.Y("zero:Q")),
        height=140,
    )


def spread_over_rounds(
    last: int, title: str, pattern: str, *, height: int, compared: bool = False, top: float | None = None
) -> Spec:
    """Median and 10-90% band from `rows`, up to `top`; where `compared`, the median in `everyone` as dashes."""
    base = _named("rows").encode(x=round_axis(last, 0))
    hover = _point_tooltip(("median", "median", pattern), ("low", "10%", pattern), ("high", "90%", pattern))
    axis = amount_axis("low", title, pattern)
    if top is not None:
        axis = axis.scale(domain=[0, top], nice=TICKS)
    layers = [
        base.mark_area(color=FIRST, opacity=0.22, clip=True).encode(y=axis, y2=alt.Y2("high")),
        base.mark_line(color=FIRST, strokeWidth=2.2, clip=True).encode(y=alt.Y("median:Q")),
    ]
    if compared:
        everyone = _named("everyone").encode(x=round_axis(last, 0), y=alt.Y("median:Q"))
        layers.append(everyone.mark_line(color=MUTED, strokeWidth=1.3, strokeDash=[3, 2], clip=True))
    layers.append(base.mark_circle(size=90, opacity=0, clip=True).encode(y=alt.Y("median:Q"), tooltip=hover))
    return _spec(*_backdrop(last, first=0), *layers, height=height)


def gini(last: int) -> Spec:
    """The Gini coefficient over rounds, from `rows`."""
    base = _named("rows").encode(
        x=round_axis(last, 0),
        y=amount_axis("gini", "Gini coefficient (0 to 1)", ".2~f"),
        tooltip=_point_tooltip(("gini", "Gini", ".3f")),
    )
    return _spec(
        *_backdrop(last, first=0),
        base.mark_line(color=FIRST, strokeWidth=2.2, clip=True),
        base.mark_circle(size=90, opacity=0, clip=True),
        height=240,
    )


def who_with_whom(names: Sequence[str], noun: str, largest: int) -> Spec:
    """A square of sellers by buyers, from `rows` with `seller`, `buyer`, `value`."""
    crowded = len(names) > 9
    # A column on a phone is some 45 px wide; names that would not stand level there slant.
    level = len(names) <= 5 and max(map(len, names)) <= 6
    labels = alt.Axis(labelLimit=130, labelOverlap=False, domain=False, ticks=False, labelAngle=0 if level else -35)
    base = _named("rows").encode(
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
    layers = [base.mark_rect(color=FIRST, stroke=SURFACE, strokeWidth=2).encode(opacity=strength)]
    if not crowded:
        layers.append(base.mark_text(color=INK, fontSize=12).encode(text=alt.Text("value:Q", format=".2~s")))
    return _spec(*layers, height=max(160, min(520, 44 * len(names))))


def _category(labels: Sequence[str], title: str) -> alt.Y:
    """Groups as rows; a label's second line, after a line feed, says what decides."""
    lift = -7 if any("\n" in label for label in labels) else 0
    axis = alt.Axis(
        labelExpr="split(datum.label, '\\n')",
        labelLimit=150,
        minExtent=0,
        grid=False,
        labelLineHeight=14,
        labelOffset=lift,
        labelOverlap=False,
    )
    return alt.Y("label:N", title=title, sort=list(labels), scale=alt.Scale(domain=list(labels)), axis=axis)


def profit(labels: Sequence[str], title: str) -> Spec:
    """Boxes of quantiles from `boxes`, with a dot per trader from `dots`; profits in pebbles."""
    amount = alt.Axis(format=",~r", grid=True, tickCount=alt.ExprRef("width > 500 ? 9 : 4"))
    row = _category(labels, title)
    box = _named("boxes").encode(
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
    x = alt.X("low:Q", title="profit (pebbles)", axis=amount)
    dot = _named("dots").mark_circle(size=26, color=FIRST, opacity=0.55)
    return _spec(
        _named("zero").mark_rule(color=MUTED, strokeDash=[4, 3]).encode(x=alt.X("zero:Q")),
        box.mark_rule(color=INK, opacity=0.7).encode(x=x, x2=alt.X2("high")),
        box.mark_bar(color=FIRST, opacity=0.25, size=22).encode(x=alt.X("q1:Q"), x2=alt.X2("q3")),
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
        box.mark_tick(color=INK, thickness=2.5, size=26).encode(x=alt.X("median:Q")),
        height=46 * len(labels),
    )


def tokens(labels: Sequence[str], budget: int) -> Spec:
    """Mean tokens per turn from `rows` (with `part`, `y0`, `y1`), the most from `most`, the budget as a line."""
    row = _category(labels, "model")
    axis = alt.Axis(format=",d", tickCount=alt.ExprRef("width > 500 ? 9 : 4"), grid=True)
    parts = alt.Scale(domain=["prompt", "completion"], range=[FIRST, SECOND])
    bar = (
        _named("rows")
        .mark_bar(size=20)
        .encode(
            y=row,
            x=alt.X("y0:Q", title="tokens per turn", axis=axis, scale=alt.Scale(domainMin=0)),
            x2=alt.X2("y1"),
            color=alt.Color("part:N", scale=parts, legend=None),
            tooltip=[
                alt.Tooltip("mind:N", title="model"),
                alt.Tooltip("part:N"),
                alt.Tooltip("tokens:Q", title="mean tokens per turn", format=",.1f"),
            ],
        )
    )
    most = _named("most").mark_tick(color=INK, thickness=2, size=26)
    hover = [alt.Tooltip("mind:N", title="model"), alt.Tooltip("most:Q", title="most tokens of a turn", format=",")]
    line = _named("budget").mark_rule(color="var(--bad)", strokeWidth=2, strokeDash=[5, 3]).encode(x=alt.X("budget:Q"))
    # Right of the line there is no room: the axis ends at the budget or little beyond it.
    text = _named("budget").mark_text(align="right", dx=-6, baseline="bottom", fontWeight=600, color="var(--bad)")
    return _spec(
        bar,
        most.encode(y=row, x=alt.X("most:Q"), tooltip=hover),
        line,
        text.encode(x=alt.X("budget:Q"), y=alt.value(-4), text=alt.value(f"budget {budget:,}")),
        height=max(60, 40 * len(labels)),
    )


def latency(labels: Sequence[str], unit: str) -> Spec:
    """Median to 95th percentile of a turn's latency, from `rows` with `p50`, `p95` in `unit`."""
    base = _named("rows").encode(
        y=_category(labels, "model"),
        tooltip=[
            alt.Tooltip("mind:N", title="model"),
            alt.Tooltip("p50:Q", title=f"p50, {unit}", format=",.3~r"),
            alt.Tooltip("p95:Q", title=f"p95, {unit}", format=",.3~r"),
        ],
    )
    axis = alt.Axis(format=",~r", grid=True, tickCount=alt.ExprRef("width > 500 ? 9 : 4"))
    x = alt.X("p50:Q", title=f"latency of a turn ({unit})", axis=axis, scale=alt.Scale(domainMin=0))
    return _spec(
        base.mark_rule(color=FIRST, strokeWidth=3, opacity=0.5).encode(x=x, x2=alt.X2("p95")),
        base.mark_point(color=FIRST, filled=True, size=110, opacity=1).encode(x=x),
        base.mark_point(color=FIRST, fill=SURFACE, size=90, strokeWidth=2, opacity=1).encode(x=alt.X("p95:Q")),
        height=max(60, 40 * len(labels)),
    )


def round_time(last: int, unit: str) -> Spec:
    """How long a round took, stacked by `part`, from `rows` with `y0`, `y1` in `unit`."""
    parts = alt.Scale(domain=["decide", "clear", "rest"], range=[FIRST, SECOND, THIRD])
    bars = (
        _named("rows")
        .mark_rect(clip=True)
        .encode(
            x=round_axis(last, column="from"),
            x2=alt.X2("to"),
            y=amount_axis("y0", f"time per round ({unit})", ",~r"),
            y2=alt.Y2("y1"),
            color=alt.Color("part:N", scale=parts, legend=None),
            tooltip=[alt.Tooltip("part:N"), *_point_tooltip(("time", unit, ",.4~r"))],
        )
    )
    return _spec(bars, height=220)
