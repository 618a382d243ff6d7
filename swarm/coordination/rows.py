"""Rows of messages: each text once, the first of equals, and lines by who hears them. It knows no router."""

import numpy as np

from swarm.market.orders import Int64


def unique(texts: tuple[str, ...]) -> tuple[list[str], Int64]:
    """Returns each text once, and for each of `texts` its index among these."""
    number = {text: n for n, text in enumerate(dict.fromkeys(texts))}
    return list(number), np.array([number[text] for text in texts], dtype=np.int64)


def first_of_each(values: Int64) -> Int64:
    """Returns the indices of the first of each value, in their order."""
    return np.sort(np.unique(values, return_index=True)[1])


def by_receiver(texts: tuple[str, ...], message: Int64, receiver: Int64, traders: int) -> tuple[tuple[str, ...], ...]:
    """Returns for each trader the texts of the messages that are delivered to it, whose receivers are in order."""
    heard: list[tuple[str, ...]] = [()] * traders
    said = [texts[m] for m in message.tolist()]
    who, lines = np.unique(receiver, return_counts=True)
    for trader, end, n in zip(who.tolist(), np.cumsum(lines).tolist(), lines.tolist(), strict=True):
        heard[trader] = tuple(said[end - n : end])
    return tuple(heard)
