"""Cuts a contract into clauses and sentences with their offsets, and finds what it defines and what it refers to.

All of it is computed from the text alone; no model is asked where anything stands.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property

from swarm.scenarios.contract.orders import ordered
from swarm.scenarios.contract.quotation import Span

LONGEST_CLAUSE = 900
"""A longer paragraph is cut between sentences, so that it fits a prompt."""

_NUMBER = re.compile(
    r"(?P<indent>[ \t]*)[#>*_ \t-]*(?:(?:ARTICLE|Article|SECTION|Section|CLAUSE|Clause)[ \t]+)?"
    r"(?P<number>\d{1,3}(?:\.\d{1,3})*|\([a-zA-Z0-9]{1,4}\)|[A-Z]|[a-z]|[ivxIVX]{1,5})"
    r"(?:[.):]+(?=[ \t*_]|$)|(?=[ \t]+[A-Z]))"
)
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+|[ \t]*(?:EXHIBIT|ANNEX|SCHEDULE|APPENDIX|ATTACHMENT)\b", re.IGNORECASE)
_MARKED, _ENDS = re.compile(r"[.):]$"), '.;:!?)"\u201d*_'
_SENTENCE_END = re.compile(r"[.;!?][\"'\u201d\u2019)\]*_]*\s+(?=[\"'\u201c\u2018(\[*_]*[A-Z0-9(])")
_ABBREVIATIONS = re.compile(
    r"\b(?:No|Nos|Inc|Ltd|Co|Corp|Art|Sec|Mr|Ms|Mrs|Dr|St|e\.g|i\.e|cf|vs|U\.S)\.$", re.IGNORECASE
)
_DEFINED = re.compile(r"[\"\u201c][*_]{0,2}([A-Z][\w&/' -]{1,60}?)[*_]{0,2}[\"\u201d]")
_MEANS = re.compile(r"[\s,*_]*(?:\([^)]*\)\s*)?(?:shall\s+)?(?:means?|has the meaning|have the meaning|refers? to)\b")
_INNER = re.compile(r"\b(?:[Ss]ections?|[Cc]lauses?|[Pp]aragraphs?|Articles?)\s+(\d{1,3}(?:\.\d{1,3})*)")
_OUTER = re.compile(
    r"\b((?:Exhibit|Annex|Schedule|Appendix|Attachment)\s+(?:[A-Z]\b|\d{1,3}\b|[IVX]{1,4}\b)(?:\([A-Z0-9]\))?"
    r"|(?:(?!(?:An?|The|This|That|Each|Any|Such|All|Our|Your|If|In|Under|To)\s)[A-Z][\w-]+\s+){1,3}"
    r"(?:Policy|Addendum|Order Form|Statement of Work|Price List|Handbook|Guidelines|Code of Conduct)"
    r"|Cover Page)"
)
_LAW = re.compile(
    r"(?:govern\w*|construed|interpreted)\b[^.;]{0,120}?\blaws?\s+of\s+(?:the\s+)?(?:(?:State|Commonwealth|Republic|Province|"
    r"Kingdom)\s+of\s+(?:the\s+)?)?((?:[A-Z][a-z]+)(?:\s+(?:and\s+)?[A-Z][a-z]+){0,3})"
)
_REDACTED = re.compile(r"\[\s*(?:\*+|REDACTED|redacted|\u25cf+|\.\.\.)\s*\]|\u2588{2,}|\*{3,}(?=\W)|_{6,}")


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause by its number as far as it has one, its heading, and its span in the text."""

    number: str
    heading: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Term:
    """A term that a contract defines, and the span of the sentence that does."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference at a span: to the clause `clause`, or, where that is -1, to something that is not in this text."""

    name: str
    start: int
    end: int
    clause: int = -1


@dataclass(eq=False)
class Structure:
    """A text's clauses in their order, with all that is found in them."""

    text: str
    clauses: tuple[Clause, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.clauses = tuple(_clauses(self.text))

    def text_of(self, clause: int) -> str:
        """Returns the text of a clause."""
        found = self.clauses[clause]
        return self.text[found.start : found.end]

    def clause_at(self, offset: int) -> int:
        """Returns the clause in which an offset lies, or the last one before it."""
        return max(bisect_right(self._starts, offset) - 1, 0)

    def where(self, offset: int) -> str:
        """Returns in words where an offset lies: the clause by its number, or the nearest one above that has one."""
        at = self.clause_at(offset)
        # A paragraph without a number belongs to the numbered one above it.
        numbered = next((c for c in self.clauses[at::-1] if c.number), None) if self.clauses else None
        return f"clause {numbered.number}" if numbered else f"paragraph {at + 1}"

    @cached_property
    def _starts(self) -> list[int]:
        return [clause.start for clause in self.clauses]

    @cached_property
    def terms(self) -> dict[str, Term]:
        """The defined terms by name, the first definition of each."""
        found: dict[str, Term] = {}
        for match in _DEFINED.finditer(self.text):
            name = match[1].strip(" *_")
            # Either `"X" means`, or `(the "X")` behind what it names.
            opened = self.text.rfind("(", max(match.start() - 40, 0), match.start())
            behind = opened >= 0 and ")" not in self.text[opened : match.start()]
            if name not in found and (behind or _MEANS.match(self.text, match.end())):
                start, end = self.sentence_at(match.start())
                found[name] = Term(name, start, end)
        return found

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """The references, resolved to clauses where they lead to one."""
        # The first clause that has a number is what a reference to it means.
        numbers: dict[str, int] = {}
        for index, clause in enumerate(self.clauses):
            numbers.setdefault(clause.number, index)
        found = [Reference(m[0], *m.span(), numbers.get(m[1], -1)) for m in _INNER.finditer(self.text)]
        for match in _OUTER.finditer(self.text):
            # A name that is broken over two lines is the same name.
            name = " ".join(match[1].split())
            found.append(Reference(name, *match.span(), self._headed(name)))
        return tuple(sorted(found, key=lambda reference: reference.start))

    def _headed(self, name: str) -> int:
        """Returns the clause that begins with a name, as an annex does that is part of the same text; -1 for none."""
        # Annexes are told by a line that begins with their name.
        sought = name.lower()
        for index, clause in enumerate(self.clauses):
            if self.text[clause.start : clause.end].lstrip(" \t#*_").lower().startswith(sought):
                # A sentence that begins with the name only speaks of it.
                line = self.text[clause.start : clause.end].split("\n", 1)[0].strip(" \t#*_")
                if len(line) <= len(name) + 60 and not re.search(
                    r"\b(?:describes?|sets?|applies|contains?|is|are)\b", line
                ):
                    return index
        return -1

    @cached_property
    def elsewhere(self) -> tuple[str, ...]:
        """The documents that the text refers to and does not have, each once."""
        return tuple(dict.fromkeys(r.name for r in self.references if r.clause < 0 and _OUTER.fullmatch(r.name)))

    @cached_property
    def law(self) -> str:
        """The law that governs, as the text names it; empty where it names none."""
        found = _LAW.search(" ".join(self.text.split()))
        named = found[1] if found else ""
        return "" if re.search(r"\b(?:Law|State|Country|District)\b", named) else named

    @cached_property
    def redactions(self) -> tuple[Span, ...]:
        """The spans of what is blacked out or left blank."""
        return tuple(match.span() for match in _REDACTED.finditer(self.text))

    @cached_property
    def instructions(self) -> tuple[Span, ...]:
        """The sentences that give orders to whoever reads them, and are no part of a contract's own language."""
        # Each by itself: a clause may hold both a duty and an order.
        spans = [span for clause in range(len(self.clauses)) for span in self.sentences(clause)]
        return tuple((start, end) for start, end in spans if ordered(self.text[start:end]))

    def sentences(self, clause: int) -> tuple[Span, ...]:
        """Returns the spans of a clause's sentences."""
        found = self.clauses[clause]
        return tuple(sentences(self.text, found.start, found.end))

    def sentence_at(self, offset: int) -> Span:
        """Returns the span of the sentence in which an offset lies."""
        spans = self.sentences(self.clause_at(offset))
        return next(((s, e) for s, e in spans if s <= offset < e), spans[-1] if spans else (offset, offset))


def sentences(text: str, start: int, end: int) -> list[Span]:
    """Returns the spans of the sentences between two offsets, without white space around them."""
    # Full stops of abbreviations end no sentence.
    cuts, last = [], start
    for match in _SENTENCE_END.finditer(text, start, end):
        if _ABBREVIATIONS.search(text, last, match.start() + 1):
            continue
        cuts.append((last, match.end()))
        last = match.end()
    cuts.append((last, end))
    return [span for span in (stripped(text, s, e) for s, e in cuts) if span[0] < span[1]]


def stripped(text: str, start: int, end: int) -> Span:
    """Returns a span without the white space at its ends."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _clauses(text: str) -> list[Clause]:
    """Returns the clauses: a number, a heading or an empty line begins one, and long ones are cut between sentences."""
    found: list[Clause] = []
    # The numbers that a nested list stands under, by how far each was indented.
    above: list[tuple[int, str]] = []
    for start, end, numbered in _paragraphs(text):
        number, heading = "", _heading(text[start:end])
        if numbered:
            # A number with dots is whole by itself; others stand under what is indented less.
            indent, own = len(numbered["indent"].expandtabs(4)), numbered["number"]
            above = [(i, n) for i, n in above if i < indent] if "." not in own else []
            joint = "" if not above or own.startswith("(") else "."
            number = f"{above[-1][1]}{joint}{own}" if above else own
            above.append((indent, number))
        for s, e in _short_enough(text, start, end):
            found.append(Clause(number, heading, s, e))
    return found


def _paragraphs(text: str) -> list[tuple[int, int, "re.Match[str] | None"]]:
    """Returns the spans of paragraphs, each with the number that it begins with."""
    found: list[tuple[int, int, re.Match[str] | None]] = []
    offset, fresh = 0, True
    for line in text.splitlines(keepends=True):
        start, end = stripped(text, offset, offset + len(line))
        numbered = _NUMBER.match(text, offset, offset + len(line)) if start < end else None
        # Within a sentence that is broken over lines, a name or a bare number that begins a line begins nothing.
        ended = fresh or not found or text[found[-1][1] - 1] in _ENDS
        if numbered and not ended and not _MARKED.search(numbered[0]):
            numbered = None
        if start == end:
            fresh = True
        elif fresh or numbered or (_HEADING.match(line) and (ended or line.lstrip().startswith("#"))):
            found.append((start, end, numbered))
            # What stands behind a heading is a paragraph of its own.
            fresh = bool(_HEADING.match(line)) and not numbered
        else:
            found[-1] = (found[-1][0], end, found[-1][2])
        offset += len(line)
    return found


def _short_enough(text: str, start: int, end: int) -> list[Span]:
    """Returns a paragraph in pieces of whole sentences, as few as keep within the longest clause."""
    if end - start <= LONGEST_CLAUSE:
        return [(start, end)]
    pieces: list[Span] = []
    for s, e in sentences(text, start, end):
        # A sentence that is too long by itself stays whole.
        if pieces and e - pieces[-1][0] <= LONGEST_CLAUSE:
            pieces[-1] = (pieces[-1][0], e)
        else:
            pieces.append((s, e))
    return pieces


def _heading(paragraph: str) -> str:
    """Returns the heading that a paragraph begins with, at most a few words; empty where it has none."""
    first = re.sub(r"^[\s#>*_-]*(?:\(?[\w.]{1,6}[.)]\s*)?[*_]*", "", paragraph.split("\n", 1)[0])
    found = re.match(r"([A-Z][\w,&/'\u2019-]+(?: [\w,&/'\u2019-]+){0,6}?)[*_]*(?:[.:](?=\s|$|[*_])|$)", first)
    return found[1].strip() if found else ""
