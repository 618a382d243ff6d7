"""Decides which messages of its contacts each trader hears, and says why it does not hear the others.

Messages travel over the contact graph, one round later. Without a config a router delivers all of them. With one it
drops what says nothing new, ranks the rest, and delivers in that order what fits the receiver's budget of tokens.
Everything it knows follows from messages, prices and holdings, in whole numbers, so a replay comes to the same. It
knows no prompt, no model and no market.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from swarm.coordination.config import RouterConfig
from swarm.coordination.messages import GOSSIP, NO_GOOD, OFFER, TIP, Messages, shingles
from swarm.coordination.rows import by_receiver, first_of_each, unique
from swarm.coordination.suspicion import suspected
from swarm.coordination.worm_classifier import asks
from swarm.llm.tokens import count_tokens
from swarm.market.orders import BUY, Int64
from swarm.seeding import Uint64, draw

PERMILLE = 1_000

PRIOR_PERMILLE = 500
"""How reliable somebody is taken to be of whom no tip has been held against the prices yet."""

MEMORY_DIVISOR = 8
"""One part in this many of a sender's reliability is what its last tip came to."""

LEAST_PERMILLE, MOST_PERMILLE = 50, 950
"""Nobody is past hearing, and nobody beyond doubt."""

LINE_TOKENS = 2
"""What a line takes in a prompt beside its own text: a line break and a dash."""

_TRADES, _HOLDS, _GENERAL = PERMILLE, 500, 250
"""Relevance of a message on a good that the receiver has to buy or sell or makes, on one that it merely has, and of
one on no good."""


class PruneReason(StrEnum):
    """The reasons why a message is not delivered to one who hears its sender; each is counted."""

    NO_READER = "no_reader"
    """The receiver decides by a rule that reads no text."""

    QUARANTINED = "quarantined"
    """It reads like an instruction to a model, or, where a classifier is asked, to whoever hears it."""

    ECHO = "echo"
    """Its sender has said nothing but what it had just read."""

    STALE = "stale"
    """The receiver has heard all that it says in the last rounds."""

    IRRELEVANT = "irrelevant"
    """The ranker gave it no worth for the receiver."""

    DUPLICATE = "duplicate"
    """Another contact says the same in this round, and ranks before it."""

    OVER_BUDGET = "over_budget"
    """It did not fit what was left of the receiver's tokens."""

    ASLEEP = "asleep"
    """The receiver was not asked in this round, and messages are not kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Holdings:
    """The holdings and wants of receivers: `need`, `spare` and `have` are [traders, goods] in lots.

    `makes` is a good, or -1.
    """

    makes: Int64
    need: Int64
    spare: Int64
    have: Int64


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Messages that may be delivered, one row per message and receiver.

    `message` is the row in `messages`. The three columns in 1/1000 are what is known of the sender, of the receiver's
    interest in the message, and of the share of it that the receiver has not heard.
    """

    messages: Messages
    message: Int64
    receiver: Int64
    reliability_permille: Int64
    relevance_permille: Int64
    novelty_permille: Int64


class Ranker(Protocol):
    """A ranker that values candidates in 1/1000; the dearest are delivered first, and one of 0 is not delivered.

    Equal worths are ordered by the seed's draw. A trained model, or one of embeddings, is a ranker, too, as long as it
    is a function of the candidates alone.
    """

    def __call__(self, candidates: Candidates) -> Int64:
        """Returns one number from 0 to 1000 per candidate."""
        ...


def weighted(candidates: Candidates) -> Int64:
    """Returns reliability times relevance times novelty."""
    product = candidates.reliability_permille * candidates.relevance_permille * candidates.novelty_permille
    # Rounded up, so that only what is worth nothing in one respect is worth nothing.
    worth: Int64 = -(-product // PERMILLE**2)
    return worth


def random(candidates: Candidates) -> Int64:
    """Returns the same worth for all, so that the draw alone decides."""
    return np.full(len(candidates.message), PERMILLE)


RANKERS: Mapping[str, Ranker] = {"weighted": weighted, "random": random}


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """The messages of a round as they are laid before traders: by receiver, the texts, the best first.

    `said` counts messages, `addressed` each of them once for everybody who hears its sender; of these, those that
    were not delivered are in `pruned`. `receiver`, `sender` and `tokens` have one entry per delivered message, in
    the order of `heard`.
    """

    heard: tuple[tuple[str, ...], ...]
    said: int
    addressed: int
    receiver: Int64
    tokens: Int64
    pruned: Mapping[PruneReason, int]
    sender: Int64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def together(cls, parts: "Sequence[Delivery]", number_of: Sequence[Int64], traders: int) -> "Delivery":
        """Returns several markets' deliveries as one; `number_of` has, by part, the receivers' numbers of `traders`."""
        heard: list[tuple[str, ...]] = [()] * traders
        pruned = Counter[PruneReason]()
        for part, numbers in zip(parts, number_of, strict=True):
            pruned.update(part.pruned)
            for number, lines in zip(numbers.tolist(), part.heard, strict=True):
                heard[number] += lines
        return cls(
            heard=tuple(heard),
            said=sum(part.said for part in parts),
            addressed=sum(part.addressed for part in parts),
            receiver=np.concatenate([n[part.receiver] for part, n in zip(parts, number_of, strict=True)]),
            tokens=np.concatenate([part.tokens for part in parts]),
            pruned=pruned,
            sender=np.concatenate([n[part.sender] for part, n in zip(parts, number_of, strict=True)]),
        )

    @property
    def delivered(self) -> int:
        """Returns how many were delivered."""
        return len(self.receiver)


class Router:
    """The router of one run's messages; `graph` is [traders, degree], `reads` tells who reads what it hears.

    `route` and then `read` are called once a round each.
    """

    def __init__(
        self,
        seed: int,
        graph: Int64,
        reads: npt.NDArray[np.bool_],
        config: RouterConfig | None,
        ranker: Ranker | None = None,
    ) -> None:
        self.seed = seed
        self.graph = graph
        self.reads = reads
        self.config = config
        self.ranker = ranker or RANKERS[config.ranker if config else "weighted"]
        self.reliability_permille: Int64 = np.full(len(graph), PRIOR_PERMILLE)
        self._tips = Messages.none(0)
        self._shown: Int64 | None = None
        self._read: deque[Uint64] = deque(maxlen=config.novelty_rounds if config else 0)
        self._unread: Uint64 = np.empty(0, dtype=np.uint64)
        # A trader's number above, the hash of what it read below: so its own lie together in a sorted array.
        self._hash_bits = np.uint64(64 - max(1, (len(graph) - 1).bit_length()))

    def succeed(self, earlier: "Router") -> None:
        """Goes on with what another router of the same traders has learned."""
        self.reliability_permille = earlier.reliability_permille
        self._tips, self._shown = earlier._tips, earlier._shown
        self._read.extend(earlier._read)

    def route(
        self, messages: Messages, reference_ticks: Int64, holdings: Holdings, there: npt.NDArray[np.bool_] | None = None
    ) -> Delivery:
        """Delivers `messages` to those who hear their senders, at the present reference prices.

        Nothing is addressed to traders who are not `there`, by number; None: all are.
        """
        if self.config is not None:
            self._judge(reference_ticks)
            self._tips, self._shown = messages, reference_ticks
        # Two columns, a row per candidate: the message's row and the trader who might hear it.
        message, receiver = self._addressed(messages)
        if there is not None:
            reached = there[receiver]
            message, receiver = message[reached], receiver[reached]
        addressed = len(message)
        pruned: Counter[PruneReason] = Counter()
        kept = self.reads[receiver]
        pruned[PruneReason.NO_READER] = addressed - int(kept.sum())
        message, receiver = message[kept], receiver[kept]
        # Many say the same line, so each text is counted once.
        texts, text_of = unique(messages.text)
        if self.config is not None and self.config.quarantine:
            learned = self.config.quarantine == "classifier"
            barred = np.array([suspected([t]) or (learned and asks(t)) for t in texts], dtype=np.bool_)[
                text_of[message]
            ]
            pruned[PruneReason.QUARANTINED] = int(barred.sum())
            message, receiver = message[~barred], receiver[~barred]
        tokens = np.array([count_tokens(text) + LINE_TOKENS for text in texts], dtype=np.int64)[text_of]
        if self.config is not None and not self.config.echoes and len(message):
            echo = self._echoes(messages)[message]
            pruned[PruneReason.ECHO] = int(echo.sum())
            message, receiver = message[~echo], receiver[~echo]
        if self.config is not None and len(message):
            message, receiver = self._selected(messages, message, receiver, text_of, tokens, holdings, pruned)
        return Delivery(
            heard=by_receiver(messages.text, message, receiver, len(self.graph)),
            said=len(messages),
            addressed=addressed,
            receiver=receiver,
            tokens=tokens[message],
            pruned={reason: n for reason in PruneReason if (n := pruned[reason])},
            sender=messages.sender[message],
        )

    def read(self, delivery: Delivery, asked: npt.NDArray[np.bool_] | None) -> Delivery:
        """Returns the delivery to those who are `asked` in this round, all if None; the others never read it."""
        keys, self._unread = self._unread, np.empty(0, dtype=np.uint64)
        # Who sleeps has not read it, so that what it says is still new to it next time.
        if asked is not None:
            keys = keys[asked[(keys >> self._hash_bits).astype(np.int64)]]
            reads = asked[delivery.receiver]
            if missed := len(reads) - int(reads.sum()):
                pruned = {**delivery.pruned, PruneReason.ASLEEP: missed}
                delivery = replace(
                    delivery,
                    receiver=delivery.receiver[reads],
                    tokens=delivery.tokens[reads],
                    pruned=pruned,
                    sender=delivery.sender[reads],
                )
        self._read.append(keys)
        return delivery

    def _judge(self, reference_ticks: Int64) -> None:
        """Holds the last tips against what the prices have done since; one that did not move counts against a tip."""
        if self._shown is None:
            return
        tips = self._tips
        rows = tips.kind == TIP
        sender, moved = tips.sender[rows], np.sign(reference_ticks - self._shown)[tips.good[rows]]
        came_to = np.where(moved == tips.side[rows], PERMILLE, 0)
        learned = self.reliability_permille.copy()
        # Nobody gives more than one tip a round, so each sender stands here once.
        learned[sender] += (came_to - learned[sender]) // MEMORY_DIVISOR
        self.reliability_permille = np.clip(learned, LEAST_PERMILLE, MOST_PERMILLE)

    def _addressed(self, messages: Messages) -> tuple[Int64, Int64]:
        """Returns message and receiver of each candidate, by receiver and in the order of its contacts."""
        # [traders, most]: the rows of each sender's messages, -1 where it has fewer; the graph then picks its rows.
        nth = np.arange(len(messages)) - np.searchsorted(messages.sender, messages.sender)
        most = int(nth.max(initial=-1)) + 1
        of_sender = np.full((len(self.graph), most), -1, dtype=np.int64)
        of_sender[messages.sender, nth] = np.arange(len(messages))
        offered = of_sender[self.graph].reshape(len(self.graph), -1)
        receiver, column = np.nonzero(offered >= 0)
        return offered[receiver, column], receiver

    def _selected(
        self,
        messages: Messages,
        message: Int64,
        receiver: Int64,
        text_of: Int64,
        tokens: Int64,
        holdings: Holdings,
        pruned: Counter[PruneReason],
    ) -> tuple[Int64, Int64]:
        """Returns what is delivered, by receiver and the best first; it is kept in mind until it is read."""
        # Novelty is the share of a message's hashes that its receiver has not read in the rounds it remembers.
        keys, row = self._keys(messages, message, receiver)
        new = self._unheard(keys)
        novelty = PERMILLE * np.bincount(row, weights=new).astype(np.int64) // np.bincount(row)
        candidates = Candidates(
            messages=messages,
            message=message,
            receiver=receiver,
            reliability_permille=self.reliability_permille[messages.sender[message]],
            relevance_permille=_relevance(messages, message, receiver, holdings),
            novelty_permille=novelty,
        )
        worth = self.ranker(candidates)
        if worth.shape != message.shape:
            raise ValueError(f"a ranker gave {worth.shape} worths for {len(message)} messages")
        # What is dropped is counted by the first reason that holds, so that the reasons add up.
        fresh = novelty > 0
        worthy = fresh & (worth > 0)
        pruned[PruneReason.STALE] = int((~fresh).sum())
        pruned[PruneReason.IRRELEVANT] = int((fresh & ~worthy).sum())
        # By receiver, the worthiest first; equals by a draw that depends on who says what to whom, not on the batch.
        drawn = draw(self.seed, "router", messages.round, receiver, messages.sender[message], messages.kind[message])
        ranked = np.lexsort((drawn, -worth, receiver))
        ranked = ranked[worthy[ranked]]
        # Of several contacts who say the same text, only the best is heard.
        first = first_of_each(receiver[ranked] * len(text_of) + text_of[message[ranked]])
        pruned[PruneReason.DUPLICATE] = len(ranked) - len(first)
        ranked = ranked[first]
        fits = self._fits(receiver[ranked], tokens[message[ranked]])
        pruned[PruneReason.OVER_BUDGET] = int((~fits).sum())
        chosen = ranked[fits]
        # What is delivered counts as read once its receiver has been asked.
        is_chosen = np.zeros(len(message), dtype=bool)
        is_chosen[chosen] = True
        self._unread = np.sort(keys[is_chosen[row]])
        return message[chosen], receiver[chosen]

    def _unheard(self, keys: Uint64) -> npt.NDArray[np.bool_]:
        """Returns which of these hashes their trader has not read in the rounds that it remembers."""
        new = np.ones(len(keys), dtype=np.bool_)
        for read in self._read:
            at = np.minimum(np.searchsorted(read, keys), max(len(read) - 1, 0))
            new &= (read[at] != keys) if len(read) else True
        return new

    def _echoes(self, messages: Messages) -> npt.NDArray[np.bool_]:
        """Returns which messages are gossip whose sender has read all that they say."""
        rows = np.arange(len(messages))
        keys, row = self._keys(messages, rows, messages.sender)
        unheard = np.bincount(row, weights=self._unheard(keys), minlength=len(messages))
        echo: npt.NDArray[np.bool_] = (unheard == 0) & (messages.kind == GOSSIP)
        return echo

    def _keys(self, messages: Messages, message: Int64, receiver: Int64) -> tuple[Uint64, Int64]:
        """Returns what the candidates say, as receiver and hash in one number each, and the candidate that says it."""
        # Ragged lists laid flat: `row` is the candidate of each hash, `within` the hash's index in its message.
        said = [shingles(text) for text in messages.text]
        sizes = np.array([len(hashes) for hashes in said], dtype=np.int64)
        flat = np.array([h for hashes in said for h in hashes], dtype=np.uint64)
        starts = np.cumsum(sizes) - sizes
        row = np.repeat(np.arange(len(message)), sizes[message])
        within = np.arange(len(row)) - np.repeat(np.cumsum(sizes[message]) - sizes[message], sizes[message])
        hashes = flat[starts[message][row] + within] >> (np.uint64(64) - self._hash_bits)
        return (receiver[row].astype(np.uint64) << self._hash_bits) | hashes, row

    def _fits(self, receiver: Int64, tokens: Int64) -> npt.NDArray[np.bool_]:
        """Returns which messages fit, in each receiver's order; one that does not fit leaves its tokens to the next."""
        limit = self.config.message_tokens if self.config else None
        fits = np.ones(len(receiver), dtype=bool)
        if limit is None:
            return fits
        # Everybody's first message at once, then every second one: there are few ranks and many receivers.
        rank = np.arange(len(receiver)) - np.searchsorted(receiver, receiver)
        spent = np.zeros(len(self.graph), dtype=np.int64)
        for n in range(int(rank.max(initial=-1)) + 1):
            rows = np.flatnonzero(rank == n)
            fits[rows] = spent[receiver[rows]] + tokens[rows] <= limit
            taken = rows[fits[rows]]
            spent[receiver[taken]] += tokens[taken]
        return fits


def _relevance(messages: Messages, message: Int64, receiver: Int64, holdings: Holdings) -> Int64:
    """Returns how much a message's matter concerns what its receiver has, wants and makes, in 1/1000."""
    # [candidates]: a good that a message does not name is taken as the first here, and left out in the end.
    good, kind, side = (column[message] for column in (messages.good, messages.kind, messages.side))
    about = np.maximum(good, 0)
    needs, spares, has = (lots[receiver, about] > 0 for lots in (holdings.need, holdings.spare, holdings.have))
    makes = holdings.makes[receiver] == good
    of_words = np.where(needs | spares | makes, _TRADES, np.where(has, _HOLDS, 0))
    # Who bids is met by those who can sell, and who asks by those who need.
    of_offers = np.where(side == BUY, np.where(spares, _TRADES, np.where(has, _HOLDS, 0)), np.where(needs, _TRADES, 0))
    relevance: Int64 = np.where(good == NO_GOOD, _GENERAL, np.where(kind == OFFER, of_offers, of_words))
    return relevance
