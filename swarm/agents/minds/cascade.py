"""The mind `cascade`: a small model decides, and a large one is asked where that is likely to be worth its price.

The large model is asked where the chance that the small one is wrong, times what is at stake, is more than the price of
the call. How often a margin is wrong and what a dollar is worth are known elsewhere, and shown with the round. What
cannot be taken back, and turns in which somebody seems to give the model orders, are brought to the large one whatever
it costs, once in a while for each trader. Where the large model is late or fails, the small one's decision holds.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from swarm.agents.asking import Asked, ask_model
from swarm.agents.config import CascadeConfig
from swarm.agents.decision import Decision, DecisionError, Reading
from swarm.agents.decisions import Decisions, decisions_of
from swarm.agents.escalation import Answer, CascadeTurn, Reason, Weighed
from swarm.agents.forms.menu import MenuForm, wishes_of
from swarm.agents.forms.menus import Menu
from swarm.agents.forms.protocol import Branches, Form
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.observation import Calibration
from swarm.agents.plan import ShardPlan
from swarm.agents.recall import Question, Recollection
from swarm.agents.turns import Call, Turns
from swarm.coordination.standing import default_stand
from swarm.coordination.suspicion import suspected
from swarm.errors import ConfigError
from swarm.llm.protocol import ModelClient, ModelReply
from swarm.llm.scores import read_scores

NEVER = 2**53
"""A price that nothing is worth: that of a large model that is not to be asked."""


class CascadeMind:
    """Traders whom a cascade decides for."""

    def __init__(self, name: str, section: CascadeConfig, plan: ShardPlan) -> None:
        self.name = name
        self.config = section
        self.models = frozenset({section.small, section.large})
        self.most = TurnBound.sum(plan.budget.tokens_per_turn, {section.small: section.samples, section.large: 1})
        self._plan = plan
        self._small, self._large = plan.form(section.small), plan.form(section.large)
        menus = plan.forms.get(MenuForm.name)
        if not isinstance(menus, MenuForm):
            raise ConfigError(
                f"traders.minds.{name}",
                "a cascade weighs what is at stake on a menu, which this scenario does not offer",
                "give its traders a model alone",
            )
        self._menus = menus

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        """Returns the small model's answers to each seat, with the large one's where it was asked.

        Where staffing chose a model, that one decides alone.
        """
        own = (self.config.small, self.config.large)
        groups = [self._sit(group, models, deadline_s, names[0], names == own) for names, group in seats.chosen(*own)]
        return Turns.join(await asyncio.gather(*groups))

    async def _sit(
        self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float, small: str, may_escalate: bool
    ) -> Turns:
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        samples = self.config.samples
        asked = await self._ask(small, self._small, range(samples), seats, models, deadline_s)
        # [seats][samples] answers, and what is known of each turn before the large model is asked.
        answers = [[self._answer(asked, i * samples + k) for k in range(samples)] for i in range(len(seats))]
        price = self._price_milliticks(seats.seen.public.shadow_permille) if may_escalate else None
        weighed = [
            self._weigh(own, asked.replies[i * samples], seats, int(seats.rows[i]), price)
            for i, own in enumerate(answers)
        ]
        brought = np.array([i for i, (reason, _) in enumerate(weighed) if reason is not Reason.NONE], dtype=np.int64)
        larger = self.config.large
        second: Asked | None = None
        # The large model has what the small one has left of the deadline, and is asked for all these seats at once.
        if len(brought):
            left_s = max(end - loop.time(), 0.0)
            second = await self._ask(larger, self._large, [samples], seats.take(brought), models, left_s)
        texts, calls = [], []
        index = {i: n for n, i in enumerate(brought.tolist())}
        for i, (reason, weights) in enumerate(weighed):
            made = [call for k in range(samples) for call in asked.calls(small, i * samples + k)]
            answer = None
            if second is not None and i in index:
                answer = self._answer(second, index[i])
                made += second.calls(larger, index[i])
            texts.append(CascadeTurn(reason, weights, tuple(answers[i]), answer).to_text())
            calls.append(made)
        pruned = asked.pruned_messages[::samples]
        return Turns.asked_often(self.name, seats.trader, texts, ["stop"] * len(seats), calls, pruned)

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        """Returns the decisions that hold, read again."""
        rows, traders = seats.rows.tolist(), self._plan.traders
        readings, by_large = [], []
        for text, row in zip(turns.text, rows, strict=True):
            reading, large = self._reading(text, seats, row)
            readings.append(reading)
            by_large.append(large)
        # Whether a decision can say how long it stands is up to the form of the model that made it.
        parts, order = [], []
        for large, form in ((False, self._small), (True, self._large)):
            own = np.flatnonzero(np.array(by_large, dtype=np.bool_) == large)
            parts.append(
                decisions_of(
                    turns.take(own),
                    [readings[i] for i in own.tolist()],
                    self._plan.rules.goods,
                    traders.max_gossip_chars,
                    default_stand(traders.standing),
                    form.stands,
                )
            )
            order.append(own)
        return Decisions.join(parts, np.argsort(np.concatenate(order), kind="stable"))

    def recall(self, text: str, calls: Sequence[Call], seats: Seats) -> Recollection:
        """Returns the question of each sample and that to the large model, and why it was asked."""
        turn, samples = CascadeTurn.from_text(text), self.config.samples
        sample = [f", sample {number}" if samples > 1 else "" for number in range(1, samples + 1)]
        questions = [
            Question(f"the small one{which}", answer.text or answer.ended, self._small)
            for which, answer in zip(sample, turn.small, strict=False)
        ]
        if turn.large is not None:
            questions.append(Question("the large one", turn.large.text or turn.large.ended, self._large))
        weighed = turn.weighed
        margin = (
            "an unknown margin" if weighed.margin_permille is None else f"a margin of {weighed.margin_permille}/1000"
        )
        told = (
            f"the large model was {'not ' if turn.large is None else ''}asked ({turn.reason}): {margin}, wrong in "
            f"{weighed.wrong_permille}/1000, {weighed.stake_ticks} pebbles at stake"
        )
        return Recollection(tuple(questions), told)

    def decision_of(self, turn: CascadeTurn, seats: Seats, row: int) -> tuple[Reading[Decision], Reading[Decision]]:
        """Returns what the small model decided in a turn, and what holds."""
        small = _most(self._readings(turn.small, seats, row))
        if turn.large is None:
            return small, small
        large = turn.large.read(self._large, seats.seen, row)
        return small, small if isinstance(large.outcome, DecisionError) else large

    def _reading(self, text: str, seats: Seats, row: int) -> tuple[Reading[Decision], bool]:
        """Returns what holds of a turn, and whether the large model said it."""
        try:
            turn = CascadeTurn.from_text(text)
        except (ValueError, RecursionError):
            return Reading(DecisionError.ENGINE), False
        small, holds = self.decision_of(turn, seats, row)
        answers = (*turn.small, *((turn.large,) if turn.large else ()))
        # What was wrong with single answers is counted, as the steps of a desk are.
        faults = tuple(answer.error for answer in answers if answer.error is not None)
        return Reading(holds.outcome, holds.repairs, len(answers), faults), holds is not small

    def _readings(self, answers: Sequence[Answer], seats: Seats, row: int) -> list[Reading[Decision]]:
        # Samples that say the same are read once.
        read = {answer: answer.read(self._small, seats.seen, row) for answer in dict.fromkeys(answers)}
        return [read[answer] for answer in answers]

    def _weigh(
        self, answers: Sequence[Answer], reply: ModelReply | None, seats: Seats, row: int, offered: int | None
    ) -> tuple[Reason, Weighed]:
        """Returns why a turn is brought to the large model at the price `offered`, or not, and what was weighed."""
        public, price = seats.seen.public, NEVER if offered is None else offered
        menu = self._menus.menu(seats.seen, row)
        readings = self._readings(answers, seats, row)
        decided = _most(readings).outcome
        if isinstance(decided, DecisionError):
            # Who decides nothing passes, and is wrong by all that the best action brings.
            lost = Weighed(None, 1_000, max(action.expected for action in menu.actions), price)
            return Reason.FAILED if lost.pays else Reason.NONE, lost
        margin = self._margin_permille(readings, reply, seats, row)
        known = public.calibrations.get(self.name, Calibration())
        stake = _stake_ticks(menu, decided, self._plan.rules.goods)
        weighed = Weighed(margin, known.wrong_permille(margin or 0), stake, price)
        critical = self._critical(decided, seats, row) if offered is not None else None
        if critical is not None:
            forced = seats.seen.private.forced_round
            last = 0 if forced is None else int(forced[row])
            # A trader that is always critical would otherwise be asked for in every round.
            if not last or public.round - last >= self.config.once_in_rounds:
                return critical, weighed
            weighed = Weighed(margin, weighed.wrong_permille, stake, price, bounded=True)
        return Reason.STAKE if weighed.pays else Reason.NONE, weighed

    def _margin_permille(
        self, readings: Sequence[Reading[Decision]], reply: ModelReply | None, seats: Seats, row: int
    ) -> int | None:
        """Returns how sure the small model was: what its engine tells, else how many more samples agree than differ."""
        if len(readings) == 1 and reply is not None:
            return _told(reply, self._small, seats, row)
        # Samples that are one reading all agree, which most do.
        if all(reading is readings[0] for reading in readings):
            return 0 if _kind(readings[0]) is None else 1_000
        kinds = Counter(_kind(reading) for reading in readings)
        del kinds[None]
        first, second = [*(n for _, n in kinds.most_common(2)), 0, 0][:2]
        return 1_000 * (first - second) // len(readings)

    def _critical(self, decision: Decision, seats: Seats, row: int) -> Reason | None:
        """Returns what of a decision, or of what was heard, is brought to the large model whatever it costs."""
        private, rules = seats.seen.private, self._plan.rules
        found = set()
        if rules.lends:
            cost = sum(order.price * order.quantity for order in decision.orders if order.side == "buy")
            # A purchase beyond the purse is paid by a loan, and a sale beyond the stock is short.
            if cost * self._plan.tick_cents > int(private.cash_cents[row]):
                found.add(Reason.LOAN)
            for good, name in enumerate(rules.goods):
                sold = sum(o.quantity for o in decision.orders if o.side == "sell" and o.good == name)
                if sold > int(private.have[row, good]):
                    found.add(Reason.SHORT)
        if suspected(private.heard[row]):
            found.add(Reason.SUSPICION)
        return next((Reason(kind) for kind in self.config.always if Reason(kind) in found), None)

    def _price_milliticks(self, shadow_permille: int) -> int:
        """Returns what a call of the large model costs, by what a dollar of the run's budget is worth in this round."""
        return min(round(price_ticks(self.config, self._plan) * shadow_permille), NEVER)

    async def _ask(
        self,
        model: str,
        form: Form[Decision],
        numbers: Sequence[int],
        seats: Seats,
        models: Mapping[str, ModelClient],
        left_s: float,
    ) -> Asked:
        """Returns an answer of each of these numbers to each seat, those of one seat one after another."""
        by_number = [seats.seeds(self._plan.seed, f"cascade {self.name} {number}") for number in numbers]
        seeds = [seed for of_seat in zip(*by_number, strict=True) for seed in of_seat]
        often = seats.take(np.repeat(np.arange(len(seats)), len(numbers)))
        return await ask_model(self._plan, model, form, often, models[model], seeds, left_s, margin=True)

    def _answer(self, asked: Asked, i: int) -> Answer:
        """Returns one answer as the record has it."""
        return Answer.of(asked, i, self._plan.budget.tokens_per_turn)


def price_ticks(section: CascadeConfig, plan: ShardPlan) -> float:
    """Returns what a call of the large model costs in ticks while a dollar costs a dollar."""
    if section.price_ticks is not None:
        return section.price_ticks
    return plan.usd_per_turn.get(section.large, 0.0) * section.ticks_per_usd


def _most(readings: Sequence[Reading[Decision]]) -> Reading[Decision]:
    """Returns the decision that most samples come to, the first of those that as many do."""
    if all(reading is readings[0] for reading in readings):
        return readings[0]
    kinds = [_kind(reading) for reading in readings]
    able = Counter(kind for kind in kinds if kind is not None)
    return readings[kinds.index(able.most_common(1)[0][0])] if able else readings[0]


def _stake_ticks(menu: Menu, decided: Decision, goods: tuple[str, ...]) -> int:
    """Returns what the best action is expected to bring beyond the decided one, or where that is it, the second."""
    for action in menu.actions:
        if wishes_of(action.legs, goods) == decided.orders:
            return menu.beyond(action)
    # Orders that are on no menu are expected to bring nothing that is known.
    return menu.stake_ticks


def _told(reply: ModelReply, form: Form[Decision], seats: Seats, row: int) -> int | None:
    """How sure an engine says that a reply is: by its letters, or by the scores that are its text."""
    margin = reply.margin
    if isinstance(form, Branches):
        scores = read_scores(reply.text, len(form.branches(seats.seen, row)))
        margin = None if scores is None else scores.margin
    return None if margin is None else round(1_000 * margin)


def _kind(reading: Reading[Decision]) -> object:
    """Returns what is compared of two decisions: their orders; None for what is no decision."""
    return None if isinstance(reading.outcome, DecisionError) else reading.outcome.orders


MIND = MindPlugin(
    name="cascade",
    summary="A small model decides, and a large one is asked where that is worth its price.",
    Config=CascadeConfig,
    build=CascadeMind,
    models=lambda section: (section.small, section.large),
    barters=True,
    reads=(MenuForm.name,),
)
