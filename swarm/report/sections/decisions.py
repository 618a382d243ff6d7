"""The section on decisions: their errors, who was asked and why, and what the run's budget made it give up."""

from swarm.report import aggregates, deciders, wording
from swarm.report.parts import SectionPlugin, Table
from swarm.report.wording import count, plain
from swarm.simulation.record import RunRecord


def decisions(record: RunRecord) -> tuple[Table, ...]:
    """Returns tables of decision errors by mind, of what else went amiss, and of who was asked."""
    summary = record.summary
    errors = aggregates.errors_by_mind(record)
    turns = {row["mind"]: row["turns"] for row in aggregates.turns_by_mind(record).to_dicts()}
    kinds = sorted({kind for found in errors.values() for kind in found})
    # A row per mind: its turns, the share of them with an error, and each kind of error.
    rows = []
    for mind in sorted(turns):
        found = errors.get(mind, {})
        # "none" and not 0: what never occurred should not look like a measurement.
        share = f"{sum(found.values()) / turns[mind]:.1%}" if found else "none"
        counts = (count(found[kind]) if kind in found else "none" for kind in kinds)
        rows.append((mind, deciders.nature(summary, mind), count(turns[mind]), share, *counts))
    lost, rejections = summary.get("lost", {}), summary["order_rejections"]
    repairs = summary.get("repaired_replies", {})
    # What is counted by reason elsewhere in the run, in one table: what, how often, and why.
    amiss = (
        ("repairs to replies that could then be read", count(sum(repairs.values())), wording.listed(repairs)),
        ("orders rejected by the market", count(sum(rejections.values())), wording.listed(rejections)),
        *_left_the_book(summary),
        (
            "messages pruned",
            count(sum(summary["pruned_messages"].values())),
            wording.pruning(summary),
        ),
        ("late turns", count(wording.late_turns(summary)), wording.listed(summary.get("late_turns_by_mind", {}))),
        ("lost to failures", count(sum(lost.values())), wording.listed(lost)),
    )
    return (
        Table(
            "Decision errors by mind",
            "An answer that cannot be used is an error of its kind, and its trader passes the round.",
            ("mind", "what it is", "turns", "with an error", *map(plain, kinds)),
            tuple(rows),
            words=(0, 1),
            by_mind=True,
            empty="None: nobody was prompted, since baseline rules decide without text.",
        ),
        Table(
            "What else went amiss",
            "How often each happened, and for what reason.",
            ("what", "times", "reasons"),
            amiss,
            (0, 2),
        ),
        *_staffing(summary),
        *_budget(summary),
    )


_DUE = {
    "first": "it had not decided yet",
    "undecided": "it was to think before and could not",
    "over": "its decision stood no longer",
    "fill": "one of its orders was filled",
    "need": "it ran out of what it needs",
    "price": "a price moved",
    "message": "a message reached it",
}


def _staffing(summary: wording.Summary) -> tuple[Table, ...]:
    """Returns a table of why traders were asked; none where everybody is always asked."""
    found = summary.get("staffing", {})
    if not found.get("due"):
        return ()
    turns = found["asked"] + found["asleep"] + found["held_back"]
    # Reasons in the order in which they are tried, then what became of those who were due.
    rows = [(f"due: {words}", count(found["due"][reason])) for reason, words in _DUE.items() if reason in found["due"]]
    rows += [
        ("asked", count(found["asked"])),
        ("held back for the run's budget", count(found["held_back"])),
        ("asleep, with nothing to decide", count(found["asleep"])),
        ("standing orders put in for those who did not decide", count(found["standing_orders"])),
        ("lots cut off them, which their traders did not have", count(found["cut_lots"])),
        ("standing orders refused by the market", count(found["refused_orders"])),
        ("messages left undelivered for the run's budget", count(found["unheard"])),
    ]
    return (
        Table(
            "Who was asked, and why",
            f"Of {count(turns)} turns that traders with a model could have taken, {found['asked'] / turns:.0%} were; "
            "who is due is counted under the first reason that holds. Prompts that are the same for several traders "
            f"are asked once, which saved {count(summary['tokens'].get('shared_prompt', 0))} prompt tokens.",
            ("what", "times"),
            tuple(rows),
        ),
    )


_LEVELS = {
    "all": "everybody who is due is asked",
    "fewer": "fewer are woken",
    "shorter": "they hear and look back on less",
    "cheaper": "they are asked at the cheapest model of their form",
    "standing_only": "nobody is asked, standing orders only",
}


def _budget(summary: wording.Summary) -> tuple[Table, ...]:
    """Returns a table of what the run's budget made it give up, and when; none for a run without one."""
    found = summary.get("budget", {})
    limits = {key: found[key] for key in ("run_tokens", "run_usd", "seconds_per_round") if found.get(key)}
    if not limits:
        return ()
    # A run that swings between levels has many changes: the first 20 are told, the rest counted.
    changes = ", ".join(
        f"{plain(level)} from round {count(round_)}" for round_, level in found["changes_of_level"][:20]
    )
    more = len(found["changes_of_level"]) - 20
    told = {
        "run_tokens": f"{count(found['spent_tokens'])} of {count(found['run_tokens'] or 0)} tokens",
        "run_usd": f"{found['spent_usd']:.4f} of {found['run_usd'] or 0:.4f} US dollars",
        "seconds_per_round": f"rounds of at most {found['seconds_per_round'] or 0:g} seconds of decisions",
    }
    return (
        Table(
            "What the run's budget did",
            f"Limits: {'; '.join(told[key] for key in limits)}. Each level includes those before it. Changes: "
            f"{changes or 'none'}{f' and {count(more)} more' if more > 0 else ''}.",
            ("level", "what is given up", "rounds"),
            tuple(
                (plain(level), words, count(found["rounds_at_level"].get(level, 0))) for level, words in _LEVELS.items()
            ),
            words=(0, 1),
        ),
    )


def _left_the_book(summary: wording.Summary) -> list[tuple[str, str, str]]:
    """Returns a row on orders that left the books unfilled; none where no order outlives its round."""
    left = {reason: times for reason, times in summary.get("resting_orders", {}).items() if reason != "resting"}
    if not left:
        return []
    return [("orders that left the book unfilled", count(sum(left.values())), wording.listed(left))]


SECTION = SectionPlugin("decisions", "Decisions", decisions)
