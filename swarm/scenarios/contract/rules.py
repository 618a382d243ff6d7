"""The rules of reviewers that ask no model: by patterns, and by the nearest sentence.

A rule's order carries its opinion: the verdict from 1 on as its limit, and span and sureness packed as its quantity.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from swarm.agents.observation import Observation
from swarm.agents.plan import OwnRule
from swarm.market.orders import BUY, Orders
from swarm.scenarios.contract.cases import Cases
from swarm.scenarios.contract.index import Index, stems
from swarm.scenarios.contract.rule_sets import Rule
from swarm.scenarios.contract.verdicts import (
    BY_REFERENCE,
    CONTRADICTED,
    MET,
    MISSING,
    NOWHERE,
    Opinion,
    by_patterns,
)

CASE = "case"
"""The column with the number of each seat's case, -1 for none."""

BITS, SURE_BITS = 22, 10
FOUND, FOUND_BARRED = 0.6, 0.75
"""The share of a rule's words that a sentence must have to be about it."""

REFUSES = re.compile(
    r"\bno (?:obligation|duty|right|compensation|liability)\b|\bneed not\b"
    r"|\bnot (?:be )?(?:obliged|required|entitled|liable|responsible)\b"
    r"|\bwithout (?:the |any )?(?:\w+'s )?(?:notice|consent|cause)\b|\bunlimited\b|\bany reason\b|\bwhether or not\b"
    r"|\banywhere\b|\bsole discretion\b",
    re.IGNORECASE,
)
"""Words by which a clause takes back what a rule asks for."""


def by_nearest(rule: Rule, index: Index) -> Opinion:
    """Returns what the sentence that has most of a rule's words says of it."""
    # Of the five nearest the one that has most of the rule's own words.
    wanted = set(stems(rule.words))
    best, share = -1, 0.0
    for sentence in index.nearest(rule, 5):
        has = len(wanted & set(stems(index.text(sentence)))) / max(len(wanted), 1)
        if has > share:
            best, share = sentence, has
    sure = round(1_000 * min(max(abs(share - FOUND) + 0.5, 0.5), 0.9))
    if share < (FOUND_BARRED if rule.bars else FOUND):
        return Opinion(MET if rule.bars else MISSING, NOWHERE, sure)
    span = index.spans[best]
    # `Without consent` takes nothing back where nobody may in the first place.
    refuses = bool(REFUSES.search(index.text(best))) and not re.match(
        r"\W*(?:neither|no)\b", index.text(best), re.IGNORECASE
    )
    if rule.bars or refuses:
        return Opinion(CONTRADICTED, span, sure)
    return Opinion(BY_REFERENCE if index.elsewhere(span) else MET, span, sure)


def packed(opinion: Opinion) -> int:
    """Returns a span and how sure an opinion is as one number above 0."""
    start, end = opinion.span
    return ((start + 1) << (BITS + SURE_BITS)) | ((end + 1) << SURE_BITS) | max(opinion.sure_permille, 1)


def unpacked(verdict: int, number: int) -> Opinion:
    """Returns the opinion that an order carries."""
    start = (number >> (BITS + SURE_BITS)) - 1
    end = ((number >> SURE_BITS) & ((1 << BITS) - 1)) - 1
    return Opinion(verdict, (start, end), number & ((1 << SURE_BITS) - 1))


@dataclass(frozen=True, eq=False)
class By:
    """A reviewer whose opinion of a rule and a contract is a function of both."""

    cases: Cases
    opinion: Callable[[Rule, Index], Opinion]

    def __call__(self, seed: int, seen: Observation) -> Orders:
        """Returns one order for each seat that has a case."""
        rows = np.flatnonzero(seen.private.columns[CASE] >= 0)
        opinions = [
            self.opinion(self.cases.rule(case), self.cases.index_for(case))
            for case in seen.private.columns[CASE][rows].tolist()
        ]
        ones = np.ones(len(rows), dtype=np.int64)
        limit = np.array([1 + one.verdict for one in opinions], dtype=np.int64)
        quantity = np.array([packed(one) for one in opinions], dtype=np.int64)
        return Orders(seen.private.trader[rows], 0 * ones, 0 * ones, BUY * ones, limit, quantity, 0 * ones)


def all_rules(cases: Cases) -> Mapping[str, OwnRule]:
    """Returns the rules by name."""
    return {"patterns": By(cases, by_patterns), "nearest": By(cases, by_nearest)}
