"""Margins: how much likelier a choice was than the likeliest other, from what engines tell of their tokens.

An engine tells the likelihoods of a few tokens at each position. A choice is told from all others by its first sign, as
the letters of a menu are. What a margin is worth, this module does not know.
"""

from collections.abc import Mapping, Sequence
from math import exp

ALTERNATIVES = 10
"""How many likely tokens an engine is asked for at each position."""

Token = tuple[str, Sequence[tuple[str, float]]]
"""A token of a reply, and the likely ones at its position, itself among them, each with its log-probability."""

_AROUND = ' \n\t"{[:'
"""What may stand before a choice in the token that holds its first sign."""


def margin_of(shares: Mapping[str, float], chosen: str) -> float:
    """Returns the share of what was chosen less that of the likeliest other."""
    return shares.get(chosen, 0.0) - max((share for sign, share in shares.items() if sign != chosen), default=0.0)


def margin_in(tokens: Sequence[Token], text: str) -> float | None:
    """Returns the margin of the choice that a reply's text ends with; None where its tokens do not tell."""
    body = text.rstrip(' \n\t"}]')
    begins = 1 + max(body.rfind(sign) for sign in _AROUND)
    chosen = body[begins : begins + 1]
    end = 0
    for token, likely in tokens:
        end += len(token)
        if end <= begins:
            continue
        if not chosen or token.lstrip(_AROUND)[:1] != chosen:
            return None
        # Tokens that begin with the same sign stand for the same choice.
        shares: dict[str, float] = {}
        for other, log_likelihood in likely:
            if sign := other.lstrip(_AROUND)[:1]:
                shares[sign] = shares.get(sign, 0.0) + exp(min(log_likelihood, 0.0))
        return margin_of(shares, chosen) if chosen in shares else None
    return None
