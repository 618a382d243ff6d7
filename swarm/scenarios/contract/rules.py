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
from swarm.scenarios.contract.screener import Told
from swarm.scenarios.contract.verdicts import (
    BY_REFERENCE,
    CANT_TELL,
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
FOUND, FOUND_BARRED = 0.5, 0.75
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
    wanted = {stem: index.rarity(stem) for stem in stems(rule.words)}
    best, share = -1, 0.0
    for sentence in index.nearest(rule, 5):
        own = set(stems(index.text(sentence)))
        has = sum(weight for stem, weight in wanted.items() if stem in own) / max(sum(wanted.values()), 1e-9)
        if has > share:
            best, share = sentence, has
    sure = round(1_000 * min(max(abs(share - FOUND) + 0.5, 0.5), 0.9))
    if share < (FOUND_BARRED if rule.bars else FOUND):
        return Opinion(MET if rule.bars else MISSING, NOWHERE, sure)
    span = index.spans[best]
    # `Without consent` takes nothing back where nobody may in the first place.
    said = " ".join(index.text(best).split())
    refuses = bool(REFUSES.search(said)) and not re.match(r"\W*(?:neither|no)\b", said, re.IGNORECASE)
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


def by_screener(rule: Rule, index: Index, told: Told) -> Opinion:
    """Returns what a trained screener says of a rule's topic: a contradiction where a rule bars what is there."""
    sure = min(max(round(1_000 * told.sure), 1), 999)
    if not told.there:
        return Opinion(MET if rule.bars else MISSING, NOWHERE, sure)
    # Several quotations are one finding's: the longest shows most plainly what was found.
    span = max(told.spans, key=lambda one: one[1] - one[0])
    # A rule that bars something is broken by what is there, any other by what denies it.
    if rule.bars != told.against:
        return Opinion(CONTRADICTED, span, sure)
    return Opinion(BY_REFERENCE if index.elsewhere(span) else MET, NOWHERE if rule.bars else span, sure)


@dataclass(frozen=True, eq=False)
class By:
    """A reviewer whose opinion of a rule and a contract is a function of both."""

    cases: Cases
    opinion: Callable[[Cases, int], Opinion]

    def __call__(self, seed: int, seen: Observation) -> Orders:
        """Returns one order for each seat that has a case."""
        rows = np.flatnonzero(seen.private.columns[CASE] >= 0)
        opinions = [self.opinion(self.cases, case) for case in seen.private.columns[CASE][rows].tolist()]
        ones = np.ones(len(rows), dtype=np.int64)
        limit = np.array([1 + one.verdict for one in opinions], dtype=np.int64)
        quantity = np.array([packed(one) for one in opinions], dtype=np.int64)
        return Orders(seen.private.trader[rows], 0 * ones, 0 * ones, BUY * ones, limit, quantity, 0 * ones)


def all_rules(cases: Cases) -> Mapping[str, OwnRule]:
    """Returns the rules by name; that of a screener only where a run has one."""
    found = {"patterns": By(cases, _patterns), "nearest": By(cases, _nearest)}
    return found | ({"screener": By(cases, _screener)} if cases.screener[0] else {})


def _patterns(cases: Cases, case: int) -> Opinion:
    return by_patterns(cases.rule(case), cases.index_for(case))


def _nearest(cases: Cases, case: int) -> Opinion:
    return by_nearest(cases.rule(case), cases.index_for(case))


def _screener(cases: Cases, case: int) -> Opinion:
    """Returns a screener's opinion; of what it was never taught it cannot tell."""
    told = cases.told(case)
    return Opinion(CANT_TELL) if told is None else by_screener(cases.rule(case), cases.index_for(case), told)
