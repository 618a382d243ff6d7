"""Holds the auctions of some traders' work: all tiers draft bids and judge them, cheaper ones bid again from memory.

Every request goes out with those of all other seats, so an auction takes four rounds of calls however many traders are
bid for. Who is late or fails has made no bid or cast no vote.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from swarm.agents.asking import Asked, ask_model
from swarm.agents.ballots import voted
from swarm.agents.decision import DecisionError
from swarm.agents.drafts import DraftForm, JuryForm, claim_permille, plan_of, task_of
from swarm.agents.forms.menu import MenuForm
from swarm.agents.forms.menus import LETTERS
from swarm.agents.forms.picked_menu import PickedMenuForm
from swarm.agents.mind import Seats
from swarm.agents.plan import ShardPlan
from swarm.agents.recall import Question
from swarm.agents.turns import Call, Turns
from swarm.coordination.bids import NO_BID, UNKNOWN, Award, Bid, Brief, Round, Terms, provisional, settled
from swarm.coordination.staffing.auction import AuctionConfig
from swarm.llm.protocol import ModelClient

UNTIL = {"bid": 0.5, "jury": 0.7, "refine": 0.85, "jury again": 1.0}
"""Shares of the time by which the answers of each stage must be in."""


@dataclass(slots=True)
class _Answers:
    """What one tier said to one seat in one stage: letters of the common menu or errors, and their tokens."""

    said: list[str]
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Question:
    """One tier, the form in which it is asked, and for which seats."""

    tier: int
    form: PickedMenuForm
    seats: tuple[int, ...]


_Heard = dict[tuple[int, int], _Answers]
"""By tier and seat."""


class Bidding:
    """The auctions of one round for some seats; `calls` are those made so far, by seat."""

    def __init__(
        self,
        config: AuctionConfig,
        plan: ShardPlan,
        menu: MenuForm,
        seats: Seats,
        models: Mapping[str, ModelClient],
        deadline_s: float,
    ) -> None:
        self.config, self.seats = config, seats
        self._plan, self._menu, self._models = plan, menu, models
        self._clock = asyncio.get_running_loop().time
        self._begun, self._deadline_s = self._clock(), deadline_s
        self.calls: list[list[Call]] = [[] for _ in range(len(seats))]
        self.pruned = np.zeros(len(seats), dtype=np.int64)

    async def hold(self, mind: str) -> Turns:
        """Returns a turn for each seat: the record of its auction, and the calls that it took."""
        tiers, everybody = range(len(self.config.tiers)), tuple(range(len(self.seats)))
        brief = self.seats.seen.public.brief or Brief(Terms.alike(len(tiers)))
        drafts = [_Question(tier, DraftForm(self._menu, tier), everybody) for tier in tiers]
        heard = await self._hear("bid", drafts, self.config.drafts)
        bids = [tuple(self._bid(heard[tier, seat], seat) for tier in tiers) for seat in everybody]
        votes = await self._judge("jury", [_letters(made) for made in bids])
        first = [Round(*both) for both in zip(bids, votes, strict=True)]
        again = await self._refine(first, brief)
        awards = [self._settled(seat, first[seat], again[seat], brief.terms) for seat in everybody]
        return Turns.asked_often(
            mind,
            self.seats.trader,
            [award.to_text() for award in awards],
            ["stop"] * len(self.seats),
            self.calls,
            self.pruned,
        )

    def _settled(self, seat: int, first: Round, again: Round | None, terms: Terms) -> Award:
        task = task_of(self.seats.seen, int(self.seats.rows[seat]), self._plan.rules.goods)
        return settled(task, first, again, self.config.price, terms)

    async def _refine(self, first: Sequence[Round], brief: Brief) -> list[Round | None]:
        """The second bids of cheaper tiers that the memory has something to tell; None where no bid has changed."""
        asked: dict[int, list[int]] = {}
        for seat, made in enumerate(first):
            _, cheaper = provisional(made, self.config.price, brief.terms)
            trader = int(self.seats.trader[seat])
            for tier in cheaper if self.config.memory else ():
                if brief.of(trader, tier):
                    asked.setdefault(tier, []).append(seat)
        questions = [_Question(tier, DraftForm(self._menu, tier, brief), tuple(of)) for tier, of in asked.items()]
        heard = await self._hear("refine", questions, self.config.drafts)
        found: list[Round | None] = [None] * len(first)
        for seat, made in enumerate(first):
            bids = [NO_BID] * len(self.config.tiers)
            for tier, before in enumerate(made.bids):
                if (answers := heard.get((tier, seat))) is not None:
                    bid = self._bid(answers, seat)
                    # A bid that says the same again is the first one.
                    bids[tier] = NO_BID if bid.letters[:1] == before.letters[:1] else bid
            if any(bid.made for bid in bids):
                found[seat] = Round(tuple(bids), ("",) * len(bids))
        # Judges see the refined bids beside the first ones.
        drafted = [
            "" if again is None else "".join(sorted({*_letters(again.bids), *_letters(made.bids)}))
            for made, again in zip(first, found, strict=True)
        ]
        votes = await self._judge("jury again", drafted)
        return [again and Round(again.bids, vote) for again, vote in zip(found, votes, strict=True)]

    async def _judge(self, stage: str, drafted: Sequence[str]) -> list[tuple[str, ...]]:
        """By seat what each tier would have chosen of these drafts; nobody is asked where there is one alone."""
        tiers = range(len(self.config.tiers))
        apart = tuple(seat for seat, letters in enumerate(drafted) if len(letters) > 1 and self.config.jury)
        form = JuryForm(self._menu, {int(self.seats.rows[seat]): drafted[seat] for seat in apart})
        heard = await self._hear(stage, [_Question(tier, form, apart) for tier in tiers], 1)
        nothing = _Answers([""])
        said = [[heard.get((tier, seat), nothing).said[0] for tier in tiers] for seat in range(len(drafted))]
        return [tuple(vote[0] if len(vote) == 2 else "" for vote in own) for own in said]

    async def _hear(self, stage: str, questions: Sequence[_Question], samples: int) -> _Heard:
        """Asks all questions at once, each so often, and puts down what they took."""
        left_s = max(self._begun + UNTIL[stage] * self._deadline_s - self._clock(), 0.0)
        wanted = [(question, sample) for question in questions if question.seats for sample in range(samples)]
        answered = await asyncio.gather(*(self._ask(stage, *one, left_s) for one in wanted))
        heard: _Heard = {}
        for (question, _), asked in zip(wanted, answered, strict=True):
            model = self.config.models[question.tier]
            for i, seat in enumerate(question.seats):
                answers = heard.setdefault((question.tier, seat), _Answers([]))
                self.pruned[seat] = max(self.pruned[seat], asked.pruned_messages[i])
                if (reply := asked.replies[i]) is None:
                    answers.said.append(str(DecisionError.OVER_BUDGET))
                    continue
                self.calls[seat] += asked.calls(model, i)
                answers.tokens += reply.usage.total
                row, bound = int(self.seats.rows[seat]), self._plan.budget.tokens_per_turn
                answers.said.append(voted(question.form, reply, self.seats.seen, row, bound))
        return heard

    async def _ask(self, stage: str, question: _Question, sample: int, left_s: float) -> Asked:
        plan, model = self._plan, self.config.models[question.tier]
        seats = self.seats.take(np.array(question.seats, dtype=np.int64))
        seeds = seats.seeds(plan.seed, f"auction {stage} {question.tier} {sample}")
        return await ask_model(plan, model, question.form, seats, self._models[model], seeds, left_s)

    def _bid(self, answers: _Answers, seat: int) -> Bid:
        """The draft that a tier made most often, of those the first, as a bid; or its first error."""
        menu = self._menu.menu(self.seats.seen, int(self.seats.rows[seat]))
        drafts = [said for said in answers.said if len(said) == 2]
        if not drafts:
            return Bid(answers.said[0], tokens=answers.tokens)
        counts = Counter(draft[0] for draft in drafts)
        most = max(counts.values())
        letters = next(draft for draft in drafts if counts[draft[0]] == most)
        action = menu.actions[LETTERS.index(letters[0])]
        shares = np.array([*counts.values()]) / len(drafts)
        # One draft says nothing of how sure a tier is.
        spread = round(-1_000 * float(shares @ np.log(shares)) / log(len(drafts))) if len(drafts) > 1 else UNKNOWN
        claim = claim_permille(menu, letters[0])
        return Bid(letters, plan_of(action, self._plan.rules.goods), answers.tokens, claim, spread)


def questions_of(config: AuctionConfig, menu: MenuForm, award: Award, seats: Seats) -> tuple[Question, ...]:
    """Returns the questions that may have been put in one auction, which follow from its record; one seat alone.

    Of several drafts of a tier the record has the bid that they came to, and of judges the action that they named.
    """
    brief, row = seats.seen.public.brief, int(seats.rows[0])
    found: list[Question] = []
    for stage, made in (("", award.first), (" again", award.refined)):
        # A refined bid that says the same as the first one is no bid, but its prompt was sent all the same.
        bids = made.bids if made else (NO_BID,) * len(config.models)
        for tier, bid in enumerate(bids):
            form = DraftForm(menu, tier, brief if stage else None)
            said = bid.letters or "the same as before, or nothing"
            found += [Question(f"a bid{stage}", said, form)] * config.drafts
        drafted = _letters(award.first.bids)
        if stage and made:
            drafted = "".join(sorted({*drafted, *_letters(made.bids)}))
        if made and len(drafted) > 1:
            jury = JuryForm(menu, {row: drafted})
            found += [Question(f"a judgement{stage}", vote or "no vote", jury) for vote in made.votes]
    return tuple(found)


def _letters(bids: Sequence[Bid]) -> str:
    """The actions that are bid, each once, in the order of the menu."""
    return "".join(sorted({bid.letters[0] for bid in bids if bid.made}))
