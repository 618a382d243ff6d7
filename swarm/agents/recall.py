"""Makes a recorded turn's prompts again, and says which reply answers which; each is held against its digest.

No prompt is kept anywhere: it follows from what a trader was shown, so it is rendered again when somebody asks. Only
what comes to the recorded digest is shown. Which mind puts which questions, the minds say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from swarm.agents.asking import branches_of, fitted
from swarm.agents.forms.protocol import Form
from swarm.agents.mind import Mind, Seats
from swarm.agents.plan import ShardPlan
from swarm.agents.prompt_digest import prompt_digest
from swarm.agents.turns import Call, Turns
from swarm.llm.protocol import Message
from swarm.llm.tokens import ESTIMATED

ANOTHER = "the prompt that is made again has another digest than the journal's, so it is not shown"


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a turn: who asked, and what was answered as the record has it.

    It is asked in `form`, or with `messages` where a mind writes its own; `missing` says why there are none.
    """

    asker: str
    answer: str
    form: Form[Any] | None = None
    messages: tuple[Message, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Recollection:
    """The questions of a turn, in the order of its calls, and in a line what the mind made of the answers."""

    questions: tuple[Question, ...]
    told: str = ""


@runtime_checkable
class Recalls(Protocol):
    """A mind whose turn holds more than a reply, and which can take it apart again."""

    def recall(self, text: str, calls: Sequence[Call], seats: Seats) -> Recollection:
        """Returns the questions of one turn, whose seat is the only one; ValueError where the text is no such turn."""
        ...


@dataclass(frozen=True, slots=True)
class Recalled:
    """One call of a model as it was: who asked what, and what was answered.

    `prompt` has a text for each message and, behind them, for each branch that was scored. It is empty where it cannot
    be shown, and `missing` then says why.
    """

    asker: str
    model: str
    prompt: tuple[str, ...]
    missing: str
    answer: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


def recalled(plan: ShardPlan, mind: Mind, turns: Turns, turn: int, seats: Seats) -> tuple[tuple[Recalled, ...], str]:
    """Returns the calls of one recorded turn, and what its mind made of them; `seats` has the turn's seat alone."""
    text, calls = turns.text[turn], turns.made(turn)
    found = _recollection(plan, mind, text, calls, seats)
    return tuple(_call(plan, call, number, len(calls), found.questions, seats) for number, call in enumerate(calls)), (
        found.told
    )


def _recollection(plan: ShardPlan, mind: Mind, text: str, calls: Sequence[Call], seats: Seats) -> Recollection:
    if isinstance(mind, Recalls):
        try:
            return mind.recall(text, calls, seats)
        except (ValueError, RecursionError):
            # A turn that failed as a whole is no record of the mind's.
            return Recollection((), f"the record is none of {mind.name}: {text[:200]}")
    # A mind that says nothing of its questions asks in the forms of its models, and one call's reply is all it keeps.
    answers = [text] if len(calls) == 1 else [""] * len(calls)
    told = "" if len(calls) < 2 else f"{mind.name} keeps of its calls: {text}"
    questions = [Question("", answer, plan.form(call.model)) for call, answer in zip(calls, answers, strict=True)]
    return Recollection(tuple(questions), told)


def _call(
    plan: ShardPlan, call: Call, number: int, calls: int, questions: Sequence[Question], seats: Seats
) -> Recalled:
    """Returns one call with its question: the one of its number if that fits, else the first that does."""
    # Where there are as many questions as calls, all of them were put, in this order.
    own = questions[number] if len(questions) == calls else None
    fits = (
        (question, texts)
        for question in ([own] if own else []) + list(questions)
        if (texts := _texts(plan, question, call.model, seats)) and _digest(texts) == call.prompt_digest
    )
    match, prompt = next(fits, (own, ()))
    missing = "" if prompt else (own.missing if own else "") or ANOTHER
    reply = call.reply
    asker, answer = (match.asker, match.answer) if match else ("", "")
    usage = reply.usage
    return Recalled(asker, call.model, prompt, missing, answer, reply.finish_reason, usage.prompt, usage.completion)


def _digest(texts: Sequence[str]) -> int:
    return prompt_digest([Message("user", text) for text in texts])


def _texts(plan: ShardPlan, question: Question, model: str, seats: Seats) -> tuple[str, ...]:
    """Returns the texts of a question to a model: its messages, and its branches behind them; none if none can be."""
    if question.form is None:
        return tuple(message.content for message in question.messages)
    seen, row = seats.seen, int(seats.rows[0])
    # The reply's part of the turn's tokens was set aside, and the prompt had the rest.
    budget = plan.budget.tokens_per_turn - plan.completion_tokens[model]
    prompt = fitted(question.form, seen, row, budget, seen.public.sizes.get(model, ESTIMATED))
    if prompt is None:
        return ()
    return (*(message.content for message in prompt.messages), *branches_of(question.form)(seen, row))
