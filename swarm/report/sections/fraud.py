"""The section for an analyst: today's slots, what was not looked at, recall by kind, who earns and who loses."""

from typing import Any

import polars as pl

from swarm.report.parts import Figure, SectionPlugin, Table
from swarm.report.wording import count
from swarm.simulation.record import RunRecord

MOST_LINES = 50


def fraud(record: RunRecord) -> tuple[Figure | Table, ...]:
    """Returns the tables of a fraud desk; nothing of another scenario."""
    found: dict[str, Any] | None = record.summary.get("fraud")
    if not found or "alerts" not in record.tables:
        return ()
    parts = [_today(record, found), _came_to(found), _kinds(found), _watchers(found)]
    if found["read_as"]:
        parts.append(_described(found))
    return tuple(parts)


def _today(record: RunRecord, found: dict[str, Any]) -> Table:
    """Returns the last day's slots in the order of their bids, with who bid and what they have earned."""
    # What each has earned in all rounds stands beside today's bid.
    alerts, last = record.tables["alerts"], record.summary["rounds"]
    earned = {name: own["earned_cents"] for name, own in found["watchers"].items()}
    today = alerts.filter(pl.col("round") == last).sort("bid_ticks", descending=True)
    rows = tuple(
        (
            row["payment"],
            count(row["case"]) if row["case"] >= 0 else "",
            row["kind"],
            f"{row['cents'] / 100:,.2f} by {row['channel']} at {row['minute'] // 60:02d}:{row['minute'] % 60:02d}, "
            f"{row['sender']} to {row['receiver']}",
            f"1 in {10 ** (row['rarity_milli'] / 1000):,.0f}",
            f"{row['watcher']} ({earned[row['watcher']] / 100:+,.0f})"
            + (f"; also {row['others']}" if row["others"] else ""),
            row["slot"],
            count(row["bid_ticks"]),
            count(row["known_in_round"]),
        )
        for row in today.head(MOST_LINES).iter_rows(named=True)
    )
    watched = record.tables["watched"].row(-1, named=True)
    caption = (
        f"Not looked at: {count(watched['not_looked_at'])} of {count(watched['suspicious'])} suspicious payments of "
        f"the day, and {count(watched['payments'] - watched['suspicious'])} that nobody found suspicious. "
        f"{count(watched['offered'] - watched['sold'])} slots were not sold. Beside a watcher stands what its alerts "
        "have earned so far, in pebbles."
    )
    head = ("payment", "case", "kind", "facts", "looks so", "who bid", "slot", "bid", "known in round")
    return Table(f"Slots of day {last}", caption, head, rows, words=(0, 2, 3, 4, 5, 6), empty="No slot was sold.")


def _came_to(found: dict[str, Any]) -> Table:
    """Returns what the run found, missed and cost."""
    first, states = found["minutes_to_first_alert"], found["states"]
    rows = [
        ("payments", count(found["payments"])),
        ("fraud among them", count(found["fraud"])),
        ("alerts", count(found["alerts"])),
        ("recall", _told(found["recall"])),
        ("precision", _told(found["precision"])),
        ("value saved", f"{found['value_saved_cents'] / 100:,.2f}"),
        ("value lost", f"{found['value_lost_cents'] / 100:,.2f}"),
        ("money of lawful payments that was held", f"{found['false_hold_cents'] / 100:,.2f}"),
        ("days that lawful payments were held", count(found["false_hold_days"])),
        ("cases of fraud with an alert", f"{first['found']} of {first['cases']}"),
        ("hours from a case's first payment to its first alert", _hours(first["median"])),
        ("slots offered and sold", f"{count(found['slots_offered'])} and {count(found['slots_sold'])}"),
        ("suspicious payments not looked at", count(found["not_looked_at"])),
        ("released, held, seized", " / ".join(count(states[one]) for one in ("released", "held", "seized"))),
    ]
    # What should not be stands only where it is.
    rows += [
        (what, count(number))
        for what, number in (
            ("payments without a label, in no score", found["without_label"]),
            ("alerts that came again and were filed once", found["doubled_alerts"]),
        )
        if number
    ]
    caption = " ".join(
        [
            "Shares with 95% intervals by Wilson. A payment is released, held or seized, and exactly one of these; "
            "those of the days before the first round were released.",
            *(f"{one[0].upper()}{one[1:]}." for one in found["notices"]),
        ]
    )
    return Table("What it came to", caption, ("", ""), tuple(rows), words=(0,))


def _hours(minutes: float | None) -> str:
    return "" if minutes is None else f"{minutes / 60:.1f} in the middle"


def _told(share: dict[str, Any]) -> str:
    """Returns a share with its interval in words."""
    if share["share"] is None:
        return "none to find"
    return f"{share['share']:.3f} ({share['low']:.2f} to {share['high']:.2f}), {share['found']} of {share['of']}"


def _kinds(found: dict[str, Any]) -> Table:
    rows = tuple((name, _told(share)) for name, share in found["recall_by_kind"].items())
    return Table("Recall by kind", "Few frauds make wide intervals.", ("kind", "recall"), rows, words=(0, 1))


def _watchers(found: dict[str, Any]) -> Table:
    """Returns what each watcher earned, and whom drift has made lose."""
    rows = tuple(
        (
            name,
            count(own["alerts"]),
            count(own["fraud"]),
            count(own["false"]),
            f"{own['earned_cents'] / 100:+,.0f}",
            f"{own['paid_cents'] / 100:,.0f}",
            f"{own['earned_late_cents'] / 100:+,.0f}",
            _found_by(found, name),
            "loses money" if own["earned_late_cents"] < 0 else "",
        )
        for name, own in found["watchers"].items()
    )
    caption = (
        "Pebbles of 100 cents: rewards less the analyst's time, what slots cost, and the same of the later half of the "
        "rounds. Who loses there no longer finds what it was made for, or never did. Finds: the fraud that it found "
        "suspicious, looked at or not."
    )
    head = ("watcher", "alerts", "fraud", "false", "earned", "paid for slots", "earned lately", "finds", "drift")
    return Table("Watchers", caption, head, rows, words=(0, 8))


def _found_by(found: dict[str, Any], name: str) -> str:
    """Returns of how much fraud a watcher found it suspicious; nothing of a reader, who goes by the others."""
    recall = found["finds"].get(name, {}).get("recall", {})
    return f"{recall['found']} of {recall['of']}" if recall else ""


def _described(found: dict[str, Any]) -> Table:
    """Returns what was understood of each paragraph, and what its watcher finds."""
    rows = []
    for name, conditions in found["read_as"].items():
        finds = found["finds"][name]
        # The kinds of which it finds something, the most first.
        some = [(kind, share) for kind, share in finds["by_kind"].items() if share["found"]]
        kinds = sorted(some, key=lambda one: -one[1]["share"])
        told = "; ".join(f"{kind} {share['found']} of {share['of']}" for kind, share in kinds)
        cells = (name, "; ".join(conditions), count(finds["payments"]), _told(finds["recall"]), told or "of none")
        rows.append(cells)
    caption = (
        "What was understood of each paragraph, and what its watcher finds suspicious, looked at or not: its recall of "
        "all fraud, and how much of which kinds."
    )
    head = ("watcher", "it looks for", "payments", "recall", "of each kind")
    return Table("Watchers from words", caption, head, tuple(rows), words=(0, 1, 3, 4))


SECTION = SectionPlugin("fraud", "Fraud desk", fraud)
