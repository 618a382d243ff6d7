"""The section on a patron: its purse beside its aim, what its deeds came to, who believed it, and who favours it."""

from swarm.report.parts import SectionPlugin, Table
from swarm.report.wording import count
from swarm.simulation.record import RunRecord

MOST_SHOWN = 20
"""How many creatures are named by their favour, from either end."""


def patron(record: RunRecord) -> tuple[Table, ...]:
    """Returns the scoreboard; nothing for a run without a patron."""
    if not (play := record.summary.get("patron")):
        return ()
    aim = f"{play['objective_pebbles']:,}"
    verdict = "reached" if play["reached"] else "not reached"
    tips = play["tips"]
    # What is counted, as rows of a name and a number.
    rows = [("purse at the end, in pebbles", f"{play['purse_pebbles']:,.10g}"), (f"aim ({verdict})", aim)]
    rows += [(name.replace("_", " "), f"{number:,.10g}") for name, number in play["counts"].items()]
    judged = f"came true {count(tips['came_true'])}, came to nothing {count(tips['came_to_nothing'])}"
    board = Table(
        "Scoreboard",
        "What the patron's acts came to. Each stands in the journal, and each that did not hold is refused there by "
        f"name. Of the tips {judged}, by prices four rounds later. Whether one was made up, only the patron knows.",
        ("what", "number"),
        tuple(rows),
    )
    believed = Table(
        "Who believed the tips",
        "A creature believed a tip if it asked for more on the tip's side of the good than on the other in the round "
        "in which it heard it. The measure is the same for rules and for models, which may differ.",
        ("mind", "told", "believed"),
        tuple((mind, count(told), count(did)) for mind, (told, did) in play["believed_by_mind"].items()),
        empty="Nobody was told anything.",
    )
    favour = sorted(play["favour"], key=lambda one: (-one[2], one[0]))
    shown = favour if len(favour) <= 2 * MOST_SHOWN else favour[:MOST_SHOWN] + favour[-MOST_SHOWN:]
    favours = Table(
        "Favour",
        "How creatures regard the patron in the end, from -9 to 9: tips that came true or did not, and payments. "
        "Without `traders.memory` nobody remembers anything.",
        ("creature", "mind", "favour"),
        tuple((str(trader), mind, f"{regard:+d}") for trader, mind, regard in shown),
        words=(0, 1),
        empty="No creature thinks anything of the patron.",
    )
    return (board, believed, favours)


SECTION = SectionPlugin("patron", "The patron", patron)
