"""An index of a contract's sentences: which of them a pattern fits, and which are nearest to a rule's words.

Sentences that give orders to the reader are left out of it, so that no reviewer and no model is shown them.
"""

import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from math import log

import numpy as np
import numpy.typing as npt

from swarm.scenarios.contract.clauses import Structure
from swarm.scenarios.contract.quotation import Span
from swarm.scenarios.contract.rule_sets import Rule, parts_of

Mask = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]

STEM = 6
"""Words count as alike from so many letters on."""

SATURATION, LENGTH = 1.2, 0.75
"""The two constants of Okapi BM25, at their usual values."""

MOST_NEIGHBOURS = 3
FEWEST_WORDS = 4
"""What has fewer words is a heading or a number, and says nothing."""
_WORD = re.compile(r"[a-z0-9]+")
MEANS = "means"
_DEFINES = re.compile(
    r"[^\w\"\u201c]*[\"\u201c][^\"\u201d]{1,60}[\"\u201d]\W{0,6}(?:shall )?(?:means?|refers? to|has the meaning)\b"
)
_BY_REFERENCE = re.compile(
    r"\b(?:set (?:out|forth)|described|specified|stated|listed|named|contained|defined|laid down|found|attached|"
    r"in accordance with|according to|pursuant to|describes|contains|sets (?:out|forth))\b",
    re.IGNORECASE,
)
_NO_STEMS = frozenset(
    _WORD.findall("a an and any are as at be by for from has have if in is it its no of on or that the this to with")
)


def stems(text: str) -> list[str]:
    """Returns the words of a text without endings and hyphens, and without those that every sentence has."""
    joined = text.lower().replace("-", "")
    return [word.rstrip("s")[:STEM] for word in _WORD.findall(joined) if word not in _NO_STEMS]


@dataclass(eq=False)
class Index:
    """The sentences of a contract, in their order."""

    structure: Structure
    spans: tuple[Span, ...] = field(init=False)
    clause: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        # Left out for good: no reviewer's index has them.
        hidden = set(self.structure.instructions)
        found = [
            (span, number)
            for number in range(len(self.structure.clauses))
            for span in self.structure.sentences(number)
            if span not in hidden and len(_WORD.findall(self.structure.text[span[0] : span[1]].lower())) >= FEWEST_WORDS
        ]
        self.spans = tuple(span for span, _ in found)
        self.clause = np.array([number for _, number in found], dtype=np.int64)
        self._matching: dict[re.Pattern[str], Mask] = {}

    def __len__(self) -> int:
        return len(self.spans)

    def text(self, sentence: int) -> str:
        """Returns a sentence."""
        start, end = self.spans[sentence]
        return self.structure.text[start:end]

    @cached_property
    def _starts(self) -> list[int]:
        return [start for start, _ in self.spans]

    @cached_property
    def defines(self) -> Mask:
        """[sentences]: which define a term; a definition that names a duty imposes none."""
        return np.array([bool(_DEFINES.match(self.text(sentence))) for sentence in range(len(self))], dtype=np.bool_)

    def matching(self, part: re.Pattern[str]) -> Mask:
        """Returns [sentences]: where a part of a pattern begins."""
        if part not in self._matching:
            mask = np.zeros(len(self), dtype=np.bool_)
            # One pass over the text for each part, which many rules share.
            for match in part.finditer(self.structure.text):
                sentence = bisect_right(self._starts, match.start()) - 1
                if sentence >= 0 and match.start() < self.spans[sentence][1]:
                    mask[sentence] = True
            self._matching[part] = mask
        return self._matching[part]

    def meets(self, pattern: str) -> Span | None:
        """Returns the shortest piece of neighbouring sentences of one clause that has all parts; None for none."""
        parts = parts_of(pattern)
        wanted = [self.matching(part) for part in parts.wanted]
        barred = [self.matching(part) for part in parts.barred]
        # One sentence is better than two, and two than three.
        for width in range(1, MOST_NEIGHBOURS + 1):
            starts = np.arange(len(self) - width + 1)
            if not len(starts):
                return None
            fits = self.clause[starts] == self.clause[starts + width - 1]
            for mask in wanted:
                fits &= np.any([mask[starts + by] for by in range(width)], axis=0)
            for mask in barred:
                fits &= ~np.any([mask[starts + by] for by in range(width)], axis=0)
            if MEANS not in pattern:
                fits &= ~np.all([self.defines[starts + by] for by in range(width)], axis=0)
            if fits.any():
                first = int(np.flatnonzero(fits)[0])
                return self.spans[first][0], self.spans[first + width - 1][1]
        return None

    def contradicts(self, pattern: str) -> Span | None:
        """Returns the first sentence in which the parts follow one another; None for none."""
        parts = parts_of(pattern)
        # Sentences that have all parts, before their order is looked at.
        fits = np.logical_and.reduce([self.matching(part) for part in parts.wanted])
        for part in parts.barred:
            fits = fits & ~self.matching(part)
        for sentence in np.flatnonzero(fits).tolist():
            if in_order(self.text(sentence), parts.wanted):
                return self.spans[sentence]
        return None

    def elsewhere(self, span: Span) -> str:
        """Returns the document to which a piece of text leaves the matter, where it is not part of this text."""
        start, end = span
        # Only what a piece of text leaves to another document, which this one does not have.
        for reference in self.structure.references:
            outside = reference.clause < 0 and reference.name in self.structure.elsewhere
            if outside and start <= reference.start < end:
                # `set out in Annex 1`, and not any mention of an annex.
                around = self.structure.text[max(start, reference.start - 60) : min(end, reference.end + 40)]
                if _BY_REFERENCE.search(around):
                    return reference.name
        return ""

    @cached_property
    def _counts(self) -> tuple[list[Counter[str]], dict[str, float], float]:
        counts = [Counter(stems(self.text(sentence))) for sentence in range(len(self))]
        # In how many sentences a stem is, and the mean length of one.
        known = Counter(stem for count in counts for stem in count)
        rarity = {stem: log(1 + (len(counts) - n + 0.5) / (n + 0.5)) for stem, n in known.items()}
        mean = sum(count.total() for count in counts) / max(len(counts), 1)
        return counts, rarity, mean

    @cached_property
    def _holding(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for sentence, count in enumerate(self._counts[0]):
            for stem in count:
                found.setdefault(stem, []).append(sentence)
        return found

    def nearest(self, rule: Rule, most: int) -> tuple[int, ...]:
        """Returns the sentences nearest to a rule's words by Okapi BM25, the nearest first."""
        counts, rarity, mean = self._counts
        scores: dict[int, float] = {}
        # The rule's own words count twice, its sentence and its title once.
        for stem, times in Counter(
            [*stems(rule.words), *stems(rule.words), *stems(rule.says), *stems(rule.title)]
        ).items():
            for sentence in self._holding.get(stem, ()):
                # Only a rule about what something means is met by a definition.
                if self.defines[sentence] and MEANS not in rule.words:
                    continue
                count = counts[sentence]
                # The second and third time that a word stands there tell less than the first.
                within = count[stem] / (count[stem] + SATURATION * (1 - LENGTH + LENGTH * count.total() / mean))
                scores[sentence] = scores.get(sentence, 0.0) + times * rarity[stem] * within
        return tuple(sorted(scores, key=lambda sentence: (-scores[sentence], sentence))[:most])


def in_order(text: str, parts: tuple[re.Pattern[str], ...]) -> bool:
    """Tells whether parts of a pattern are in a text one after another."""
    at = 0
    for part in parts:
        found = part.search(text, at)
        if found is None:
            return False
        at = found.end()
    return True
