"""Makes cases to school a reviewer on, of the user's own labelled contracts: a rule of ours, lines, and what they say.

A rule's topic says which label answers it. Lines are those that a desk would show, where these settle the matter, and
the labelled ones among others drawn by lot. Test documents are not opened.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swarm.scenarios.contract.cases import shown_of
from swarm.scenarios.contract.clauses import Structure
from swarm.scenarios.contract.config import ContractConfig
from swarm.scenarios.contract.form import asked
from swarm.scenarios.contract.index import Index
from swarm.scenarios.contract.quotation import Span
from swarm.scenarios.contract.rule_sets import Rule, ours
from swarm.scenarios.contract.stances import NOTHING, THERE
from swarm.training import labelled_contracts as labelled
from swarm.training.labelled_contracts import verdict_of

SHOWN, CHARACTERS = ContractConfig().candidates, ContractConfig().candidate_characters
"""So many lines does a desk show, of so many characters together."""

EMPTY_SHARE = 0.5
"""How often a case without any labelled line is made of lines by lot, beside that of the nearest."""


@dataclass(frozen=True, slots=True)
class Case:
    """A prompt's own text, the verdict that its lines come to, and the line that shows it, -1 for none."""

    document: int
    text: str
    verdict: int
    line: int


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A text, and by topic its label and the spans that show it."""

    text: str
    labels: dict[str, tuple[int, tuple[Span, ...]]]


def cases_of(data: Path, contracts: int, seed: int) -> list[Case]:
    """Returns cases of what a folder has: of CUAD so many contracts, of the others all that may be learned from."""
    random = np.random.default_rng(seed)
    rules = [rule for one in ours().values() for rule in one.rules if rule.topic]
    # A rule that two sets have is one.
    rules = list({(rule.topic, rule.says): rule for rule in rules}.values())
    found: list[Case] = []
    for number, document in enumerate(_documents(data, contracts, random)):
        index = Index(Structure(document.text))
        for rule in (own for own in rules if own.topic in document.labels):
            label, spans = document.labels[rule.topic]
            found += _cases(number, index, rule, label, spans, random)
    return found


def _documents(data: Path, contracts: int, random: np.random.Generator) -> Iterator[_Labelled]:
    had = labelled.had(data)
    if labelled.CUAD in had:
        known, _ = labelled.cuad(data)
        topics = sorted({topic for one in known for topic in one.labels})
        for number in random.permutation(len(known))[:contracts].tolist():
            one = known[number]
            # A category whose spans were not found says nothing of any line.
            labels = {t: (THERE if t in one.labels else NOTHING, tuple(one.labels.get(t, ()))) for t in topics}
            yield _Labelled(one.text, {t: own for t, own in labels.items() if own[0] == NOTHING or own[1]})
    if labelled.NLI in had:
        for agreement in labelled.nli(data)[0]:
            text, spans = _joined(agreement.sentences)
            yield _Labelled(
                text,
                {t: (label, tuple(spans[at] for at in agreement.evidence[t])) for t, label in agreement.labels.items()},
            )
    if labelled.UNFAIR in had:
        for terms in labelled.unfair(data):
            text, spans = _joined(terms.sentences)
            unfair = {
                name: tuple(span for span, own in zip(spans, terms.unfair, strict=True) if name in own)
                for name in labelled.UNFAIR_CLASSES
            }
            yield _Labelled(text, {f"unfair-{n}": (THERE if own else NOTHING, own) for n, own in unfair.items()})


def _joined(sentences: Sequence[str]) -> tuple[str, list[Span]]:
    """Returns sentences as one text, a paragraph each, and where each stands."""
    spans, at = [], 0
    for sentence in sentences:
        spans.append((at, at + len(sentence)))
        at += len(sentence) + 2
    return "\n\n".join(sentences), spans


def _cases(
    number: int, index: Index, rule: Rule, label: int, spans: Sequence[Span], random: np.random.Generator
) -> Iterator[Case]:
    """Yields the cases of a rule: by the nearest lines, by labelled ones among others, and by others alone."""
    shows = [n for n, own in enumerate(index.spans) if any(min(own[1], e) - max(own[0], s) > 10 for s, e in spans)]
    nothing = verdict_of(NOTHING, rule.bars)
    nearest = shown_of(index, index.nearest(rule, SHOWN), CHARACTERS)
    # What a desk shows settles the matter where a labelled line is among it, or there is none in the text.
    starts = {index.spans[one][0] for one in shows}
    line = next((at for at, (start, _) in enumerate(nearest) if start in starts), -1)
    if nearest and (line >= 0 or label == NOTHING):
        yield _case(number, index, rule, nearest, verdict_of(label, rule.bars), line)
    others = [n for n in range(len(index)) if n not in shows]
    if len(others) < SHOWN:
        return
    for sentence in shows[:2]:
        lines = shown_of(index, [sentence, *random.choice(others, SHOWN - 1, replace=False).tolist()], CHARACTERS)
        order = random.permutation(len(lines)).tolist()
        mixed = [lines[at] for at in order]
        yield _case(number, index, rule, mixed, verdict_of(label, rule.bars), order.index(0))
    if label != NOTHING and random.random() < EMPTY_SHARE:
        lines = shown_of(index, random.choice(others, SHOWN, replace=False).tolist(), CHARACTERS)
        yield _case(number, index, rule, lines, nothing, -1)


def _case(number: int, index: Index, rule: Rule, lines: Sequence[Span], verdict: int, line: int) -> Case:
    return Case(number, asked(rule, [index.structure.text[start:end] for start, end in lines]), verdict, line)
