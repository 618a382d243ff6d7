"""The mind `auction`: models bid for a trader's work, judge the bids, and the winner decides; after SALE.

It comes with the staffing `auction`, which says in which rounds there are bids; in the others it has the winner's model
decide alone. A bid is a draft of the decision, so that the engine knows exactly what it claims. What is late or
nonsense is a missing bid or vote; the turn is lost only where nobody bids.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from swarm.agents.asking import ask_model
from swarm.agents.bidding import Bidding, questions_of
from swarm.agents.decision import Decision, DecisionError, Reading, errors_among
from swarm.agents.decisions import Decisions, decisions_of, read_single
from swarm.agents.forms.menu import MenuForm, read_choice
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.plan import ShardPlan
from swarm.agents.recall import Question, Recollection
from swarm.agents.turns import NEVER_ASKED, Call, Turns
from swarm.coordination.bids import AWARD, UNKNOWN, Award, Work, read_turn
from swarm.coordination.staffing.auction import NAME, AuctionConfig
from swarm.coordination.standing import default_stand
from swarm.llm.protocol import ModelClient


class AuctionMind:
    """Traders whose work is auctioned."""

    def __init__(self, name: str, section: AuctionConfig, plan: ShardPlan) -> None:
        self.name = name
        self.config = section
        self.tiers = section.models
        self.models = frozenset(self.tiers)
        # Each tier drafts and judges, and all of that once more where there is a memory to learn from.
        calls = (section.drafts + section.jury) * (2 if section.memory else 1)
        self.most = TurnBound.sum(plan.budget.tokens_per_turn, dict.fromkeys(self.tiers, calls))
        self._plan = plan
        self._menu = cast(MenuForm, plan.form(self.tiers[0]))

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        """Returns the auctions of those who are bid for, and the replies of the models that have the others' work."""
        groups = [
            Bidding(self.config, self._plan, self._menu, group, models, deadline_s).hold(self.name)
            if names == self.tiers
            else self._work(self.tiers.index(names[0]), group, models, deadline_s)
            for names, group in seats.chosen(*self.tiers)
        ]
        return Turns.join(await asyncio.gather(*groups))

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        """Returns the decisions of the winners' bids, and of those whose model works alone."""
        plan, rows = self._plan, seats.rows
        bid_for = np.array([text.startswith(AWARD) for text in turns.text], dtype=np.bool_)
        alone = np.flatnonzero(~bid_for)

        def work(i: int, text: str, cut: bool) -> Reading[Decision]:
            turn = _turn(text, len(self.tiers))
            if not isinstance(turn, Work):
                return Reading(DecisionError.WRONG_SHAPE)
            return self._menu.read(turn.text, cut, seats.seen, int(rows[alone[i]]))

        worked = iter(read_single(turns.take(alone), plan.budget.tokens_per_turn, work))
        readings = [
            self._won(text, seats, row) if bid else next(worked)
            for text, row, bid in zip(turns.text, rows.tolist(), bid_for.tolist(), strict=True)
        ]
        stand = default_stand(plan.traders.standing)
        return decisions_of(turns, readings, plan.rules.goods, plan.traders.max_gossip_chars, stand, False)

    def recall(self, text: str, calls: Sequence[Call], seats: Seats) -> Recollection:
        """Returns the questions of an auction, or the one of the model that has the work."""
        turn = read_turn(text, len(self.tiers))
        if isinstance(turn, Work):
            return Recollection((Question("which has the work", turn.text, self._menu),))
        questions = questions_of(self.config, self._menu, turn, seats)
        won = "nobody has bid" if turn.winner == UNKNOWN else f"{self.tiers[turn.winner]} won with {turn.won.letters}"
        return Recollection(questions, f"{won}{' when bids were refined' if turn.by_refined else ''}")

    def _won(self, text: str, seats: Seats, row: int) -> Reading[Decision]:
        award = _turn(text, len(self.tiers))
        if not isinstance(award, Award):
            return Reading(DecisionError.WRONG_SHAPE)
        faults = errors_among(bid.letters for one in award.rounds if one for bid in one.bids)
        if award.winner == UNKNOWN:
            # Nobody bid: the turn is lost to the first error that a tier made.
            return Reading((*faults, DecisionError.ENGINE)[0], faults=faults)
        menu = self._menu.menu(seats.seen, row)
        return Reading(read_choice(award.won.letters, menu, self._plan.rules), faults=faults)

    async def _work(self, tier: int, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        """One call of the model that has the work."""
        plan, model = self._plan, self.tiers[tier]
        asked = await ask_model(plan, model, self._menu, seats, models[model], seats.seeds(plan.seed), deadline_s)
        turns = Turns.asked_once(self.name, model, seats.trader, asked.replies, asked.digests, asked.pruned_messages)
        # A record of its own, so that no reply is ever taken for an auction.
        texts = (text if text == NEVER_ASKED else Work(tier, text).to_text() for text in turns.text)
        return replace(turns, text=tuple(texts))


def _turn(text: str, tiers: int) -> Award | Work | None:
    try:
        return read_turn(text, tiers)
    except (ValueError, RecursionError):
        return None


MIND = MindPlugin(
    name=NAME,
    summary="Models bid for a trader's work, and the winner does it.",
    Config=AuctionConfig,
    build=AuctionMind,
    models=lambda section: section.models,
    form=MenuForm.name,
)
