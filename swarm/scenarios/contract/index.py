"""An index of a contract's sentences: which of them a pattern fits, and which are nearest to a rule's words.

Sentences that give orders to the reader are left out of it, so that no reviewer and no model is shown them.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from math import log

import numpy as np
import numpy.typing as npt

from swarm.scenarios.contract.clauses import Structure
from swarm.scenarios.contract.quotation import Span
from swarm.scenarios.contract.rule_sets import AT_A_WORD, Rule, parts_of

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
_WITHIN, _CAPITAL, _ESCAPED = re.compile(r"\w"), re.compile(r"[A-Z]"), re.compile(r"\\.")
_DEFINES = re.compile(
    r"[^\w\"\u201c]*[\"\u201c][^\"\u201d]{1,60}[\"\u201d]\W{0,6}(?:shall |will )?"
    r"(?:means?|refers? to|ha(?:s|ve) the (?:same )?meaning)\b"
)
_RESERVES = re.compile(r"\bmay (?:\w+ ){0,3}(?:change|modify|amend|alter|revise|update)\b", re.IGNORECASE)
_FILLS_IN = re.compile(
    r"\W*(?:\(?[ivxa-z\d]{1,4}[.)]\s+)?(?:(?:In|For|Under) )?(?:the )?(?:Clause|Table|Module|Option|Part)\s+[\w.()]+"
    r"(?:\s\([^)]{1,60}\))?[^.;]{0,160}?"
    r"\b(?:appl(?:y|ies)|(?:is|are) (?:modified|amended|removed|completed|selected))\b"
)
_EXAMPLE = re.compile(
    r"\W*(?:for example|examples? (?:of|include)|by way of (?:example|illustration))\b", re.IGNORECASE
)
STATES_NOTHING: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("means", _DEFINES),
    ("chang", _RESERVES),
    ("", _FILLS_IN),
    ("", _EXAMPLE),
)
"""Sentences that name a duty and impose none: definitions, powers to change what is agreed, options of another
document, and examples. Each with the word by which a rule asks for just that, where one can."""
_BY_REFERENCE = re.compile(
    r"\b(?:set (?:out|forth)|described|specified|stated|listed|named|contained|defined|laid down|found|attached|"
    r"in accordance with|according to|pursuant to|describes|contains|sets (?:out|forth))\b",
    re.IGNORECASE,
)
_NO_STEMS = frozenset(
    _WORD.findall(
        "a an and any are as at be by for from has have if in is it its no of on or that the this to with without"
    )
)


def stems(text: str) -> list[str]:
    """Returns the words of a text without endings and hyphens, and without those that say nothing of its matter."""
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
    def _small(self) -> str:
        text = self.structure.text
        # Of the same length: a letter whose small form takes two stays as it is.
        if len(small := text.lower()) == len(text):
            return small
        return "".join(low if len(low := char.lower()) == 1 else char for char in text)

    @cached_property
    def _kinds(self) -> tuple[Mask, ...]:
        """Masks of sentences, one for each kind that states nothing."""
        # However lines are broken.
        texts = [" ".join(self.text(sentence).split()) for sentence in range(len(self))]
        # Powers stand anywhere in a sentence, the other kinds at its beginning.
        return tuple(
            np.array([bool((kind.search if kind is _RESERVES else kind.match)(text)) for text in texts], dtype=np.bool_)
            for _, kind in STATES_NOTHING
        )

    def states_nothing(self, asked: str) -> Mask:
        """Returns [sentences]: which name duties and impose none, for whoever asks for something by these words."""
        found = np.zeros(len(self), dtype=np.bool_)
        for (word, _), mask in zip(STATES_NOTHING, self._kinds, strict=True):
            if not word or word not in asked:
                found |= mask
        return found

    def matching(self, part: re.Pattern[str]) -> Mask:
        """Returns [sentences]: where a part of a pattern begins."""
        if part not in self._matching:
            mask = np.zeros(len(self), dtype=np.bool_)
            # One pass over the text for each part, which many rules share.
            for start in beginnings(part, self.structure.text, self._small):
                sentence = bisect_right(self._starts, start) - 1
                if sentence >= 0 and start < self.spans[sentence][1]:
                    mask[sentence] = True
            self._matching[part] = mask
        return self._matching[part]

    def meets(self, pattern: str) -> Span | None:
        """Returns the shortest piece of neighbouring sentences of one clause that has all parts; None for none."""
        parts = parts_of(pattern)
        wanted = [self.matching(part) for part in parts.wanted]
        barred = [self.matching(part) for part in parts.barred]
        idle = self.states_nothing(pattern)
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
            # Nor does one that states nothing join its neighbours.
            fits &= ~np.any([idle[starts + by] for by in range(width)], axis=0)
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
                if _BY_REFERENCE.search(" ".join(around.split())):
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

    def rarity(self, stem: str) -> float:
        """Returns how much a word tells in this contract; one that it does not have tells most."""
        return self._counts[1].get(stem, log(2 + 2 * len(self)))

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
        # What must not be there is looked for everywhere.
        asked = f"{rule.words} {rule.says}".lower()
        idle = np.zeros(len(self), dtype=np.bool_) if rule.bars else self.states_nothing(asked)
        # The rule's own words count twice, its sentence and its title once.
        for stem, times in Counter(
            [*stems(rule.words), *stems(rule.words), *stems(rule.says), *stems(rule.title)]
        ).items():
            for sentence in self._holding.get(stem, ()):
                if idle[sentence]:
                    continue
                count = counts[sentence]
                # The second and third time that a word stands there tell less than the first.
                within = count[stem] / (count[stem] + SATURATION * (1 - LENGTH + LENGTH * count.total() / mean))
                scores[sentence] = scores.get(sentence, 0.0) + times * rarity[stem] * within
        return tuple(sorted(scores, key=lambda sentence: (-scores[sentence], sentence))[:most])


def beginnings(part: re.Pattern[str], text: str, small: str) -> Iterator[int]:
    """Yields where matches of a pattern's part begin; `small` is the text in small letters, of the same length."""
    core = _core(part.pattern)
    if core is None:
        yield from (match.start() for match in part.finditer(text))
        return
    at = 0
    while at <= len(small) and (found := core.search(small, at)) is not None:
        begins = found.start() == 0 or not _WITHIN.match(small, found.start() - 1)
        # What begins within a word is none, and another one may begin before it ends.
        at = max(found.end(), found.start() + 1) if begins else found.start() + 1
        if begins:
            yield found.start()


@cache
def _core(pattern: str) -> re.Pattern[str] | None:
    """Returns a part without its look at the letter before, which is scanned much faster; None where case matters."""
    core = pattern.removeprefix(AT_A_WORD)
    return None if _CAPITAL.search(_ESCAPED.sub("", core)) else re.compile(core)


def in_order(text: str, parts: tuple[re.Pattern[str], ...]) -> bool:
    """Tells whether parts of a pattern are in a text one after another."""
    at = 0
    for part in parts:
        found = part.search(text, at)
        if found is None:
            return False
        at = found.end()
    return True
