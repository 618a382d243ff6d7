"""The section on contracts: a page that a lawyer reads, then rule by rule, then the contract with its marks."""

from itertools import pairwise
from typing import Any

import polars as pl

from swarm.report.parts import Figure, Marked, Passage, SectionPlugin, Table
from swarm.report.wording import count
from swarm.simulation.record import RunRecord

WORST, MOST_LISTED, MOST_ROWS, MOST_MARKED = 10, 12, 600, 3
VERDICTS = ("met", "missing", "contradicted", "by reference", "can't tell", "not checked", "does not apply")
LOOKS = {"met": "met", "contradicted": "contradicted", "by reference": "elsewhere"}
MOST_QUOTED = 420
ABSENT = 0.6
"""Where more of a set is missing, it is likely meant for another kind of contract, and comes behind all others."""


def contract(record: RunRecord) -> tuple[Figure | Table | Marked, ...]:
    """Returns the parts of a review; nothing of another scenario."""
    found: dict[str, Any] | None = record.summary.get("contract")
    if not found or "findings" not in record.tables:
        return ()
    absent = (pl.col("verdict") == "missing").mean().over("contract", "set") > ABSENT
    findings = record.tables["findings"].with_columns(absent.alias("of_another_kind"))
    several = len(found["contracts"]) > 1
    # What a lawyer reads first, then all of it, then the text itself.
    first = [_portfolio(found)] if several else []
    page = (
        _sets(found),
        _worst(findings, several),
        _listed(
            findings,
            "missing",
            "What is missing",
            "What a rule asks for and no reviewer found; there is nothing to quote.",
            several,
        ),
        _listed(
            findings,
            "by reference",
            "What depends on other documents",
            "The text leaves the matter to a document that is not in it.",
            several,
        ),
        _listed(
            findings,
            "can't tell",
            "What could not be told",
            "Reviewers differ, and a person has to decide; what each said stands beside it.",
            several,
        ),
        _listed(
            findings,
            "not checked",
            "What nobody has checked",
            "Nobody has read these rules, so nothing is said of them.",
            several,
        ),
        _remarks(found),
        _trust(found),
        _rule_by_rule(findings, several),
    )
    marked = [_marked(record, one) for one in found["contracts"][:MOST_MARKED]]
    return (*first, *page, *marked)


def _portfolio(found: dict[str, Any]) -> Table:
    rows = []
    for one in found["contracts"]:
        totals = {name: sum(counts[name] for counts in one["verdicts"].values()) for name in VERDICTS}
        rows.append((one["name"], one["law"] or "not named", *(count(totals[name]) for name in VERDICTS)))
    caption = "All contracts of the run; the tables below have rows of all of them."
    return Table("Contracts", caption, ("contract", "law", *VERDICTS), tuple(rows), words=(0, 1))


def _sets(found: dict[str, Any]) -> Table:
    """Returns the verdicts of each set, with what was reviewed and by which version of the rules."""
    rows = []
    # A set's verdict is its gravest.
    for own in found["sets"]:
        totals = {n: sum(one["verdicts"][own["id"]][n] for one in found["contracts"]) for n in VERDICTS}
        asked = sum(totals.values()) - totals["does not apply"]
        worst = "contradicted" if totals["contradicted"] else "missing" if totals["missing"] else "met"
        verdict = {"met": "in order"}.get(worst, f"{worst}: see below")
        # What reviewers could not tell may be anything.
        if worst == "met" and (left := totals["can't tell"]):
            verdict = f"nothing found against it, {count(left)} left to a person"
        if totals["missing"] > ABSENT * asked:
            verdict = "another kind of contract? Most of it is missing"
        elif totals["not checked"] == asked:
            verdict = "not checked"
        rows.append(
            (own["title"], f"{own['version']} of {own['date']}", verdict, *(count(totals[n]) for n in VERDICTS))
        )
    one = found["contracts"][0]
    what = (
        f"{one['name']}, {count(one['characters'])} characters, {one['clauses']} clauses, governed by "
        f"{'the laws of ' + one['law'] if one['law'] else 'a law that it does not name'}, sha256 {one['sha256'][:16]}."
        if len(found["contracts"]) == 1
        else f"{len(found['contracts'])} contracts."
    )
    caption = f"{what} Not legal advice."
    return Table(
        "Verdict by rule set", caption, ("rule set", "version", "verdict", *VERDICTS), tuple(rows), words=(0, 1, 2)
    )


def _name(row: dict[str, Any], several: bool) -> str:
    own = f"{row['rule']} {row['title']}"
    return f"{row['contract']}: {own}" if several else own


def _quoted(text: str) -> str:
    """Returns a quotation as it stands; a long one is shown as far as its first words go, and is said to go on."""
    return text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]} [it goes on]"


def _worst(findings: pl.DataFrame, several: bool) -> Table:
    """Returns what matters most: contradictions first among rules of one weight."""
    bad = findings.filter(pl.col("verdict").is_in(["contradicted", "missing"]))
    ranked = bad.sort(
        ["of_another_kind", "weight", "verdict"], descending=[False, True, False], maintain_order=True
    ).head(WORST)
    rows = tuple(
        (
            _name(row, several),
            row["says"],
            row["verdict"],
            str(row["weight"]),
            _quoted(row["quote"]),
            row["where"],
            row["status"],
        )
        for row in ranked.to_dicts()
    )
    head = ("rule", "it asks", "verdict", "weight", "quotation", "where", "who")
    return Table(
        "The worst",
        "By weight, from 5 down. Quotations are pieces of the text, found at their offsets.",
        head,
        rows,
        words=(0, 1, 2, 4, 5, 6),
        empty="Nothing is contradicted, and nothing is missing.",
    )


def _listed(findings: pl.DataFrame, verdict: str, title: str, caption: str, several: bool) -> Table:
    own = findings.filter(pl.col("verdict") == verdict).sort(
        ["of_another_kind", "weight"], descending=[False, True], maintain_order=True
    )
    rows = []
    head: tuple[str, ...] = ("rule", "it asks", "weight")
    # What is missing, or was read by nobody, has nothing to show.
    if told := {"by reference": "depends_on", "can't tell": "views"}.get(verdict):
        head = (*head, {"depends_on": "on what"}.get(told, told), "quotation")
    for row in own.head(MOST_LISTED).to_dicts():
        shown = (row[told] or "", _quoted(row["quote"])) if told else ()
        rows.append((_name(row, several), row["says"], str(row["weight"]), *shown))
    if (left := len(own) - len(rows)) > 0:
        caption = (
            f"{caption} {count(left)} more, of less weight or of sets that are likely not meant, stand rule by rule."
        )
    return Table(
        title, caption, head, tuple(rows), words=tuple(at for at in (0, 1, 3, 4) if at < len(head)), empty="Nothing."
    )


def _remarks(found: dict[str, Any]) -> Table:
    rows = tuple((one["name"], remark) for one in found["contracts"] for remark in one["remarks"])
    return Table(
        "What was odd about the file",
        "What was read, and what was not.",
        ("contract", "remark"),
        rows,
        words=(0, 1),
        empty="Nothing.",
    )


def _trust(found: dict[str, Any]) -> Table:
    """Returns how often each reviewer's findings held, set by set."""
    sets = [own["id"] for own in found["sets"]]
    rows = tuple(
        (
            one["family"],
            count(one["filed"]),
            f"{one['earned_cents']:+,} cents",
            *(f"{one['held'][s]} of {one['settled'][s]}" if one["settled"][s] else "" for s in sets),
            count(one["void"]),
            count(one["unreadable"]),
            "" if one["brier"] is None else f"{one['brier']:.3f}",
        )
        for one in found["reviewers"]
    )
    by = (
        f"the {count(found['decided'])} decisions of a person or a key"
        if found["decided"]
        else "agreement alone, which says nothing of two who err alike"
    )
    caption = (
        f"How many findings held of those that were settled, by {by}; what holds earns a fee and "
        "what others staked on the contrary. A void finding quotes what is not in the text."
    )
    return Table(
        "Whom to trust on what", caption, ("reviewer", "findings", "earned", *sets, "void", "unreadable", "Brier"), rows
    )


def _rule_by_rule(findings: pl.DataFrame, several: bool) -> Table:
    rows = tuple(
        (
            _name(row, several),
            row["set"],
            row["verdict"],
            row["status"],
            _quoted(row["quote"]),
            row["where"],
            row["views"],
        )
        for row in findings.head(MOST_ROWS).to_dicts()
    )
    left = len(findings) - len(rows)
    caption = "All rules in their order." + (
        f" {count(left)} more rows are in the table `findings`." if left > 0 else ""
    )
    head = ("rule", "set", "verdict", "who", "quotation", "where", "views")
    return Table("Rule by rule", caption, head, rows, words=tuple(range(7)))


def _marked(record: RunRecord, one: dict[str, Any]) -> Marked:
    """Returns a contract's text in passages, those marked that a finding quotes."""
    clauses = record.tables["clauses"].filter(pl.col("contract") == one["name"])
    quoted = record.tables["findings"].filter((pl.col("contract") == one["name"]) & pl.col("start").is_not_null())
    marks = sorted(
        (row["start"], row["end"], row["verdict"], f"{row['rule']} {row['title']}: {row['verdict']}")
        for row in quoted.to_dicts()
    )
    passages: list[Passage] = []
    for clause in clauses.to_dicts():
        passages += _passages(clause["text"], clause["start"], marks)
        passages.append(Passage("\n\n"))
    caption = "Marked is what findings quote: met, contradicted, or left to another document. A mark names its rules."
    return Marked(f"{one['name']}, marked up", caption, tuple(passages))


def _passages(text: str, offset: int, marks: list[tuple[int, int, str, str]]) -> list[Passage]:
    """Returns a clause in pieces at every border of a mark; of several marks on a piece the gravest gives its look."""
    end = offset + len(text)
    own = [mark for mark in marks if mark[0] < end and mark[1] > offset]
    cuts = sorted({offset, end, *(min(max(edge, offset), end) for mark in own for edge in mark[:2])})
    pieces = []
    for start, stop in pairwise(cuts):
        # Marks overlap, so a piece may carry several.
        here = [mark for mark in own if mark[0] <= start and mark[1] >= stop]
        looks = [LOOKS[mark[2]] for mark in here if mark[2] in LOOKS]
        grave = next((look for look in ("contradicted", "elsewhere", "met") if look in looks), "")
        pieces.append(Passage(text[start - offset : stop - offset], grave, "; ".join(mark[3] for mark in here)))
    return pieces


SECTION = SectionPlugin("contract", "Contract", contract)
