"""Draws how a run's cost grows with its traders, from the file of the benchmark `growth` and from nothing else."""

import json
from pathlib import Path
from typing import Any

import altair as alt

FIGURES = {
    "cpu_s": "CPU seconds of a round",
    "round_s": "seconds of a round",
    "kb": "kB of a trader",
    "bytes": "bytes on disk, a trader and round",
}
"""The panels of the plot, by the part of a figure's name that stands for them."""
COLOURS = ("#b45309", "#0f766e", "#6d28d9")


def points(form: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns `figure`, `population`, `traders` and `value` of every point of the file; slopes are none."""
    found = []
    for result in form["results"]:
        figure, _, rest = result["name"].removeprefix("growth_").rpartition("_")[0].rpartition("_")
        traders = result["name"].rpartition("_")[2]
        # A logarithm shows what is above zero; a difference that noise has turned round is not shown.
        if figure in FIGURES and traders.isdigit() and result["value"] and result["value"] > 0:
            found.append({"figure": figure, "population": rest, "traders": int(traders), "value": result["value"]})
    return found


def svg(form: dict[str, Any]) -> str:
    """Returns the plot as SVG: a panel for each figure, both axes logarithmic, a line for each population."""
    rows = points(form)
    populations = list(dict.fromkeys(row["population"] for row in rows))
    panels = []
    for figure, title in FIGURES.items():
        own = alt.InlineData(values=[row for row in rows if row["figure"] == figure])
        panel = (
            alt.Chart(own, title=title)
            .mark_line(point=True)
            .encode(
                x=alt.X(
                    "traders:Q", title="traders", scale=alt.Scale(type="log"), axis=alt.Axis(format="~s", tickCount=5)
                ),
                y=alt.Y("value:Q", title=None, scale=alt.Scale(type="log"), axis=alt.Axis(format="~g", tickCount=5)),
                color=alt.Color(
                    "population:N",
                    title=None,
                    scale=alt.Scale(domain=populations, range=list(COLOURS[: len(populations)])),
                ),
            )
        )
        panels.append(panel.properties(width=250, height=150))
    chart = alt.vconcat(alt.hconcat(*panels[:2]), alt.hconcat(*panels[2:])).properties(background="white")
    return _converted(chart)


def _converted(chart: Any) -> str:
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(chart.to_dict())
    return drawn + "\n"


def draw(root: Path) -> None:
    """Writes docs/growth.svg."""
    form = json.loads((root / "docs" / "benchmarks" / "growth.json").read_text(encoding="utf-8"))
    (root / "docs" / "growth.svg").write_text(svg(form), encoding="utf-8")
