"""Measures removed duties: what is taken out of a standard contract must be named missing, and nothing else accused.

Which of our rules rests on which section is our own reading, no lawyer's; the contracts come from the user's folder.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from swarm.bench.form import Result, share
from swarm.scenarios.contract.clauses import Structure

READING = "dpa_art28_reading.json"
BAD, THERE = {"missing", "contradicted"}, {"met", "by reference"}
MAPPED: Mapping[str, tuple[str, ...]] = {
    "28-3-intro": ("D01", "D02"),
    "28-3-a": ("D03",),
    "28-3-c": ("D06",),
    "28-2-4-d": ("D08", "D09", "D11"),
    "28-3-e": ("D12",),
    "28-3-f": ("D13", "D15"),
    "28-3-g": ("D16",),
    "28-3-h": ("D17", "D18"),
}
"""Our rules for each requirement of Article 28(3) as the reading numbers them."""

NDA_SECTIONS: Mapping[str, str] = {
    "2": "N04 N05 N06 N07 N08 N09",
    "3": "N10 N11 N12",
    "4": "N13",
    "5": "N18",
    "6": "N14 N15",
    "7": "N16",
    "8": "N17",
    "9": "N21",
    "10": "N19",
    "11": "N20 N22 N23",
}
"""Our rules that rest on each section of the confidentiality agreement."""

NDA_PARTS: Sequence[tuple[str, str]] = (
    ("(a) use Confidential Information solely for the Purpose;", "N04"),
    ("(a) is or becomes publicly available through no fault of the Receiving Party;", "N10"),
    (
        "(b) it rightfully knew or possessed prior to receipt from the Disclosing Party without confidentiality"
        " restrictions;",
        "N11",
    ),
    (" or (d) it independently developed without using or referencing the Confidential Information", "N12"),
    ("and the Receiving Party remains responsible for their compliance with this MNDA", "N09"),
    (
        "provided these representatives are bound by confidentiality obligations no less protective of the Disclosing"
        " Party than the applicable terms in this MNDA",
        "N08",
    ),
    (
        "; and (c) if requested by the Disclosing Party, confirm its compliance with these obligations in writing",
        "N15",
    ),
)
"""Parts of sentences, each with the rule that rests on it alone."""

Verdicts = Callable[[Path, str], Mapping[str, str]]
"""Returns the verdicts of a set's rules on a contract."""


@dataclass(slots=True)
class _Counts:
    """Duties that were removed, and of these named and left to a person; rules that were kept, and of these accused."""

    removed: int = 0
    named: int = 0
    open: int = 0
    kept: int = 0
    accused: int = 0
    missed: list[str] = field(default_factory=list)

    def add(
        self, removed: Sequence[str], kept: Sequence[str], before: Mapping[str, str], after: Mapping[str, str]
    ) -> None:
        """Counts what came of a removal: only what was found before can be removed."""
        was = [rule for rule in removed if before[rule] in THERE]
        self.removed += len(was)
        self.named += sum(after[rule] == "missing" for rule in was)
        self.open += sum(after[rule] == "can't tell" for rule in was)
        self.missed += [f"{rule} {after[rule]}" for rule in was if after[rule] not in {"missing", "can't tell"}]
        # Only what was in order before can be accused for nothing.
        stayed = [rule for rule in kept if before[rule] in THERE]
        self.kept += len(stayed)
        self.accused += sum(after[rule] in BAD for rule in stayed)

    def results(self, name: str, told: str) -> list[Result]:
        """Returns the figures."""
        rest = f"{self.open} left to a person" + (f"; {', '.join(self.missed)}" if self.missed else "")
        return [
            share(f"contracts_removed{name}_named", self.named, self.removed, 1.0, f"{rest}; {told}"),
            share(f"contracts_removed{name}_accused", self.accused, self.kept, 0.0, "rules that were kept", "lower"),
        ]


def measure(folder: Path, verdicts: Verdicts) -> list[Result]:
    """Returns the figures of the standard agreements that a folder has; what it lacks is not measured, and says so."""
    # Each agreement with its set, its removals, and what is to be known of the figure.
    results: list[Result] = []
    parts = (
        ("", folder / "DPA.md", "data", _duties, "the rules for processing were written with this contract at hand"),
        ("_nda", folder / "Mutual-NDA.md", "nda", _nda, "our own reading; rules were mended after it was read"),
    )
    for name, contract, rules, removals, told in parts:
        if not contract.exists() or not (folder / READING).exists():
            note = f"there is no {contract}; --data names the folder that has it"
            results += [
                Result(f"contracts_removed{name}_{what}", None, "share", "higher", note=note)
                for what in ("named", "accused")
            ]
            continue
        text, counts = contract.read_text(encoding="utf-8"), _Counts()
        before = verdicts(contract, rules)
        with TemporaryDirectory() as scratch:
            for shorter, removed, kept in removals(text, folder, list(before)):
                path = Path(scratch) / "shorter.md"
                path.write_text(shorter, encoding="utf-8")
                counts.add(removed, kept, before, verdicts(path, rules))
        results += counts.results(name, told)
    return results


def _duties(text: str, folder: Path, rules: Sequence[str]) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """Yields the agreement on processing without the sections of each requirement, with rules removed and kept."""
    told = json.loads((folder / READING).read_text(encoding="utf-8"))["requirements"]
    for one in told:
        if not one["sections"] or not MAPPED.get(one["id"]):
            continue
        # Sections serve several requirements, so only rules of requirements that share none are counted as kept.
        own = set(one["sections"])
        apart = [o["id"] for o in told if o["sections"] and not own & set(o["sections"])]
        kept = [rule for name in apart for rule in MAPPED.get(name, ())]
        yield without(text, one["sections"]), MAPPED[one["id"]], kept


def _nda(text: str, folder: Path, rules: Sequence[str]) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """Yields the confidentiality agreement without each section, and without each part that a rule rests on alone."""
    # Whole sections first, then parts of sentences, where the text is still of that wording.
    for section, resting in NDA_SECTIONS.items():
        removed = resting.split()
        yield without(text, [section]), removed, [rule for rule in rules if rule not in removed]
    for part, rule in NDA_PARTS:
        if part in text:
            yield text.replace(part, ""), [rule], [other for other in rules if other != rule]


def without(text: str, sections: Sequence[str]) -> str:
    """Returns a contract without these sections, and without what stands under them."""
    # From the end on, so that offsets before a cut stay right.
    for clause in reversed(Structure(text).clauses):
        if any(clause.number == one or clause.number.startswith(f"{one}.") for one in sections):
            text = text[: clause.start] + text[clause.end :]
    return text
