"""Suspicion: whether a line that a trader heard tries to give orders to whoever reads it.

It is a rule on text, closed and the same everywhere. It catches what is written plainly and nothing else: a line that
passes is not therefore harmless, and nothing is taken away from anybody for one that does not.
"""

import re
from collections.abc import Iterable

_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,40}\b(?:previous|above|earlier|prior|rules?|instructions?|menu)\b"
    r"|\b(?:system|assistant|developer|user)\s*:"
    r"|\b(?:you must|you are now|new instructions?|instead of the rules|answer (?:with|only)|reply (?:with|only))\b"
    r"|\banswer\s+[A-P]{2}\b",
    re.IGNORECASE,
)
"""Words that speak to a model, and not to a trader."""

_FORMS = re.compile(r"<\s*\||\[\s*INST\b|</?\s*s\s*>|\{\s*\"|```")
"""Marks of chat templates, broken or whole, and the beginnings of machine-readable answers."""


def suspected(lines: Iterable[str]) -> bool:
    """Returns whether any of these lines reads like an instruction to a model."""
    return any(_FORMS.search(line) or _ORDERS.search(line) for line in lines)
