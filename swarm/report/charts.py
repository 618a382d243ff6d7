"""Owns the looks of the report's charts, as Vega-Lite specs; it knows nothing of where their numbers come from.

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
    """Returns the colour and the dashes of a good, which are the same on all charts.

    Dashes tell goods apart once colours run out.
    """
    index = list(goods).index(good)
    colour = f"var(--good-{index % GOOD_COLOURS + 1})"
    # The first eight goods are unbroken lines, the next eight the same colours in the next dashes.
    dashes = DASHES[index // GOOD_COLOURS % len(DASHES)]
    return colour, list(dashes)


def by_good(rows: Rows, goods: Sequence[str]) -> list[tuple[str, Rows]]:
    """Returns the rows of each good."""
    return [(good, [row for row in rows if row["good"] == good]) for good in goods]


def shock_marks(shocks: Sequence[dict[str, Any]], rounds: int) -> Rows:
    """Returns a band for each shock of the rounds done, with its number and the line (from 0) for its title."""
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
        # The first line whose last title ends before this one begins, or a new line below.
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
    """Returns borders and names of seasons; none where there are too many to read."""
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
    """Returns the axis that all charts over rounds share."""
    return alt.X(
        f"{column}:Q",
        title="round",
        scale=alt.Scale(domain=[first, last + 0.5], nice=False),
        axis=alt.Axis(format=",d", tickMinStep=1, tickCount=alt.ExprRef("width > 500 ? 12 : 6")),
    )


def amount_axis(column: str, title: str, pattern: str, *, zero: bool = True) -> alt.Y:
    """Returns an upright axis that ends at ticks, so that panels side by side stand at one height."""
    scale = alt.Scale(zero=zero, nice=TICKS)
    return alt.Y(f"{column}:Q", title=title, scale=scale, axis=alt.Axis(format=pattern, tickCount=TICKS))


def named(name: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name=name))


def spec(*layers: alt.Chart, height: int) -> Spec:
    chart = alt.layer(*layers).properties(width="container", height=height)
    spec: Spec = chart.to_dict(validate=False)
    # The page gives the schema's version and CONFIG once, for all charts.
    del spec["$schema"], spec["config"]
    return spec


def backdrop(
    last: int, marks: Sequence[dict[str, Any]] = (), *, first: float = 0.5, named_seasons: bool = False
) -> list[alt.Chart]:
    """Returns shocks as bands and seasons as dotted borders; `marks` puts the shocks' numbers or titles on top."""
    begin = round_axis(last, first, "from")
    about = [alt.Tooltip("title:N", title="shock"), alt.Tooltip("good:N"), alt.Tooltip("rounds:N")]
    layers = [
        named("shocks")
        .mark_rect(color="var(--shock)", opacity=0.16, clip=True)
        .encode(x=begin, x2=alt.X2("to"), tooltip=about),
        named("seasons").mark_rule(color=MUTED, opacity=0.45, strokeDash=[1, 4], clip=True).encode(x=begin),
    ]
    if named_seasons:
        # Whether a name fits is known in the browser alone, where the plot has its width.
        room = named("seasons").transform_calculate(name="width > datum.room ? datum.season : ''")
        name = room.mark_text(baseline="bottom", dy=-4, fontSize=11, opacity=0.8, clip=True)
        layers.append(
            name.encode(x=round_axis(last, first, "mid"), y=alt.value(alt.ExprRef("height")), text=alt.Text("name:N"))
        )
    if marks:
        lines = 1 + max(mark["line"] for mark in marks)
        # With too many shocks for three lines of titles, numbers alone stay legible.
        roomy = f"width >= {TITLE_ROOM_PX * 0.85:.0f}" if lines <= 3 else "false"
        text = named("shocks").transform_calculate(
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


def good_scale(goods: Sequence[str]) -> alt.Color:
    colours = [good_colour(goods, good)[0] for good in goods]
    return alt.Color("good:N", scale=alt.Scale(domain=list(goods), range=colours), legend=None)


def point_tooltip(*fields: tuple[str, str, str]) -> list[alt.Tooltip]:
    return [alt.Tooltip("round:Q", format=",d"), *(alt.Tooltip(f"{f}:Q", title=t, format=p) for f, t, p in fields)]


def category(labels: Sequence[str], title: str) -> alt.Y:
    """Returns an axis with a row per group; a label's second line, after a line feed, says what decides."""
    # Half a line upwards, so that a label of two lines stands level with its row.
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
