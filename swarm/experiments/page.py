"""Makes an experiment's page, of the report's family: what differs between variants, every run, and how to go on."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from swarm.experiments.bands import bands
from swarm.experiments.means import between, chance, figure
from swarm.experiments.outcomes import MEANINGS
from swarm.experiments.plan import Experiment
from swarm.report import charts
from swarm.report.charts import Panel, Rows, Spec
from swarm.report.page import laid_out
from swarm.report.parts import Figure, Key, Section, Table
from swarm.report.tiles import Tile
from swarm.report.wording import count, plain, shortened

MOST_PANELS = 24
"""Most measures with a chart of their own."""

MOST_ROWS = 200
"""Most runs that are listed; the table has all."""

ALPHABET = 26
GOODS = [str(number) for number in range(charts.GOOD_COLOURS)]


def render(
    experiment: Experiment, folder: Path, runs: pl.DataFrame, means: pl.DataFrame, failed: Mapping[str, str]
) -> str:
    """Returns the page of an experiment, finished or not, as the text of one self-contained HTML file."""
    letters = {variant.label: _letter(index) for index, variant in enumerate(experiment.variants)}
    finished = len(runs) + len(failed) == len(experiment)
    sections = [
        Section("differs", "What differs", _differences(means, letters)),
        Section("means", "Means", _means(means, letters)),
        Section("measures", "Measures", _measures(runs, means, letters)),
        Section("supply", "Orders between runs", bands(experiment, folder, letters)),
        Section("runs", "Runs", (_runs(runs, letters), *_failed(failed))),
    ]
    return laid_out(
        "sweep.html.jinja",
        [section for section in sections if section.parts],
        {"zero": [{"zero": 0}]},
        name=experiment.name,
        state=_state(experiment, runs, failed, finished),
        finished=finished,
        variants=[(letters[variant.label], variant.label) for variant in experiment.variants],
        seeds=told_seeds(experiment.seeds),
        tiles=_tiles(experiment, runs, means, failed),
        command=shlex.join(command(experiment, folder)),
        model_tag="",
    )


def command(experiment: Experiment, folder: Path) -> list[str]:
    """Returns the command that goes on with an experiment, from the config that its folder has."""
    # Values are told apart by ` | `, which no comma of theirs disturbs.
    words = ["swarm", "sweep", str(folder / "sweep.yaml"), "--seeds", told_seeds(experiment.seeds)]
    for key in experiment.variants[0].texts:
        values = dict.fromkeys(variant.texts[key] for variant in experiment.variants)
        words += ["--vary", f"{key}={' | '.join(values)}"]
    return [*words, "--out", str(folder)]


def told_seeds(seeds: Sequence[int]) -> str:
    """Returns seeds as `--seeds` takes them, neighbours as a range."""
    ranges: list[list[int]] = []
    # [first, last] of each range, in the order in which they were named.
    for seed in seeds:
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    return ",".join(str(low) if low == high else f"{low}..{high}" for low, high in ranges)


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < ALPHABET else str(index + 1)


def _colour(index: int) -> str:
    return charts.good_colour(GOODS, GOODS[index % charts.GOOD_COLOURS])[0]


def _keys(letters: Mapping[str, str]) -> tuple[Key, ...]:
    named = enumerate(letters.items())
    return tuple(Key(f"{letter}: {shortened(label, 80)}", _colour(index), "dot") for index, (label, letter) in named)


def _state(experiment: Experiment, runs: pl.DataFrame, failed: Mapping[str, str], finished: bool) -> str:
    done = f"{count(len(runs))} of {count(len(experiment))} runs"
    return f"{'finished' if finished else 'stopped'}: {done}" + (f", {count(len(failed))} failed" if failed else "")


def _tiles(experiment: Experiment, runs: pl.DataFrame, means: pl.DataFrame, failed: Mapping[str, str]) -> list[Tile]:
    # Without a second seed nothing is tested.
    tested = means.filter(pl.col("difference").is_not_null())
    differ = int(tested["differs"].sum() or 0)
    note = f"of {count(len(tested))} compared, at 5% by Holm" if len(tested) else "nothing to compare"
    return [
        Tile("Runs", count(len(runs)), f"of {count(len(experiment))}", share=len(runs) / len(experiment)),
        Tile("Failed", count(len(failed)), "named below" if failed else "none", "bad" if failed else "good"),
        Tile("Variants", count(len(experiment.variants)), f"{count(len(experiment.seeds))} seeds each"),
        Tile("Differences", count(differ), note),
    ]


def _differences(means: pl.DataFrame, letters: Mapping[str, str]) -> tuple[Figure, ...]:
    """Returns the chart of all paired differences as shares of the first variant's means."""
    first = {
        row["measure"]: row["mean"] for row in means.iter_rows(named=True) if row["variant"] == next(iter(letters))
    }
    rows: Rows = []
    for row in means.filter(pl.col("difference").is_not_null()).iter_rows(named=True):
        # A share of nothing cannot be told; the table has the difference itself.
        if base := abs(first[row["measure"]] or 0.0):
            shares = {name: 100 * row[name] / base for name in ("difference", "difference_low", "difference_high")}
            letter = letters[row["variant"]]
            label = f"{letter}, {plain(row['measure'])}"
            rows.append({"label": label, "variant": letter, "measure": plain(row["measure"]), "p": row["p"], **shares})
    if not rows:
        return ()
    labels = [row["label"] for row in rows]
    spec = _forest(labels, list(letters.values()))
    against = f"against {next(iter(letters.values()))}, paired by seed"
    read = (
        f"Mean differences {against}, in percent of its mean, with 95% intervals by Student's t and Holm's correction; "
        "one whose line crosses the dashes is none."
    )
    panel = Panel("Differences", spec["height"], spec, {"rows": rows})
    return (Figure("Differences", read, (panel,), _keys(letters)),)


def _forest(labels: Sequence[str], variants: Sequence[str]) -> Spec:
    # One unit for all measures: percent of the first variant's mean.
    row = charts.category(labels, "variant, measure")
    axis = alt.Axis(format=",~r", grid=True, tickCount=alt.ExprRef("width > 500 ? 9 : 4"))
    x = alt.X("difference_low:Q", title="difference (%)", axis=axis)
    tooltip = [
        alt.Tooltip("measure:N"),
        alt.Tooltip("variant:N"),
        *(
            alt.Tooltip(f"{name}:Q", title=shown, format="+.2f")
            for name, shown in (("difference", "difference, %"), ("difference_low", "from"), ("difference_high", "to"))
        ),
        alt.Tooltip("p:Q", format=".4f"),
    ]
    found = charts.named("rows").encode(y=row, color=_colours(variants), tooltip=tooltip)
    return charts.spec(
        charts.named("zero").mark_rule(color=charts.MUTED, strokeDash=[4, 3]).encode(x=alt.X("zero:Q")),
        found.mark_rule(strokeWidth=2).encode(x=x, x2=alt.X2("difference_high")),
        found.mark_circle(size=70, opacity=1).encode(x=alt.X("difference:Q")),
        height=26 * max(len(labels), 2),
    )


def _colours(variants: Sequence[str]) -> alt.Color:
    scale = alt.Scale(domain=list(variants), range=[_colour(index) for index in range(len(variants))])
    return alt.Color("variant:N", scale=scale, legend=None)


def _means(means: pl.DataFrame, letters: Mapping[str, str]) -> tuple[Table, ...]:
    if means.is_empty():
        return ()
    rows = []
    # The first variant has nothing to be compared with, and its cells stay empty.
    for row in means.iter_rows(named=True):
        tested = row["difference"] is not None
        rows.append(
            (
                plain(row["measure"]),
                letters[row["variant"]],
                count(row["runs"]),
                figure(row["mean"]) + between(row["low"], row["high"]),
                figure(row["difference"], "+") + between(row["difference_low"], row["difference_high"], "+"),
                chance(row["p"]) if tested else "",
                ("differs" if row["differs"] else "none") if tested else "",
            )
        )
    return (
        Table(
            "Means and differences",
            "In brackets the 95% intervals; p is corrected for there being several differences. A difference whose "
            "interval holds zero is none.",
            ("measure", "variant", "runs", "mean", "difference", "p", "found"),
            tuple(rows),
            words=(0, 1, 6),
        ),
    )


def _measures(runs: pl.DataFrame, means: pl.DataFrame, letters: Mapping[str, str]) -> tuple[Figure | Table, ...]:
    """Returns a panel for each measure: a dot per run, and the mean of each variant with its interval."""
    if means.is_empty():
        return ()
    variants = list(letters.values())
    panels = []
    names = means["measure"].unique(maintain_order=True).to_list()
    for name in names[:MOST_PANELS]:
        dots = [
            {"label": letters[variant], "variant": letters[variant], "seed": seed, "value": value}
            for variant, seed, value in runs.select("variant", "seed", name).iter_rows()
            if value is not None
        ]
        bars = [
            {"label": letters[row["variant"]], "variant": letters[row["variant"]], **_bar(row)}
            for row in means.filter(pl.col("measure") == name).iter_rows(named=True)
            if row["mean"] is not None
        ]
        spec = _strip(variants, plain(name))
        panels.append(Panel(plain(name), spec["height"], spec, {"dots": dots, "bars": bars}))
    more = f" Charts are of the first {MOST_PANELS} of {len(names)} measures." if len(names) > MOST_PANELS else ""
    read = f"A dot is a run, the upright mark a variant's mean, the line its 95% interval.{more}"
    told = [(plain(name), MEANINGS.get(name, "The mean over traders and rounds.")) for name in names]
    return (
        Figure("Each measure by variant", read, tuple(panels), _keys(letters), "grid"),
        Table("What each measure says", "", ("measure", "what it says"), tuple(told), words=(0, 1)),
    )


def _bar(row: Mapping[str, Any]) -> dict[str, float]:
    # A single run has no interval, and its line no length.
    return {"mean": row["mean"], "low": _or(row["low"], row["mean"]), "high": _or(row["high"], row["mean"])}


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _strip(variants: Sequence[str], title: str) -> Spec:
    # Each measure has an axis of its own, which need not begin at zero: what is looked at is how runs part.
    row = charts.category(variants, "variant")
    axis = alt.Axis(format=",.4~r", grid=True, tickCount=3)
    x = alt.X("low:Q", title=title, axis=axis, scale=alt.Scale(zero=False))
    figures = (alt.Tooltip(f"{name}:Q", format=",.4~r") for name in ("mean", "low", "high"))
    tooltip = [alt.Tooltip("variant:N"), *figures]
    bar = charts.named("bars").encode(y=row, color=_colours(variants), tooltip=tooltip)
    dot = charts.named("dots").mark_circle(size=26, opacity=0.45)
    told = [alt.Tooltip("variant:N"), alt.Tooltip("seed:Q"), alt.Tooltip("value:Q", title=title, format=",.6~r")]
    return charts.spec(
        bar.mark_rule(strokeWidth=2).encode(x=x, x2=alt.X2("high")),
        dot.encode(x=alt.X("value:Q"), y=row, color=_colours(variants), tooltip=told),
        bar.mark_tick(thickness=3, size=20).encode(x=alt.X("mean:Q")),
        height=max(30 * len(variants), 60),
    )


def _runs(runs: pl.DataFrame, letters: Mapping[str, str]) -> Table:
    # Half a digest tells runs apart and fits a line.
    rows = [
        (letters[row["variant"]], str(row["seed"]), count(row["rounds"]), row["folder"], row["journal_sha256"][:16])
        for row in runs.head(MOST_ROWS).iter_rows(named=True)
    ]
    more = f" The first {MOST_ROWS} of {count(len(runs))} are listed." if len(runs) > MOST_ROWS else ""
    return Table(
        "Every run",
        f"`swarm report` makes a run's own page; runs.parquet has all of its measures.{more}",
        ("variant", "seed", "rounds", "folder", "journal, sha256"),
        tuple(rows),
        words=(0, 3, 4),
        empty="No run is done yet.",
    )


def _failed(failed: Mapping[str, str]) -> tuple[Table, ...]:
    if not failed:
        return ()
    rows = tuple(list(failed.items())[:MOST_ROWS])
    return (Table("Runs that failed", "The same sweep tries them again.", ("folder", "why"), rows, words=(0, 1)),)
