"""The section that tells what happened: what each shock did, who won, and which rumours prices followed."""

import polars as pl

from swarm.coordination.intervals import paired_over
from swarm.report import aggregates, deciders
from swarm.report.parts import SectionPlugin, Table
from swarm.report.wording import CENTS, count, pebbles, shortened
from swarm.simulation.record import RunRecord

AROUND = 3
"""Rounds before and after a shock that it is held against."""


def story(record: RunRecord) -> tuple[Table, ...]:
    """Returns a table of shocks, one of winners, and one of rumours, as far as the run had any."""
    return (*_shocks(record), *_winners(record), *_rumours(record))


def _shocks(record: RunRecord) -> tuple[Table, ...]:
    rows = [row for shock in record.summary["shocks"] if (row := _shock(record, shock))]
    if not rows:
        return ()
    caption = (
        f"Clearing prices in pebbles, by volume; before and after are the {AROUND} rounds around the shock, and the "
        "farthest is the price of a round of it that lay farthest from what was before. What a shock did is not told "
        "apart from what happened beside it."
    )
    head = ("shock", "rounds", "before", "farthest", "change", "after", "lots a round before", "in it")
    return (Table("What each shock did", caption, head, tuple(rows), words=(0,)),)


def _shock(record: RunRecord, shock: dict[str, object]) -> tuple[str, ...]:
    """Returns the row of one shock; empty where it was not reached."""
    first, last = int(str(shock["first_round"])), min(int(str(shock["last_round"])), record.summary["rounds"])
    if first > last:
        return ()
    # [rounds]: what was paid in pebbles and how many lots, of all regions together.
    lots, tick = pl.col("volume_lots"), record.summary["tick_cents"] / CENTS
    rounds = (
        record.tables["prices"]
        .filter(pl.col("good") == shock["good"])
        .group_by("round")
        .agg((pl.col("clearing_ticks") * lots).sum() * tick, lots.sum())
        .sort("round")
    )

    def part(begin: int, end: int) -> tuple[float | None, float | None]:
        """The mean price by volume and the lots a round of some rounds; None where there is none of them."""
        found = rounds.filter(pl.col("round").is_between(begin, end))
        traded, paid = float(found["volume_lots"].sum()), float(found["clearing_ticks"].sum())
        return (paid / traded if traded else None), (traded / found.height if found.height else None)

    # A round of the shock in which nobody traded has no price, and is none of the farthest.
    before, lots_before = part(first - AROUND, first - 1)
    after, _ = part(last + 1, last + AROUND)
    _, lots_in = part(first, last)
    during = [price for round_ in range(first, last + 1) if (price := part(round_, round_)[0]) is not None]
    farthest = max(during, key=lambda price: abs(price - (before or 0.0)), default=None)
    change = f"{farthest / before - 1:+.0%}" if before and farthest is not None else ""
    return (
        f"{shock['title']} ({shock['good']})",
        f"{first} to {last}" if last > first else str(first),
        *(_told(value) for value in (before, farthest)),
        change,
        *(_told(value) for value in (after, lots_before, lots_in)),
    )


def _told(value: float | None) -> str:
    return "none" if value is None else f"{value:,.1f}"


def _winners(record: RunRecord) -> tuple[Table, ...]:
    summary = record.summary
    parts = []
    of_minds = aggregates.profits(record)
    if of_minds.is_empty():
        return ()
    for by_mind, noun in ((True, "mind"), (False, "kind")):
        found = of_minds if by_mind else aggregates.by_trader(of_minds)
        rows = []
        for (group,), own in found.group_by(noun):
            # Traders are drawn anew, each with all of its rounds.
            middle, low, high = paired_over(own["trader"].to_numpy(), own["profit"].to_numpy())
            if middle is not None and low is not None and high is not None:
                rows.append((middle, low, high, str(group), own.height))
        rows.sort(reverse=True)
        parts.append(
            Table(
                f"Who won, by {noun}",
                "The mean profit of its traders in pebbles, with a 95% interval over traders (bootstrap). It is of "
                f"this one run: swarm sweep tells what other seeds say. {aggregates.USED_UP}",
                (noun, *(("what it is",) if by_mind else ()), "traders", "mean profit", "95% interval"),
                tuple(
                    (
                        group,
                        *((deciders.nature(summary, group),) if by_mind else ()),
                        count(traders),
                        pebbles(middle),
                        f"{pebbles(low)} to {pebbles(high)}",
                    )
                    for middle, low, high, group, traders in rows
                ),
                words=(0, 1) if by_mind else (0,),
                by_mind=by_mind,
            )
        )
    return tuple(parts)


def _rumours(record: RunRecord) -> tuple[Table, ...]:
    moved = record.summary["messages"].get("moved", [])
    if not moved:
        return ()
    tick = record.summary["tick_cents"] / CENTS
    rows = tuple(
        (
            count(rumour["round"]),
            f"“{shortened(rumour['text'], 120)}”",
            count(rumour["said_by"]),
            f"{rumour['before_ticks'] * tick:,.1f} to {rumour['after_ticks'] * tick:,.1f}",
            f"{rumour['after_ticks'] / max(rumour['before_ticks'], 1) - 1:+.0%}",
        )
        for rumour in moved
    )
    return (
        Table(
            "Rumours that prices followed",
            "Lines that named a good and a direction, and whose good's reference price went there in the next round; "
            "those first that were followed farthest. Whether they moved it, or saw it coming, cannot be told.",
            ("said in round", "what was said", "by traders", "price, pebbles", "change"),
            rows,
            words=(1,),
        ),
    )


SECTION = SectionPlugin("story", "What happened", story)
