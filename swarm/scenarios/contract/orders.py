"""Tells sentences that give orders to whoever reads a contract from those by which its parties bind themselves.

It is a rule on text, closed and the same everywhere: it knows a reader who is addressed, a verdict that is dictated,
and the marks of chat templates. What it finds is shown to no reviewer and remarked, so that a person looks at it.
"""

import re

_READER = (
    r"(?:(?:AI|automat\w+|machine|software|digital|artificial)(?:[ -]\w+)? )?"
    r"(?:reviewers?|readers?|checkers?|screeners?|assistants?|language models?|LLMs?|chatbots?|classifiers?|bots?|AIs?|"
    r"(?:AI|automated|machine) (?:systems?|tools?|models?|agents?)|whoever \w+|anyone (?:who|that) (?:reads|reviews))"
)
_VERB = (
    r"(?:mark|treat|report|answer|conclude|output|state|say|assume|flag|approve|rate|respond|reply|consider|classify|"
    r"ignore|skip|return|deem|judge|note|find|confirm|accept|regard|label|score|pass)"
)
_ADDRESSED = re.compile(
    r"^\W*(?:(?:please )?(?:note|notice|message|instructions?|reminder|hint)s? (?:to|for)|to|dear|attention)\W+"
    rf"(?:the |any |all |every )?{_READER}\b"
    rf"|^\W*(?:the )?{_READER}\s*[,:]"
    r"|\b(?:AI|automated|machine|language model|LLM)(?:[ -]\w+){0,2} (?:shall|must|should|will|(?:is|are) to)"
    rf" (?:\w+ ){{0,3}}?{_VERB}\b"
    r"|\b(?:if|as|since|because) (?:you are |you're )?an? (?:AI|automated|artificial|language model|LLM|chatbot)\b"
    r"|\byou are now\b|\bnew instructions?\b",
    re.IGNORECASE,
)
_DICTATED = re.compile(
    rf"\b{_VERB}\w*\b.{{0,60}}\b(?:every|all|each|any|this|these|the)\b.{{0,30}}"
    r"\b(?:rules?|requirements?|questions?|checks?|criteria|checklists?)\b.{0,60}\b(?:met|satisfied|fulfilled|passed|compliant|missing|yes)\b"
    r"|\b(?:do not|don't|never) (?:flag|report|mark|list|mention)\b.{0,60}\b(?:clause|rule|contract|agreement|document)"
    r"|\banswers? (?:to|for) (?:each|every|all|any) (?:rule|question)"
    r"|\b(?:evaluation|review|assessment|analysis|audit|check) of (?:this|the) (?:contract|agreement|document)"
    r" (?:has|have|is|was)\b.{0,30}\b(?:completed?|done|finished|concluded|approved|passed)\b"
    r"|\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:previous|above|earlier|prior)\b.{0,20}"
    r"\b(?:instructions?|rules?|prompts?|text)\b"
    r"|\b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:instructions?|rules? (?:you|given)|prompts?)\b"
    r"|\b(?:answer|reply|respond|output)s? (?:with |only |with only )?(?:[A-E]\d?\b|MET\b|\"?yes\b)",
    re.IGNORECASE,
)
_FORMS = re.compile(
    r"<\s*\||\[\s*/?INST(?:RUCTION)?S?\b|</?\s*s\s*>|```|<!--|\{\s*\"\w+\"\s*:"
    r"|^\W*(?:system|assistant|developer|user)\s*:",
    re.IGNORECASE,
)


def ordered(sentence: str) -> bool:
    """Tells whether a sentence speaks to the reader of a contract, and not for its parties."""
    flat = " ".join(sentence.split())
    return any(kind.search(flat) for kind in (_ADDRESSED, _DICTATED, _FORMS))
