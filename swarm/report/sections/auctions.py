"""What strategy auctions came to: who worked, what it cost, and whether an auction can pay here at all."""

from typing import Any

import altair as alt
import polars as pl

from swarm.report import aggregates, charts
from swarm.report.charts import Panel, Spec
from swarm.report.parts import Figure, Key, SectionPlugin, Table
from swarm.report.wording import count
from swarm.simulation.record import RunRecord

COLOURS = (charts.FIRST, charts.SECOND, charts.THIRD)


def auctions(record: RunRecord) -> tuple[Figure | Table, ...]:
    """Returns the share of each tier over time, a table of tiers, and one of what auctions cost and changed."""
    found = record.summary.get("auction")
    if not found:
        return ()
    return (_over_time(record, found), _tiers(found), _came_to(found))


def _over_time(record: RunRecord, found: dict[str, Any]) -> Figure:
    tiers = list(found["tiers"])
    frame = record.tables["auctions"]
    # Share of the auctioned traders' turns, tier upon tier in the order of the config.
    whole = pl.col("traders").sum().over("round").clip(lower_bound=1)
    shares = frame.with_columns((100 * pl.col("traders") / whole).alias("share"))
    order = pl.col("model").replace_strict({model: i for i, model in enumerate(tiers)}, return_dtype=pl.Int64)
    bars = aggregates.stacked(shares.sort("round", order), "share", ["round"]).with_columns(
        (pl.col("round") - 0.5).alias("from"), (pl.col("round") + 0.5).alias("to")
    )
    rows = aggregates.rows(bars, "round", "from", "to", "model", "share", "y0", "y1")
    chart = share_chart(record.summary["rounds"], tiers)
    return Figure(
        "Who has the work",
        f"Share of the auctioned traders that each tier decided for, by round; work is awarded for {found['rounds']} "
        "rounds.",
        (Panel("Share by tier", 220, chart, {"rows": rows}),),
        tuple(Key(model, COLOURS[i % len(COLOURS)], "block") for i, model in enumerate(tiers)),
    )


def _tiers(found: dict[str, Any]) -> Table:
    turns = sum(tier["turns"] for tier in found["tiers"].values()) or 1
    right = found.get("right", {})
    return Table(
        "Tiers of the auction",
        "Right is how often a tier's bid would have brought as much as the best action of the menu, whoever won; for "
        "that some rounds were cleared again with each action.",
        ("tier", "cents per 1,000 tokens", "awards", "turns", "share of turns", "right"),
        tuple(
            (
                model,
                f"{tier['cents_per_1000_tokens']:g}",
                count(tier["awards"]),
                count(tier["turns"]),
                _share(tier["turns"] / turns),
                _share(right[model]) if model in right else "not judged",
            )
            for model, tier in found["tiers"].items()
        ),
    )


def _came_to(found: dict[str, Any]) -> Table:
    saving = found["saving"]
    said = "nothing was asked" if saving is None else f"{100 * saving:+.1f}%"
    rows = (
        ("auctions", count(found.get("auctions", 0))),
        ("bids that were missing", count(found.get("missing_bids", 0))),
        ("auctions without any bid", count(found.get("nobody_bid", 0))),
        ("auctions that the tiers judged, since bids differed", count(found.get("judged_by_tiers", 0))),
        ("auctions in which memory changed a bid", count(found.get("refined", 0))),
        ("auctions in which memory changed the winner", count(found.get("memory_changed_winner", 0))),
        ("cents for bids and juries", count(found["bids_cents"])),
        ("cents for work", count(found["work_cents"])),
        ("cents that the largest tier alone would have cost", count(found["always_largest_cents"])),
        ("saving against always the largest, with all bids paid", said),
    )
    return Table("What auctions cost and changed", found["can_pay"], ("what", "how much"), rows)


def _share(value: float) -> str:
    return f"{100 * value:.1f}%"


def share_chart(last: int, tiers: list[str]) -> Spec:
    """Share of turns by tier, stacked, from `rows` with `y0`, `y1` in percent."""
    colours = alt.Scale(domain=tiers, range=[COLOURS[i % len(COLOURS)] for i in range(len(tiers))])
    bars = (
        charts.named("rows")
        .mark_rect(clip=True)
        .encode(
            x=charts.round_axis(last, column="from"),
            x2=alt.X2("to"),
            y=charts.amount_axis("y0", "share of auctioned turns (%)", ",~r"),
            y2=alt.Y2("y1"),
            color=alt.Color("model:N", scale=colours, legend=None),
            tooltip=[alt.Tooltip("model:N"), *charts.point_tooltip(("share", "share of turns, %", ",.1f"))],
        )
    )
    return charts.spec(bars, height=220)


SECTION = SectionPlugin("auctions", "Auctions", auctions)
