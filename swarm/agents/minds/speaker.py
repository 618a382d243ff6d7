"""The mind `speaker`: one model decides, and another one says the thought and the line of gossip.

So a model that only judges is not mute, and one that writes well has no hand on orders. Tokens of the turn are set
aside for the speech, which is asked for when the decision is there; where it fails, the decision holds all the same.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from swarm.agents.asking import Asked, ask, branches_of, fitted
from swarm.agents.decision import Decision, DecisionError, Reading
from swarm.agents.decisions import Decisions, decisions_of
from swarm.agents.escalation import Answer, answer_of
from swarm.agents.forms.protocol import Form
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.plan import ShardPlan
from swarm.agents.recall import Question, Recollection
from swarm.agents.speech import SpeechForm
from swarm.agents.turns import Call, Turns
from swarm.coordination.standing import default_stand
from swarm.llm.protocol import Message, ModelClient
from swarm.llm.tokens import ESTIMATED
from swarm.schema import StrictModel

TRACE_VERSION = 1


class SpeakerConfig(StrictModel):
    """One model that decides and one that speaks; it may be the same."""

    decides: str
    """The model whose orders are put in, by its name."""

    speaks: str
    """The model that says the thought and the line of gossip, by its name."""

    spoken_tokens: int = Field(default=400, ge=100, le=10_000)
    """Tokens of a turn, prompt and reply, that are set aside for the speech."""

    reply_tokens: int = Field(default=72, ge=16, le=1_000)
    """Of these, most tokens of what is said."""

    every_rounds: int = Field(default=1, ge=1, le=1_000)
    """A trader speaks in one of so many rounds, each in its turn."""


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """The record of a turn: the answer that was decided by, and what was said; None where nobody was asked to speak."""

    decided: Answer
    said: Answer | None = None

    def to_text(self) -> str:
        """Returns the record as it stands in the journal."""
        values = [TRACE_VERSION, self.decided.to_json(), None if self.said is None else self.said.to_json()]
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "SpokenTurn":
        """Returns what `to_text` wrote; ValueError where it is no turn of a speaker."""
        match json.loads(text):
            case [1, decided, said]:
                return cls(answer_of(decided), None if said is None else answer_of(said))
        raise ValueError("expected an answer and what was said")


class SpeakerMind:
    """Traders whom one model decides for and another speaks for."""

    def __init__(self, name: str, section: SpeakerConfig, plan: ShardPlan) -> None:
        self.name = name
        self.config = section
        self.models = frozenset({section.decides, section.speaks})
        self.most = TurnBound(plan.budget.tokens_per_turn, 2)
        self._plan = plan
        self._form = plan.form(section.decides)

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        """Returns what was decided for each seat, and what is said of it.

        Where staffing chose a model, that one decides alone and nobody speaks.
        """
        own = (self.config.decides, self.config.speaks)
        groups = [self._sit(group, models, deadline_s, names[0], names == own) for names, group in seats.chosen(*own)]
        return Turns.join(await asyncio.gather(*groups))

    async def _sit(
        self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float, model: str, speaks: bool
    ) -> Turns:
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        decided = await self._ask(model, self._form, self._budget(model), "decides", seats, models, deadline_s)
        # A decision that took the speech's tokens, too, is over its budget.
        budgets = sum(self._budget(model))
        answers = [Answer.of(decided, i, budgets) for i in range(len(seats))]
        readings = [
            self._decision(answer, seats, row) for answer, row in zip(answers, seats.rows.tolist(), strict=True)
        ]
        # A turn without a decision is lost, and nobody speaks for it.
        heard = np.array(
            [i for i, r in enumerate(readings) if speaks and isinstance(r.outcome, Decision) and self._turn(seats, i)],
            dtype=np.int64,
        )
        spoken: Asked | None = None
        if len(heard):
            own = seats.take(heard)
            form = self._speech({int(seats.rows[i]): readings[i].outcome for i in heard.tolist()})
            left_s = max(end - loop.time(), 0.0)
            spoken = await self._ask(self.config.speaks, form, self._spoken, "speaks", own, models, left_s)
        return self._turns(seats, decided, answers, model, spoken, {i: n for n, i in enumerate(heard.tolist())})

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        """Returns the decisions with what was said of them, read again."""
        readings = [self._reading(text, seats, row) for text, row in zip(turns.text, seats.rows.tolist(), strict=True)]
        traders = self._plan.traders
        stand = default_stand(traders.standing)
        goods, most = self._plan.rules.goods, traders.max_gossip_chars
        return decisions_of(turns, readings, goods, most, stand, self._form.stands)

    def recall(self, text: str, calls: Sequence[Call], seats: Seats) -> Recollection:
        """Returns the question that was decided by and the one to who spoke, and what was said."""
        turn, row = SpokenTurn.from_text(text), int(seats.rows[0])
        model = calls[0].model if calls else self.config.decides
        questions = [self._question("who decides", turn.decided, self._form, self._budget(model)[0], model, seats)]
        told = "nobody was asked to speak"
        decided = self._decision(turn.decided, seats, row).outcome
        if turn.said is not None and isinstance(decided, Decision):
            form, own = self._speech({row: decided}), self.config.speaks
            questions.append(self._question("who speaks", turn.said, form, self._spoken[0], own, seats))
            said = self._said(turn.said, seats, row).outcome
            told = f"not said: {said}" if isinstance(said, DecisionError) else f"thought {said[0]!r}, said {said[1]!r}"
        return Recollection(tuple(questions), told)

    @property
    def _spoken(self) -> tuple[int, int]:
        """Tokens of the speech's prompt and of its reply."""
        return self.config.spoken_tokens - self.config.reply_tokens, self.config.reply_tokens

    def _budget(self, model: str) -> tuple[int, int]:
        """Tokens of the prompt that is decided by and of its reply: what the speech leaves of a turn."""
        plan = self._plan
        reply = plan.completion_tokens[model]
        return plan.budget.tokens_per_turn - self.config.spoken_tokens - reply, reply

    def _turn(self, seats: Seats, i: int) -> bool:
        """Tells whether it is a trader's turn to speak in this round."""
        return (seats.seen.public.round + int(seats.trader[i])) % self.config.every_rounds == 0

    def _speech(self, decided: Mapping[int, Any]) -> SpeechForm:
        plan = self._plan
        return SpeechForm(plan.scenario_rules, plan.rules.goods, plan.tick_cents, decided)

    async def _ask(
        self,
        model: str,
        form: Form[Any],
        budget: tuple[int, int],
        stream: str,
        seats: Seats,
        models: Mapping[str, ModelClient],
        left_s: float,
    ) -> Asked:
        seeds = seats.seeds(self._plan.seed, f"speaker {self.name} {stream}")
        size = seats.seen.public.sizes.get(model, ESTIMATED)
        return await ask(form, seats, models[model], seeds, budget, left_s, size)

    def _turns(
        self,
        seats: Seats,
        decided: Asked,
        answers: Sequence[Answer],
        model: str,
        spoken: Asked | None,
        index: Mapping[int, int],
    ) -> Turns:
        """Returns one turn for each seat; `index` has of those that spoke where `spoken` has them."""
        texts, calls = [], []
        for i, answer in enumerate(answers):
            made, said = decided.calls(model, i), None
            if spoken is not None and i in index:
                said = Answer.of(spoken, index[i], self.config.spoken_tokens)
                made += spoken.calls(self.config.speaks, index[i])
            texts.append(SpokenTurn(answer, said).to_text())
            calls.append(made)
        return Turns.asked_often(self.name, seats.trader, texts, ["stop"] * len(seats), calls, decided.pruned_messages)

    def _reading(self, text: str, seats: Seats, row: int) -> Reading[Decision]:
        try:
            turn = SpokenTurn.from_text(text)
        except (ValueError, RecursionError):
            return Reading(DecisionError.ENGINE)
        decided = self._decision(turn.decided, seats, row)
        if isinstance(decided.outcome, DecisionError) or turn.said is None:
            return decided
        said = self._said(turn.said, seats, row)
        if isinstance(said.outcome, DecisionError):
            # What was not said costs no decision, and is counted.
            return Reading(decided.outcome, decided.repairs, 2, (said.outcome,))
        # Whatever the deciding model said itself gives way to who speaks.
        thought, gossip = said.outcome
        outcome = decided.outcome.model_copy(update={"thought": thought, "gossip": gossip})
        return Reading(outcome, (*decided.repairs, *said.repairs), 2)

    def _decision(self, answer: Answer, seats: Seats, row: int) -> Reading[Decision]:
        return answer.read(self._form, seats.seen, row)

    def _said(self, answer: Answer, seats: Seats, row: int) -> Reading[Any]:
        return answer.read(self._speech({}), seats.seen, row)

    def _question(self, asker: str, answer: Answer, form: Form[Any], budget: int, model: str, seats: Seats) -> Question:
        seen, row = seats.seen, int(seats.rows[0])
        prompt = fitted(form, seen, row, budget, seen.public.sizes.get(model, ESTIMATED))
        behind = branches_of(form)(seen, row)
        # As the digest has them: the messages, and each branch behind them.
        messages = (*prompt.messages, *(Message("user", line) for line in behind)) if prompt else ()
        return Question(asker, answer.text or answer.ended, None, messages)


MIND = MindPlugin(
    name="speaker",
    summary="One model decides, and another one says the thought and the gossip.",
    Config=SpeakerConfig,
    build=SpeakerMind,
    models=lambda section: (section.decides, section.speaks),
)
