"""The section on councils: how often they met, who was right, and whether their members failed alike."""

from collections.abc import Mapping
from typing import Any

from swarm.report.parts import SectionPlugin, Table
from swarm.report.wording import count, plain
from swarm.simulation.record import RunRecord

COUNTED = ("met", "unanimous", "one_followed", "vetoed", "abstained", "nobody_voted", "missing_votes", "failed")
"""What is counted of a council's turns, in the order of the table."""

UNTOLD = "cannot be told"
"""What stands for a figure that these turns are too few or too even for."""


def councils(record: RunRecord) -> tuple[Table, ...]:
    """Returns a table of all councils' turns, and one for each council that was judged."""
    found = record.summary.get("councils")
    if not found:
        return ()
    rows = [
        (name, plain(of["rule"]), count(of.get("turns", 0)), *(count(of.get(key, 0)) for key in COUNTED))
        for name, of in found.items()
    ]
    turns = Table(
        "Turns of councils",
        "Members vote by themselves, each on the same actions in an order of its own. Where one member is surely "
        "better than the council it is followed; a member that was late or said nonsense is a missing vote.",
        ("council", "rule", "turns", *(plain(key) for key in COUNTED)),
        tuple(rows),
        words=(0, 1),
    )
    judged = {name: of for name, of in found.items() if of["judged"]}
    return (turns, *(_judged(name, of) for name, of in judged.items()), *([_alike(judged)] if judged else []))


def _judged(name: str, of: dict[str, Any]) -> Table:
    """Returns a table of the council beside its members, by what their actions would have brought."""
    difference, low, high = of["against_best_single"]
    # `low` and `high` bound the difference with 95%; what holds zero is called none.
    verdict = "which is no difference" if low <= 0 <= high else "which is a difference"
    # Who is honest and knows nothing is as good as a lot.
    lies = f" {' and '.join(of['liars'])} voted worse than by lot, as no honest member does." if of.get("liars") else ""
    rows = [(name, _share(of["accuracy"]), f"{of['regret_ticks']:.1f}")]
    rows += [(who, _share(m["accuracy"]), f"{m['regret_ticks']:.1f}") for who, m in of["of_member"].items()]
    # A run of an earlier version has no word of it.
    if sampled := of.get("best_single_sampled"):
        who = f"{of['best_single']}, most of {sampled['times']} answers"
        rows.append((who, _share(sampled["accuracy"]), f"{sampled['regret_ticks']:.1f}"))
        more_often, least, most = sampled["against"]
        asked = (
            f"Beside {of['best_single']} asked {sampled['times']} times, {name} was right {_more(more_often)} "
            f"({100 * least:+.1f} to {100 * most:+.1f})."
        )
    else:
        asked = "Each member was asked once in a turn (see samples), so what one asked often is worth is not told."
    return Table(
        f"Was {name} right?",
        f"In {count(of['judged'])} turns the round was cleared again with each action of the menu. Right is who chose "
        f"as well as could be; regret is what the best action would have brought beyond. Beside {of['best_single']}, "
        f"the best single member, {name} was right {_more(difference)} (95% interval over rounds {100 * low:+.1f} to "
        f"{100 * high:+.1f}), {verdict}; one run is one seed. {asked} {of['failed_alike']}{lies}",
        ("who", "right", "regret in ticks"),
        tuple(rows),
    )


def _alike(judged: Mapping[str, dict[str, Any]]) -> Table:
    """Returns a table of how alike the members of each council failed, beside what chance would do."""
    rows = []
    for name, of in judged.items():
        ratio, low, high = of["all_wrong_ratio"]
        times = UNTOLD if ratio is None or low is None else f"{ratio:.2f} ({low:.2f} to {high:.2f})"
        votes = (UNTOLD if of[key] is None else f"{of[key]:.2f}" for key in ("error_correlation", "n_eff"))
        shares = map(_share, (of["all_wrong"], of["all_wrong_if_independent"]))
        same = map(_share, (of["same_wrong_answer"], of["same_wrong_by_chance"]))
        rows.append((name, *votes, *shares, times, *same))
    return Table(
        "Did members fail alike?",
        "Errors that go together have a correlation up to 1, and so many independent votes are what the members come "
        "to. All wrong at once is beside the product of the members' own error rates, and how many times that is has a "
        "95% interval, drawn over rounds. The same wrong action is that of two members that both were wrong.",
        ("council", "error correlation", "independent votes", "all wrong at once", "if independent", "times as often",
         "same wrong action", "by chance"),
        tuple(rows),
    )  # fmt: skip


def _more(difference: float) -> str:
    return f"{abs(100 * difference):.1f} points {'more' if difference >= 0 else 'less'} often"


def _share(value: float | None) -> str:
    return UNTOLD if value is None else f"{100 * value:.1f}%"


SECTION = SectionPlugin("councils", "Councils", councils)
