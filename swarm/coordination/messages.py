"""Keeps what traders let their contacts know in a round, as columns, and reads a line of words as a message.

A line that names one good and one direction of its price is a tip, and can come true; any other line is gossip. An
offer is made here of what a trader's orders left unfilled. This module knows neither who hears whom nor any prompt.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np

from swarm.market.events import OrdersTaken, Trades
from swarm.market.orders import BUY, LIMIT, SELL, Int64, Orders

GOSSIP, TIP, OFFER = 0, 1, 2
NO_GOOD = -1
UP, DOWN = 1, -1

_WORD = re.compile(r"[^\W_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W_]+)*")
_UP = re.compile(r"(?:rise[sn]?|rising|up|climb(?:s|ing)?|soar(?:s|ing)?|dearer|short|scarce)")
_DOWN = re.compile(r"(?:falls?|fallen|falling|down|drop(?:s|ping)?|sink(?:s|ing)?|cheaper|plenty)")
_DENIAL = re.compile(r"(?:no|not|never|nor|neither|nothing|without|cannot|.*n't|[cdw](?:an|on)t)")
_KEPT_LINES = 65_536
"""Lines whose reading is remembered, since most of them are said by many."""


@dataclass(frozen=True, slots=True, eq=False)
class Messages:
    """The messages of `round`, one row per message, in ascending order of `sender` and then `kind`.

    `good` is the one good that a message is about, or NO_GOOD. `side` is, for a tip, UP or DOWN, and for an offer, BUY
    or SELL, which are the same numbers; 0 for gossip.
    """

    round: int
    sender: Int64
    kind: Int64
    good: Int64
    side: Int64
    text: tuple[str, ...]

    def __post_init__(self) -> None:
        if len({len(getattr(self, f.name)) for f in fields(self) if f.name != "round"}) > 1:
            raise ValueError("the columns of messages differ in length")

    def __len__(self) -> int:
        return len(self.text)

    @classmethod
    def together(cls, parts: "Sequence[Messages]", number_of: Sequence[Int64]) -> "Messages":
        """Returns several markets' messages as one; `number_of` has, by part, the senders' numbers in it."""
        sender = np.concatenate([n[part.sender] for part, n in zip(parts, number_of, strict=True)])
        good, side, kind = (np.concatenate([getattr(p, name) for p in parts]) for name in ("good", "side", "kind"))
        order = np.lexsort((kind, sender))
        texts = [text for part in parts for text in part.text]
        text = tuple(texts[i] for i in order.tolist())
        return cls(parts[0].round, sender[order], kind[order], good[order], side[order], text)

    @classmethod
    def none(cls, round_: int) -> "Messages":
        """Returns a round in which nobody said anything."""
        nothing = np.empty(0, dtype=np.int64)
        return cls(round_, nothing, nothing, nothing, nothing, ())


def sent(round_: int, speaker: Int64, lines: Sequence[str], goods: tuple[str, ...], offers: Orders) -> Messages:
    """Returns the round's messages: each speaker's line, unless it is silent, and what `offers` would still do."""
    rows: list[tuple[int, int, int, int, str]] = []
    for trader, line in zip(speaker.tolist(), lines, strict=True):
        if line:
            good, side = subject(line, goods)
            rows.append((trader, TIP if side else GOSSIP, good, side, line))
    columns = (offers.trader, offers.good, offers.side, offers.limit_ticks, offers.quantity_lots)
    for trader, good, side, limit, lots in zip(*(c.tolist() for c in columns), strict=True):
        text = f"{'wants' if side == BUY else 'sells'} {lots} {goods[good]} at {limit}"
        rows.append((trader, OFFER, good, side, text))
    if not rows:
        return Messages.none(round_)
    # By sender and kind, so that the order does not depend on who spoke first.
    rows.sort(key=lambda row: row[:2])
    senders, kinds, named, sides, texts = zip(*rows, strict=True)
    sender, kind, about, direction = (np.array(column, dtype=np.int64) for column in (senders, kinds, named, sides))
    return Messages(round_, sender, kind, about, direction, texts)


def left_over(orders: Orders, taken: OrdersTaken, trades: Trades) -> Orders:
    """Returns what each trader would still deal in after a clearing: the side of a good with most lots left.

    Limits are the least generous of the trader's orders there, since the others are filled before it.
    """
    # Trader and sequence in one number, so that one look-up finds what the exchange refused.
    span = 1 + max(int(orders.sequence.max(initial=0)), int(taken.rejected_sequence.max(initial=0)))
    refused = np.isin(orders.trader * span + orders.sequence, taken.rejected_trader * span + taken.rejected_sequence)
    live = orders.take((orders.kind == LIMIT) & ~refused)
    if not len(live):
        return live
    # [keys] lots: one key per trader, good and side, less what was traded under it.
    goods = int(live.good.max()) + 1
    key, row = np.unique((live.trader * goods + live.good) * 2 + (live.side == SELL), return_inverse=True)
    lots = np.zeros(len(key), dtype=np.int64)
    np.add.at(lots, row, live.quantity_lots)
    for trader, sells in ((trades.buyer, 0), (trades.seller, 1)):
        known = trades.good < goods
        dealt = (trader[known] * goods + trades.good[known]) * 2 + sells
        at = np.minimum(np.searchsorted(key, dealt), len(key) - 1)
        # What a margin desk forced upon a trader has no order here.
        own = key[at] == dealt
        np.subtract.at(lots, at[own], trades.quantity_lots[known][own])
    # A bid's least generous limit is its lowest, an ask's its highest.
    limit = np.full(len(key), np.iinfo(np.int64).max)
    np.minimum.at(limit, row, live.side * live.limit_ticks)
    # One offer per trader: the key with most lots, of equals the first.
    trader, side = key // 2 // goods, np.where(key % 2, SELL, BUY)
    most_first = np.lexsort((key, -lots, trader))
    first = most_first[np.unique(trader[most_first], return_index=True)[1]]
    first = first[lots[first] > 0]
    nothing = np.zeros(len(first), dtype=np.int64)
    return Orders(
        trader[first], nothing, key[first] // 2 % goods, side[first], side[first] * limit[first], lots[first], nothing
    )


@lru_cache(maxsize=_KEPT_LINES)
def subject(line: str, goods: tuple[str, ...]) -> tuple[int, int]:
    """Returns the one good that a line names, or NO_GOOD, and the one direction that it foretells for it, or 0.

    Who names two goods or two directions, or denies one, foretells nothing that could be held against it.
    """
    lowered = line.lower()
    named = {name.lower() for name in goods}
    found = {n for n in named if re.search(rf"(?<!\w){re.escape(n)}(?!\w)", lowered)}
    if len(found) != 1:
        return NO_GOOD, 0
    good = next(g for g, name in enumerate(goods) if name.lower() in found)
    # The good's own words are left out, or a good called Up would always rise.
    words = {w.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'") for w in _WORD.findall(lowered)} - found
    denied, up, down = (any(map(words_of.fullmatch, words)) for words_of in (_DENIAL, _UP, _DOWN))
    return good, 0 if denied or up == down else UP if up else DOWN


@lru_cache(maxsize=_KEPT_LINES)
def shingles(line: str) -> tuple[int, ...]:
    """Returns 64-bit hashes of a line's pairs of neighbouring words, each once, in ascending order.

    A line of a single word, or none, has one hash, its own. What two texts share of
    them tells how alike they are: Broder 1997, "On the resemblance and containment of documents".
    """
    words = _WORD.findall(line.lower())
    pairs = {" ".join(pair) for pair in pairwise(words)} or {words[0] if words else line}
    hashes = (blake2b(pair.encode("utf-8", "surrogatepass"), digest_size=8).digest() for pair in pairs)
    return tuple(sorted(int.from_bytes(digest, "little") for digest in hashes))
