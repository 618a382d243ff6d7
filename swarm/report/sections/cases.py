"""The section on cases: whom an authority sentenced, and for each case its file, with the figures that it rests on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from swarm.report.parts import SectionPlugin, Table
from swarm.report.wording import count
from swarm.simulation.record import RunRecord

MOST_SHOWN = 20
"""How many files the page has; all of them are in summary.json."""

FIGURES = ("bought", "sold", "have", "volume", "idle_permille", "moved_permille", "pushed_permille", "bid_ticks")


def cases(record: RunRecord) -> tuple[Table, ...]:
    """Returns a table with a row for each act of a case, and one for each file; nothing where nobody was accused."""
    if not (lines := record.summary.get("cases")):
        return ()
    told = Table(
        "Cases",
        "A case is opened by a statistic on orders, trades and tips, never by what anybody wrote. Each says how "
        "many honest traders reached its score, in runs without abusers: so often its rule is wrong. An "
        "accusation is no proof of intent.",
        ("round", "by", "what"),
        tuple((count(round_), party, line) for round_, party, line in _once(lines)),
        words=(1, 2),
    )
    return told, *(_file(one) for one in record.summary.get("case_files", [])[:MOST_SHOWN])


def _once(lines: Sequence[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Yields the lines without the announcement of a case whose sentence has a line of its own, which says more."""
    sentenced = {(round_, party, line.rpartition(": ")[0]) for round_, party, line in lines}
    for round_, party, line in lines:
        if (round_, party, line.rpartition("; ")[0]) not in sentenced:
            yield round_, party, line


def _file(file: Mapping[str, Any]) -> Table:
    where = f" in {file['market']}" if file["market"] else ""
    caption = (
        f"Round {file['round']}: {file['sign']}. Score {file['score']}, reached by {file['honest']}; the rule "
        f"{file['rule']}. Sentence: {file['sentence']}{', ' + file['appeal'] if file['appeal'] else ''}. "
    )
    # The verdict was spoken before any model was asked.
    caption += f"In the words of {file['words']}" if file["words"] else ""
    # One row for each good and round in which the accused did anything.
    rows = tuple(
        (count(row["round"]), row["good"], *(count(row[name]) for name in FIGURES)) for row in file["evidence"]
    )
    title = f"Case {file['case']}: {file['abuse']} by trader {file['trader']}{where}"
    head = tuple(name.replace("_permille", " \u2030").replace("_", " ") for name in ("round", "good", *FIGURES))
    return Table(title, caption.strip(), head, rows, words=(1,))


SECTION = SectionPlugin("cases", "Cases", cases)
