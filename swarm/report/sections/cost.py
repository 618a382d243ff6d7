"""The section on cost: tokens and latency by mind, and where the time of a round goes."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from swarm.report import aggregates, charts, deciders, wording
from swarm.report.charts import Panel, Rows, Spec
from swarm.report.parts import Figure, Key, SectionPlugin, Table, time_unit
from swarm.report.wording import count
from swarm.simulation.record import RunRecord


def cost(record: RunRecord) -> tuple[Figure | Table, ...]:
    """Returns figures of tokens and latency by mind, and of seconds per round."""
    return (*_turn_parts(record), *_round_figure(record))


def _turn_parts(record: RunRecord) -> tuple[Figure | Table, ...]:
    summary = record.summary
    turns = aggregates.turns_by_mind(record).to_dicts()
    if not turns:
        return ()
    # A turn of several calls has a bound of its own, so its bar would not compare.
    several = {mind for part in deciders.parts(summary) for mind in part.get("of_several_calls", ())}
    single = [row for row in turns if row["mind"] not in several]
    return (*_tokens(summary, single), *_latency(summary, turns), _turn_table(summary, turns))


def _tokens(summary: wording.Summary, turns: Rows) -> tuple[Figure, ...]:
    if not turns:
        return ()
    # [minds] labels, in the order of `turns`; the chart has its rows in the same order.
    labels = [deciders.mind_label(summary, row["mind"]) for row in turns]
    budget = summary["tokens"]["per_turn"]["budget"]
    # Two bars a mind on one line, the completion behind the prompt.
    bars: Rows = []
    for row, label in zip(turns, labels, strict=True):
        ends = {"prompt": (0, row["prompt"]), "completion": (row["prompt"], row["prompt"] + row["completion"])}
        bars += [
            {"mind": row["mind"], "label": label, "part": part, "tokens": row[part], "y0": low, "y1": high}
            for part, (low, high) in ends.items()
        ]
    data = {
        "rows": bars,
        "most": [
            {"mind": row["mind"], "label": label, "most": row["most"]} for row, label in zip(turns, labels, strict=True)
        ],
        "budget": [{"budget": budget}],
    }
    tokens = tokens_chart(labels, budget)
    return (
        Figure(
            "Tokens per turn by mind",
            "A bar is the mean turn, prompt and completion; the mark is the largest turn, and none may pass the budget"
            + (" (token counts are estimates)." if summary["tokens"].get("counted_by") == "estimate" else "."),
            (Panel("Tokens per turn", tokens["height"], tokens, data),),
            (
                Key("prompt", charts.FIRST, "block"),
                Key("completion", charts.SECOND, "block"),
                Key("largest turn", "var(--ink)", "tick"),
                Key("budget", "var(--bad)", "dashed"),
            ),
            "half",
            by_mind=True,
        ),
    )


def _latency(summary: wording.Summary, turns: Rows) -> tuple[Figure, ...]:
    # A run that was taken from its journal has no latencies.
    timed = [row for row in turns if row["p95"] is not None]
    if not timed:
        return ()
    labels = [deciders.mind_label(summary, row["mind"]) for row in timed]
    unit, factor = time_unit(max(row["p95"] for row in timed))
    delays = [
        {"mind": row["mind"], "label": label, "p50": row["p50"] * factor, "p95": row["p95"] * factor}
        for row, label in zip(timed, labels, strict=True)
    ]
    delay = latency_chart(labels, unit)
    return (
        Figure(
            "Latency of a turn by mind",
            "Half of the turns took no longer than the full dot says, and 95 of 100 no longer than the ring.",
            (Panel("Latency", delay["height"], delay, {"rows": delays}),),
            (Key("p50", charts.FIRST, "dot"), Key("p95", charts.FIRST, "ring")),
            "half",
            by_mind=True,
        ),
    )


def _turn_table(summary: wording.Summary, turns: Rows) -> Table:
    return Table(
        "Tokens and latency by mind",
        "Means over all turns of the run, the largest turn, and the latency of a turn.",
        ("mind", "what it is", "turns", "prompt", "completion", "largest turn", "p50", "p95"),
        tuple(
            (
                row["mind"],
                deciders.nature(summary, row["mind"]),
                count(row["turns"]),
                f"{row['prompt']:,.1f}",
                f"{row['completion']:,.1f}",
                count(row["most"]),
                wording.seconds(row["p50"]),
                wording.seconds(row["p95"]),
            )
            for row in turns
        ),
        # Names are set to the left, figures to the right.
        words=(0, 1),
        by_mind=True,
    )


def _round_figure(record: RunRecord) -> tuple[Figure, ...]:
    if record.summary["seconds_per_round"]["p95"] is None:
        return ()
    frame, _ = aggregates.round_seconds(record)
    unit, factor = time_unit(record.summary["seconds_per_round"]["p95"])
    timed = frame.with_columns((pl.col("seconds") * factor).round(4).alias("time"))
    # Sorted so that deciding, the longest part, lies at the bottom of each bar.
    order = pl.col("part").replace_strict({"decide": 0, "clear": 1, "rest": 2})
    bars = aggregates.stacked(timed.sort("round", order), "time", ["round"])
    return (
        Figure(
            "Where the time of a round goes",
            "Deciding is all of prompting and waiting for answers, clearing is the auction and its settlement, the "
            "rest is what the scenario and the journal take.",
            (
                Panel(
                    "Time per round",
                    220,
                    round_time_chart(record.summary["rounds"], unit),
                    {"rows": aggregates.rows(bars, "round", "from", "to", "part", "time", "y0", "y1")},
                ),
            ),
            (
                Key("decide", charts.FIRST, "block"),
                Key("clear", charts.SECOND, "block"),
                Key("rest", charts.THIRD, "block"),
            ),
        ),
    )


def tokens_chart(labels: Sequence[str], budget: int) -> Spec:
    """Returns mean tokens per turn from `rows` (`part`, `y0`, `y1`), the most from `most`, the budget as a line."""
    row = charts.category(labels, "mind")
    axis = alt.Axis(format=",d", tickCount=alt.ExprRef("width > 500 ? 9 : 4"), grid=True)
    parts = alt.Scale(domain=["prompt", "completion"], range=[charts.FIRST, charts.SECOND])
    bar = (
        charts.named("rows")
        .mark_bar(size=20)
        .encode(
            y=row,
            x=alt.X("y0:Q", title="tokens per turn", axis=axis, scale=alt.Scale(domainMin=0)),
            x2=alt.X2("y1"),
            color=alt.Color("part:N", scale=parts, legend=None),
            tooltip=[
                alt.Tooltip("mind:N"),
                alt.Tooltip("part:N"),
                alt.Tooltip("tokens:Q", title="mean tokens per turn", format=",.1f"),
            ],
        )
    )
    most = charts.named("most").mark_tick(color=charts.INK, thickness=2, size=26)
    hover = [alt.Tooltip("mind:N"), alt.Tooltip("most:Q", title="most tokens of a turn", format=",")]
    line = (
        charts.named("budget")
        .mark_rule(color="var(--bad)", strokeWidth=2, strokeDash=[5, 3])
        .encode(x=alt.X("budget:Q"))
    )
    # Right of the line there is no room: the axis ends at the budget or little beyond it.
    text = charts.named("budget").mark_text(align="right", dx=-6, baseline="bottom", fontWeight=600, color="var(--bad)")
    return charts.spec(
        bar,
        most.encode(y=row, x=alt.X("most:Q"), tooltip=hover),
        line,
        text.encode(x=alt.X("budget:Q"), y=alt.value(-4), text=alt.value(f"budget {budget:,}")),
        height=max(60, 40 * len(labels)),
    )


def latency_chart(labels: Sequence[str], unit: str) -> Spec:
    """Returns the median and 95th percentile of a turn's latency, from `rows` with `p50`, `p95` in `unit`."""
    base = charts.named("rows").encode(
        y=charts.category(labels, "mind"),
        tooltip=[
            alt.Tooltip("mind:N"),
            alt.Tooltip("p50:Q", title=f"p50, {unit}", format=",.3~r"),
            alt.Tooltip("p95:Q", title=f"p95, {unit}", format=",.3~r"),
        ],
    )
    axis = alt.Axis(format=",~r", grid=True, tickCount=alt.ExprRef("width > 500 ? 9 : 4"))
    # From back to front: a line from p50 to p95, a full dot at p50, a ring at p95.
    x = alt.X("p50:Q", title=f"latency of a turn ({unit})", axis=axis, scale=alt.Scale(domainMin=0))
    return charts.spec(
        base.mark_rule(color=charts.FIRST, strokeWidth=3, opacity=0.5).encode(x=x, x2=alt.X2("p95")),
        base.mark_point(color=charts.FIRST, filled=True, size=110, opacity=1).encode(x=x),
        base.mark_point(color=charts.FIRST, fill=charts.SURFACE, size=90, strokeWidth=2, opacity=1).encode(
            x=alt.X("p95:Q")
        ),
        height=max(60, 40 * len(labels)),
    )


def round_time_chart(last: int, unit: str) -> Spec:
    """Returns the time of a round, stacked by `part`, from `rows` with `y0`, `y1` in `unit`."""
    parts = alt.Scale(domain=["decide", "clear", "rest"], range=[charts.FIRST, charts.SECOND, charts.THIRD])
    bars = (
        charts.named("rows")
        .mark_rect(clip=True)
        .encode(
            x=charts.round_axis(last, column="from"),
            x2=alt.X2("to"),
            y=charts.amount_axis("y0", f"time per round ({unit})", ",~r"),
            y2=alt.Y2("y1"),
            color=alt.Color("part:N", scale=parts, legend=None),
            tooltip=[alt.Tooltip("part:N"), *charts.point_tooltip(("time", unit, ",.4~r"))],
        )
    )
    return charts.spec(bars, height=220)


SECTION = SectionPlugin("cost", "Tokens and time", cost)
