"""Strategy auctions: tiers of models bid for a trader's work of the next rounds, and the winner's model does it.

In the first round of a term the mind `auction` has all tiers bid, and decides by the winner's bid; in the others the
winner's model decides alone. Whom it assigns, and all that it learns, follows from recorded turns, so that a replay
comes to the same. Bids, jury and work are all paid by the trader that they were for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from swarm.coordination.assignment import OWN, Chosen, Int64
from swarm.coordination.auction_memory import CAPACITY, NEAREST, AuctionMemory, Remembered, pairs
from swarm.coordination.bids import MOST_TIERS, UNKNOWN, Award, Brief, Float64, Terms, parts, read_turn
from swarm.coordination.staffing import Charges, Due, Paced, Setup, Spent, StaffingPlugin, TurnCosts
from swarm.coordination.strategy_auction import fit_min_max, scaled
from swarm.schema import StrictModel

NAME = "auction"
"""The staffing's name, and that of the mind whose work it awards."""

MICRO = 1_000
"""Millionths of a cent that a token costs for each cent per 1,000 tokens."""


class TierConfig(StrictModel):
    """A model that bids, and what its tokens cost a trader."""

    model: str
    """The model's name."""

    cents_per_1000_tokens: float = Field(ge=0.001, le=1_000_000)
    """What a trader pays for prompts and replies of this tier, to the thousandth of a cent."""


class WeightsConfig(StrictModel):
    """How much each part of a bid's score counts; together they are 1."""

    cost: float = Field(ge=0, le=1)
    """Price times the tokens of the bid."""

    entropy: float = Field(default=0.0, ge=0, le=1)
    """How far the drafts of a bid differ."""

    claim: float = Field(ge=0, le=1)
    """What the engine expects of the bid, over the best of the trader's menu."""

    jury: float = Field(default=0.0, ge=0, le=1)
    """Whether the tiers would have chosen it, all of them together."""

    @model_validator(mode="after")
    def _are_shares(self) -> Self:
        total = self.cost + self.entropy + self.claim + self.jury
        if abs(total - 1) > 1e-6:
            raise ValueError(f"expected weights that sum to 1, got {total:g}")
        return self


class AuctionConfig(StrictModel):
    """Which models bid for traders of the mind `auction`, for how long they work, and what it costs."""

    tiers: tuple[TierConfig, ...] = Field(min_length=2, max_length=MOST_TIERS)
    """The models that bid, with what their tokens cost; all of them judge, too."""

    rounds: int = Field(default=10, ge=1, le=10_000)
    """For how many rounds a trader's work is awarded."""

    drafts: int = Field(default=1, ge=1, le=9)
    """How often a tier drafts its bid; how far drafts differ is the bid's entropy, which takes two of them."""

    jury: bool = True
    """Whether tiers judge one another's bids, where these differ."""

    memory: bool = True
    """Whether cheaper tiers than the first winner bid again, with what the memory tells of like tasks."""

    remembered: int = Field(default=CAPACITY, ge=1, le=100_000)
    """Most auctions in the memory; what is kept of more is drawn."""

    training_auctions: int = Field(default=30, ge=1, le=200)
    """Auctions that weights are fitted on; until then all parts count alike."""

    weights: WeightsConfig | None = None
    """Weights that hold from the start, in place of fitted ones."""

    judged_per_round: int = Field(default=8, ge=0, le=10_000)
    """Most auctions of a round whose bids are judged, by clearing the round again with each action of the menu."""

    @model_validator(mode="after")
    def _has_different_tiers(self) -> Self:
        models = [tier.model for tier in self.tiers]
        if len(set(models)) < len(models):
            raise ValueError("two tiers are one model")
        # A part that is the same for all bids would only weaken the others.
        if self.weights and self.weights.entropy and self.drafts == 1:
            raise ValueError("one draft has no entropy; set `drafts` to 2 or more, or `weights.entropy` to 0")
        if self.weights and self.weights.jury and not self.jury:
            raise ValueError("nobody judges; set `jury` to true, or `weights.jury` to 0")
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """The tiers' models."""
        return tuple(tier.model for tier in self.tiers)

    @property
    def price(self) -> Float64:
        """[tiers] cents per 1,000 tokens."""
        return np.array([tier.cents_per_1000_tokens for tier in self.tiers])

    def fixed_terms(self) -> Terms | None:
        """Returns the terms of the weights that the config names, if it does; judges share theirs."""
        if (own := self.weights) is None:
            return None
        jury = [own.jury / len(self.tiers)] * len(self.tiers)
        return Terms(tuple(round(1_000 * w) for w in (own.cost, own.entropy, own.claim, *jury)))


@dataclass(slots=True)
class _Term:
    """What one trader's award has come to so far: millionths of a cent that it gained, less what was paid."""

    award: Award
    until: int
    micro: int = 0


class Auction:
    """A `Staffing` that awards the work of the mind `auction`; all others are asked at their own models."""

    def __init__(self, config: AuctionConfig, setup: Setup) -> None:
        self.config = config
        self.price = config.price
        self.traders = setup.traders
        self._mine = np.array([mind == NAME for mind in setup.minds], dtype=np.bool_)
        self._tier = np.full(setup.traders, OWN)
        self._until = np.zeros(setup.traders, dtype=np.int64)
        self._terms: dict[int, _Term] = {}
        self._owed = np.zeros(setup.traders, dtype=np.int64)
        self._training: list[Float64] = []
        self._fitted: Terms | None = config.fixed_terms()
        self.memory = AuctionMemory(setup.seed, config.remembered)

    def assign(self, due: Due, costs: TurnCosts) -> Chosen:
        """Returns all who are due: at the tier that has their work, or at the mind's own, where they are bid for."""
        trader = np.sort(due.trader)
        working = self._mine[trader] & (due.round <= self._until[trader])
        return Chosen(trader, np.where(working, self._tier[trader], OWN), self.config.models)

    def brief(self, chosen: Chosen, task: Callable[[int], str]) -> Brief | None:
        """Returns what bidders are told, where anybody is bid for; `task` says in words what a trader faces."""
        bidding = chosen.trader[self._mine[chosen.trader] & (chosen.model == OWN)].tolist()
        if not bidding:
            return None
        tiers, found = range(len(self.price)), {}
        if self.config.memory and self.memory.kept:
            for trader in bidding:
                past = self.memory.nearest(task(trader), NEAREST)
                found[trader] = tuple(_precedents(tier, past) for tier in tiers)
        return Brief(self._scored_by(), found)

    def keep(self, paced: Paced) -> None:
        """Takes no note of what a round took."""

    def settle(self, spent: Spent, earned: Int64) -> Sequence[Charges]:
        """Returns what traders pay for the calls that were made for them, and takes in who won and what it gained."""
        micro = np.zeros(self.traders, dtype=np.int64)
        known = {name: tier for tier, name in enumerate(self.config.models)}
        tier = np.array([known.get(name, OWN) for name in spent.models], dtype=np.int64)[spent.model]
        mine = self._mine[spent.trader] & (tier != OWN)
        rate = np.rint(self.price * MICRO).astype(np.int64)
        tokens = spent.prompt_tokens + spent.completion_tokens
        np.add.at(micro, spent.trader[mine], tokens[mine] * rate[tier[mine]])
        # Parts of a cent are owed until they make one.
        self._owed += micro
        cents, self._owed = self._owed // (1_000 * MICRO), self._owed % (1_000 * MICRO)
        bids = self._take(spent)
        gained = earned if spent.gained is None else spent.gained
        for trader, term in self._terms.items():
            term.micro += 1_000 * MICRO * int(gained[trader]) - int(micro[trader])
        self._end(spent.round)
        everybody = np.arange(self.traders)
        return [
            Charges("bids", everybody[bids], cents[bids]),
            Charges("work", everybody[~bids], cents[~bids]),
        ]

    def succeed(self, before: "Auction") -> None:
        """Takes over awards, debts, memory and training of an auction for the same tiers and traders."""
        if before.config.models != self.config.models or before._mine.tolist() != self._mine.tolist():
            return
        self._tier, self._until, self._owed = before._tier, before._until, before._owed
        self._terms, self._training, self.memory = before._terms, before._training, before.memory
        if self.config.weights is None and before.config.weights is None:
            self._fitted = before._fitted

    def _take(self, spent: Spent) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Keeps the awards of a round, and says for whom there were bids."""
        bids = np.zeros(self.traders, dtype=np.bool_)
        for trader, text in zip(spent.turn_trader.tolist(), spent.text, strict=True):
            if not self._mine[trader]:
                continue
            try:
                turn = read_turn(text, len(self.price))
            except (ValueError, RecursionError):
                continue
            if not isinstance(turn, Award):
                continue
            bids[trader] = True
            if len(self._training) < self.config.training_auctions:
                self._training.append(parts(turn.first, self.price))
            if turn.winner == UNKNOWN:
                continue
            self._tier[trader], self._until[trader] = turn.winner, spent.round + self.config.rounds - 1
            self._terms[trader] = _Term(turn, int(self._until[trader]))
        return bids

    def _end(self, round_: int) -> None:
        """Remembers the awards whose term is over, with what they have come to."""
        for trader in [trader for trader, term in self._terms.items() if term.until <= round_]:
            term = self._terms.pop(trader)
            plans = tuple(bid.plan or "no bid" for bid in term.award.first.bids)
            realised = term.micro // (1_000 * MICRO)
            self.memory.add(Remembered(term.award.task, plans, term.award.winner, realised))

    def _scored_by(self) -> Terms:
        """The terms of the next auctions: fitted once there are auctions enough, all parts alike before."""
        if self._fitted is not None:
            return self._fitted
        if len(self._training) < self.config.training_auctions:
            return Terms.alike(len(self.price))
        training = np.concatenate(self._training)
        whole = training[~np.isnan(training[:, :, 0]).any(axis=1)]
        if not len(whole):
            return Terms.alike(len(self.price))
        # A part that nobody has is no part: it is nought for all, so that it decides nothing.
        known = np.where(np.isnan(whole), 0.0, whole)
        weights = fit_min_max(scaled(known, known))
        low, high = known.min(axis=(0, 1)), known.max(axis=(0, 1))
        permille = tuple(int(w) for w in np.rint(1_000 * weights))
        self._fitted = Terms(permille, tuple(low.tolist()), tuple(high.tolist()))
        return self._fitted


def _precedents(asker: int, past: Sequence[Remembered]) -> tuple[str, ...]:
    """The lines that a tier is shown of like tasks: what lost beside what won, and what that gained."""
    lines = []
    for auction in past:
        for lost, won in pairs(asker, [auction]):
            lines.append(f"bid that lost: {lost}; that won: {won}, and came to {auction.realised_cents} cents")
    return tuple(lines[:NEAREST])


def _imports(section: AuctionConfig) -> tuple[str, str] | None:
    """What fits the weights, where the config does not name them."""
    return None if section.weights else ("scipy", "auction")


STAFFING = StaffingPlugin(
    NAME,
    "Tiers of models bid for a trader's work of the next rounds.",
    AuctionConfig,
    Auction,
    lambda section: section.models,
    charges=True,
    mind=NAME,
    imports=_imports,
)
