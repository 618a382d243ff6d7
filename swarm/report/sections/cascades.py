"""What cascades came to: how often the large model was asked, why, what it cost, and what that was worth."""

from typing import Any

from swarm.figures import figure
from swarm.report.parts import SectionPlugin, Table
from swarm.report.wording import count, plain
from swarm.simulation.record import RunRecord


def cascades(record: RunRecord) -> tuple[Table, ...]:
    """Returns a table of all cascades' turns, one of their reasons, and one of what was judged."""
    found = record.summary.get("cascades")
    if not found:
        return ()
    turns = Table(
        "Turns of cascades",
        "The small model is asked in every turn, and the large one besides where the chance that the small one is "
        "wrong, times what is at stake, is more than the call costs. Where the large model was late or failed, the "
        "small one's decision held.",
        ("cascade", "small", "large", "turns", "large asked", "share", "large lost", "margin not told", "tokens", "$"),
        tuple(
            (name, of["small"], of["large"], count(of["turns"]), count(of["escalated"]),
             f"{100 * of['escalated_share']:.1f}%", count(of["large_lost"]), count(of["no_margin"]),
             count(of["tokens"]), "not known" if of["usd"] is None else figure(of['usd'], 6))
            for name, of in found.items()
        ),
        words=(0, 1, 2),
    )  # fmt: skip
    kinds = list(next(iter(found.values()))["reasons"])
    reasons = Table(
        "Why the large model was asked",
        "Stake: being wrong was likely to cost more than the call. Failed: the small model gave no decision. Orders on "
        "credit, sales of what one does not have, and turns in which something heard reads like an instruction to a "
        "model are brought to it whatever it costs, once in a while for each trader; those that came too soon for that "
        "were held back.",
        ("cascade", *map(plain, kinds), "held back"),
        tuple((name, *(count(of["reasons"][k]) for k in kinds), count(of["bounded"])) for name, of in found.items()),
    )
    judged = [_judged(name, of) for name, of in found.items() if of["judged"]]
    return (turns, reasons, *judged)


def _judged(name: str, of: dict[str, Any]) -> Table:
    """Returns a table of what the large model added, by what decisions would have brought."""
    removed, low, high = of["regret_removed_ticks"]
    verdict = "which is no difference" if low <= 0 <= high else "which is a difference"
    return Table(
        f"Was {name} right to ask?",
        f"In {count(of['judged'])} turns the round was cleared again with each action of the menu. Regret is what the "
        f"best action would have brought beyond what was decided. Asking {of['large']} removed {removed:.2f} ticks of "
        f"it a turn (95% interval over rounds {low:.2f} to {high:.2f}), {verdict}; one run is one seed. How often "
        f"{of['small']} would be right was foretold with an error of {100 * of['calibration_error']:.1f} points.",
        ("who", "regret in ticks"),
        ((f"{of['small']} alone", f"{of['regret_small_ticks']:.2f}"), (name, f"{of['regret_ticks']:.2f}")),
    )


SECTION = SectionPlugin("cascades", "Cascades", cascades)
