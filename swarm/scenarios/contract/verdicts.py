"""The verdicts of a rule, and how a reviewer by patterns comes to one; no chance and no model is in it."""

from dataclasses import dataclass

from swarm.scenarios.contract.index import Index
from swarm.scenarios.contract.quotation import Span
from swarm.scenarios.contract.rule_sets import Rule

MET, MISSING, CONTRADICTED, BY_REFERENCE, CANT_TELL = range(5)
NOT_CHECKED, NOT_APPLICABLE = -1, -2
NAMES = {
    MET: "met",
    MISSING: "missing",
    CONTRADICTED: "contradicted",
    BY_REFERENCE: "by reference",
    CANT_TELL: "can't tell",
    NOT_CHECKED: "not checked",
    NOT_APPLICABLE: "does not apply",
}
LETTERS = "ABCDE"
"""The letters of the first five, in their order."""

NOWHERE: Span = (-1, -1)


@dataclass(frozen=True, slots=True)
class Opinion:
    """A reviewer's view of a rule: its verdict, where its quotation stands, and how sure it says it is, in 1/1000.

    `quote` is what a model wrote instead of naming a sentence, which is looked up in the text.
    """

    verdict: int
    span: Span = NOWHERE
    sure_permille: int = 700
    quote: str = ""


def by_patterns(rule: Rule, index: Index) -> Opinion:
    """Returns what the patterns of a rule say of a whole contract."""
    # A contradiction is looked for first: a clause may meet a rule in one sentence and take it back in the next.
    for pattern in rule.against:
        if (span := index.contradicts(pattern)) is not None:
            return Opinion(CONTRADICTED, span, 850)
    if rule.bars:
        return Opinion(MET, NOWHERE, 800)
    # The shortest piece of text that meets it, since that is what a reader wants to see.
    found = [span for pattern in rule.met if (span := index.meets(pattern)) is not None]
    if found:
        span = min(found, key=lambda one: one[1] - one[0])
        return Opinion(BY_REFERENCE if index.elsewhere(span) else MET, span, 850)
    return Opinion(MISSING, NOWHERE, 800)
