"""The section on hands: what somebody did to the run while it was played, which no config foresaw."""

from swarm.report import wording
from swarm.report.parts import SectionPlugin, Table
from swarm.report.wording import count
from swarm.simulation.record import RunRecord


def hands(record: RunRecord) -> tuple[Table, ...]:
    """Returns a table of what hands did, act by act; nothing where nobody touched the run."""
    by_hand = record.summary.get("by_hand")
    if not by_hand:
        return ()
    told, acts = by_hand["told"], sum(by_hand["acts"].values())
    # Only the first acts are told one by one.
    more = f" The first {count(len(told))} of {count(acts)} are shown." if acts > len(told) else ""
    rows = tuple(
        (count(round_), who, wording.shortened(what, 320), f"refused: {why}" if why else "done")
        for round_, who, what, why in told
    )
    caption = (
        "After these rounds somebody stepped in. Each act stands in the journal under the name of who did it, and a "
        f"replay does it again; without them the run would have gone another way.{more}"
    )
    return (Table("Acts by hand", caption, ("after round", "who", "what", "came of it"), rows, (1, 2, 3)),)


SECTION = SectionPlugin("hands", "Touched by hand", hands)
