"""The section on cases: whom an authority sentenced, and the figures that each sentence rests on."""

from swarm.report.parts import SectionPlugin, Table
from swarm.report.wording import count
from swarm.simulation.record import RunRecord


def cases(record: RunRecord) -> tuple[Table, ...]:
    """Returns a table with a row for each act of a case; nothing where nobody was accused."""
    if not (lines := record.summary.get("cases")):
        return ()
    return (
        Table(
            "Cases",
            "A case is opened by a statistic on orders, trades and tips, never by what anybody wrote. Each says how "
            "many honest traders reached its score, in runs without abusers: so often its rule is wrong. An "
            "accusation is no proof of intent.",
            ("round", "by", "what"),
            tuple((count(round_), party, line) for round_, party, line in lines),
            words=(1, 2),
        ),
    )


SECTION = SectionPlugin("cases", "Cases", cases)
