"""Turns: who answered in a round, with which model, and at what cost, as columns.

Bills, metrics and reports read these columns and infer nothing. What an answer means, this module does not know.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt

from swarm.agents.observation import Int64
from swarm.llm.protocol import MAX_REPLY_CHARS, FinishReason, ModelReply, TokenUsage
from swarm.market import records

Float64 = npt.NDArray[np.float64]

NEVER_ASKED = "over budget"
"""The text of a turn whose prompt did not fit its budget, so that no model was asked."""

MAX_RECORDED = 2**48
"""Largest number of tokens that a record may hold, so that sums over a run stay exact."""

_FINISH_REASONS = frozenset(arg for part in get_args(FinishReason) for arg in (get_args(part) or (part,)))


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model, as a mind that makes several in a turn notes it down."""

    model: str
    prompt_digest: int
    reply: ModelReply


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """One row per call of a model, ordered by `turn` and within a turn by time.

    `turn` is a row of `Turns` and `model` an index into `Turns.models`. `prompt_digest` is 64 bits of BLAKE2b of the
    rendered prompt. These and the tokens are part of the history; the other columns lie beside it, since a clock, a
    cache and the spread over shards decide them. Of `prompt_tokens`, `cached_prompt_tokens` were in the engine's cache,
    and `shared_prompt_tokens` belong to a prompt that was asked once for several traders, at all of them but the first.
    `first_token_s` is NaN where no engine told it.
    """

    turn: Int64
    model: Int64
    prompt_tokens: Int64
    completion_tokens: Int64
    prompt_digest: Int64
    finish_reason: tuple[FinishReason, ...]
    cached_prompt_tokens: Int64
    shared_prompt_tokens: Int64
    latency_s: Float64
    first_token_s: Float64

    def __len__(self) -> int:
        return len(self.turn)

    @classmethod
    def of(
        cls, turn: Sequence[int], model: Sequence[int], digest: Sequence[int], replies: Sequence[ModelReply]
    ) -> "Calls":
        """Returns the columns of these replies, one row each."""
        usage = np.array(
            [(u.prompt, u.completion, u.cached_prompt, u.shared_prompt) for u in (r.usage for r in replies)],
            dtype=np.int64,
        ).reshape(len(replies), 4)
        return cls(
            turn=np.array(turn, dtype=np.int64),
            model=np.array(model, dtype=np.int64),
            prompt_tokens=usage[:, 0].copy(),
            completion_tokens=usage[:, 1].copy(),
            prompt_digest=np.array(digest, dtype=np.int64),
            finish_reason=tuple(r.finish_reason for r in replies),
            cached_prompt_tokens=usage[:, 2].copy(),
            shared_prompt_tokens=usage[:, 3].copy(),
            latency_s=np.array([r.latency_s for r in replies], dtype=np.float64),
            first_token_s=np.array(
                [np.nan if r.first_token_s is None else r.first_token_s for r in replies], dtype=np.float64
            ),
        )

    @property
    def usage(self) -> tuple[Int64, Int64, Int64, Int64]:
        """The columns of a `TokenUsage`."""
        return self.prompt_tokens, self.completion_tokens, self.cached_prompt_tokens, self.shared_prompt_tokens

    def take(self, rows: Int64) -> "Calls":
        """Returns the rows at these indices."""
        picked: dict[str, Any] = {}
        for f in fields(self):
            column = getattr(self, f.name)
            picked[f.name] = tuple(column[i] for i in rows.tolist()) if isinstance(column, tuple) else column[rows]
        return Calls(**picked)


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """One row per trader that a mind which asks models decided for, in ascending order of `trader`.

    `mind` is an index into `minds`; `text` is what the mind reads its decision from: a model's reply, or the trace of a
    desk. `pruned_messages` counts the lines of gossip that did not fit the trader's budget.
    """

    trader: Int64
    mind: Int64
    text: tuple[str, ...]
    finish_reason: tuple[FinishReason, ...]
    pruned_messages: Int64
    minds: tuple[str, ...]
    models: tuple[str, ...]
    calls: Calls

    def __len__(self) -> int:
        return len(self.trader)

    @classmethod
    def empty(cls) -> Self:
        """Returns no turns."""
        nobody = np.empty(0, dtype=np.int64)
        return cls(nobody, nobody, (), (), nobody, (), (), Calls.of([], [], [], []))

    @classmethod
    def asked_once(
        cls,
        mind: str,
        model: str,
        trader: Int64,
        replies: Sequence[ModelReply | None],
        digests: Sequence[int],
        pruned_messages: Int64,
    ) -> Self:
        """Returns turns of one call each; a reply of None says that the prompt fitted no budget and none was made."""
        asked = [i for i, reply in enumerate(replies) if reply is not None]
        made = [reply for reply in replies if reply is not None]
        return cls(
            trader=trader,
            mind=np.zeros(len(trader), dtype=np.int64),
            text=tuple(NEVER_ASKED if r is None else kept_text(r.text) for r in replies),
            finish_reason=tuple("error" if r is None else r.finish_reason for r in replies),
            pruned_messages=pruned_messages,
            minds=(mind,),
            models=(model,),
            calls=Calls.of(asked, [0] * len(asked), [digests[i] for i in asked], made),
        )

    @classmethod
    def asked_often(
        cls,
        mind: str,
        trader: Int64,
        text: Sequence[str],
        finish_reason: Sequence[FinishReason],
        calls: Sequence[Sequence[Call]],
        pruned_messages: Int64,
    ) -> Self:
        """Returns turns of any number of calls each, which stand in the order in which they were made."""
        models = tuple(sorted({call.model for made in calls for call in made}))
        rows = [(i, call) for i, made in enumerate(calls) for call in made]
        return cls(
            trader=trader,
            mind=np.zeros(len(trader), dtype=np.int64),
            text=tuple(text),
            finish_reason=tuple(finish_reason),
            pruned_messages=pruned_messages,
            minds=(mind,),
            models=models,
            calls=Calls.of(
                [i for i, _ in rows],
                [models.index(call.model) for _, call in rows],
                [call.prompt_digest for _, call in rows],
                [call.reply for _, call in rows],
            ),
        )

    @classmethod
    def join(cls, parts: Sequence["Turns"]) -> Self:
        """Returns all rows of `parts` sorted by trader; names that no row uses are left out, others sorted."""
        if not parts:
            return cls.empty()
        trader = np.concatenate([p.trader for p in parts])
        order = np.argsort(trader, kind="stable")
        minds = _names((p.minds, p.mind) for p in parts)
        models = _names((p.models, p.calls.model) for p in parts)
        text = [value for p in parts for value in p.text]
        finish_reason = [value for p in parts for value in p.finish_reason]
        picked = order.tolist()
        return cls(
            trader=trader[order],
            mind=_renumbered(minds, ((p.minds, p.mind) for p in parts))[order],
            text=tuple([text[i] for i in picked]),
            finish_reason=tuple([finish_reason[i] for i in picked]),
            pruned_messages=np.concatenate([p.pruned_messages for p in parts])[order],
            minds=minds,
            models=models,
            calls=_joined_calls(parts, order, _renumbered(models, ((p.models, p.calls.model) for p in parts))),
        )

    def take(self, rows: Int64) -> "Turns":
        """Returns the turns at these indices, which ascend, with their calls."""
        number = np.full(len(self), -1, dtype=np.int64)
        # The new number of each turn, -1 for those that are left out with their calls.
        number[rows] = np.arange(len(rows))
        calls = self.calls.take(np.flatnonzero(number[self.calls.turn] >= 0))
        picked = rows.tolist()
        return Turns(
            trader=self.trader[rows],
            mind=self.mind[rows],
            text=tuple([self.text[i] for i in picked]),
            finish_reason=tuple([self.finish_reason[i] for i in picked]),
            pruned_messages=self.pruned_messages[rows],
            minds=self.minds,
            models=self.models,
            calls=replace(calls, turn=number[calls.turn]),
        )

    def without_calls(self) -> "Turns":
        """Returns the same turns as turns in which no model was called."""
        return replace(self, models=(), calls=Calls.of([], [], [], []))

    def made(self, turn: int) -> list[Call]:
        """Returns the calls of one turn, as a mind that goes on asking hands them on."""
        calls, found = self.calls, []
        for i in np.flatnonzero(calls.turn == turn).tolist():
            usage = TokenUsage(*(int(column[i]) for column in calls.usage))
            told = None if np.isnan(calls.first_token_s[i]) else float(calls.first_token_s[i])
            reply = ModelReply("", usage, calls.finish_reason[i], float(calls.latency_s[i]), told)
            found.append(Call(self.models[int(calls.model[i])], int(calls.prompt_digest[i]), reply))
        return found

    @property
    def prompt_tokens(self) -> Int64:
        """Tokens of all prompts of each turn."""
        return self.total(self.calls.prompt_tokens)

    @property
    def completion_tokens(self) -> Int64:
        """Tokens of all replies of each turn."""
        return self.total(self.calls.completion_tokens)

    @property
    def cached_prompt_tokens(self) -> Int64:
        """Of each turn's prompt tokens, those in the engine's cache."""
        return self.total(self.calls.cached_prompt_tokens)

    @property
    def shared_prompt_tokens(self) -> Int64:
        """Of each turn's prompt tokens, those that were computed for another trader."""
        return self.total(self.calls.shared_prompt_tokens)

    @property
    def latency_s(self) -> Float64:
        """Seconds of all calls of each turn together."""
        if self._asked_once:
            return self.calls.latency_s
        return np.bincount(self.calls.turn, weights=self.calls.latency_s, minlength=len(self)).astype(np.float64)

    @property
    def first_token_s(self) -> Float64:
        """Seconds until the first token of each turn's first call; NaN where nobody told it."""
        told = np.full(len(self), np.nan)
        # From the last call to the first, so that the first one is what is left.
        told[self.calls.turn[::-1]] = self.calls.first_token_s[::-1]
        return told

    @property
    def mind_names(self) -> list[str]:
        """The mind of each turn."""
        return [self.minds[i] for i in self.mind.tolist()]

    @property
    def last_model(self) -> Int64:
        """The model of each turn's last call, an index into `models`; -1 where no call was made."""
        model = np.full(len(self), -1, dtype=np.int64)
        model[self.calls.turn] = self.calls.model
        return model

    @property
    def _asked_once(self) -> bool:
        return len(self.calls) == len(self) and bool((self.calls.turn == np.arange(len(self))).all())

    def total(self, column: Int64) -> Int64:
        """Returns the sum of a column of `calls` by turn."""
        if self._asked_once:
            return column
        # Sums of floating-point numbers are exact up to 2^53 tokens a turn.
        return np.bincount(self.calls.turn, weights=column, minlength=len(self)).astype(np.int64)

    def to_record(self) -> dict[str, Any]:
        """Returns plain values of what is part of the history."""
        calls = self.calls
        return {
            "trader": self.trader.tolist(),
            "mind": self.mind.tolist(),
            "text": list(self.text),
            "finish_reason": list(self.finish_reason),
            "pruned_messages": self.pruned_messages.tolist(),
            "minds": list(self.minds),
            "models": list(self.models),
            "calls": {
                "turn": calls.turn.tolist(),
                "model": calls.model.tolist(),
                "prompt_tokens": calls.prompt_tokens.tolist(),
                "completion_tokens": calls.completion_tokens.tolist(),
                "prompt_digest": calls.prompt_digest.tolist(),
                "finish_reason": list(calls.finish_reason),
            },
        }

    @classmethod
    def from_record(cls, record: Any) -> Self:
        """Returns what `to_record` wrote; RecordError names the field that is wrong.

        Columns beside the history are zero or NaN, and which traders, minds and models a run has is not checked.
        """
        names = ("trader", "mind", "text", "finish_reason", "pruned_messages", "minds", "models", "calls")
        record = records.mapping(record, "turns", names)
        minds, models = records.texts(record["minds"], "turns.minds"), records.texts(record["models"], "turns.models")
        trader = records.column(record["trader"], "turns.trader", low=0)
        records.ascending(trader, "turns.trader")
        n = len(trader)
        return cls(
            trader=trader,
            mind=records.column(record["mind"], "turns.mind", n, 0, len(minds) - 1),
            text=records.texts(record["text"], "turns.text", n),
            finish_reason=_finish_reasons(record["finish_reason"], "turns.finish_reason", n),
            pruned_messages=records.column(record["pruned_messages"], "turns.pruned_messages", n, 0, MAX_RECORDED),
            minds=minds,
            models=models,
            calls=_calls_from_record(record["calls"], n, len(models)),
        )


def kept_text(text: str) -> str:
    """Returns what is read and journalled of a reply: valid Unicode, cut where it is endless."""
    return text[: MAX_REPLY_CHARS + 1].encode(errors="replace").decode()


def _names(columns: Iterable[tuple[tuple[str, ...], Int64]]) -> tuple[str, ...]:
    """Returns all names that some row uses, sorted, so that a record does not depend on how traders are spread."""
    return tuple(sorted({names[i] for names, used in columns for i in np.unique(used).tolist()}))


def _renumbered(names: tuple[str, ...], columns: Iterable[tuple[tuple[str, ...], Int64]]) -> Int64:
    """Returns one column of indices into `names` from several columns of indices into names of their own."""
    number = {name: i for i, name in enumerate(names)}
    parts = [np.array([number.get(name, -1) for name in own], dtype=np.int64)[used] for own, used in columns]
    return np.concatenate(parts)


def _joined_calls(parts: Sequence[Turns], order: Int64, model: Int64) -> Calls:
    """Returns all calls of `parts`; row i of the joined turns is row `order[i]` of the parts one after another."""
    # The row of each turn among the joined ones, by its row in the parts one after another.
    row = np.empty(len(order), dtype=np.int64)
    row[order] = np.arange(len(order))
    starts = np.cumsum([0, *(len(p) for p in parts)])
    turn = np.concatenate([row[p.calls.turn + start] for p, start in zip(parts, starts.tolist(), strict=False)])
    columns: dict[str, Any] = {"turn": turn, "model": model}
    for f in fields(Calls):
        if f.name == "finish_reason":
            columns[f.name] = tuple([reason for p in parts for reason in p.calls.finish_reason])
        elif f.name not in columns:
            columns[f.name] = np.concatenate([getattr(p.calls, f.name) for p in parts])
    return Calls(**columns).take(np.argsort(turn, kind="stable"))


def _calls_from_record(record: Any, turns: int, models: int) -> Calls:
    names = ("turn", "model", "prompt_tokens", "completion_tokens", "prompt_digest", "finish_reason")
    record = records.mapping(record, "turns.calls", names)
    turn = records.column(record["turn"], "turns.calls.turn", low=0, high=turns - 1)
    if (np.diff(turn) < 0).any():
        raise records.RecordError("turns.calls.turn: expected calls in the order of their turns")
    n = len(turn)

    def column(name: str, low: int, high: int) -> Int64:
        return records.column(record[name], f"turns.calls.{name}", n, low, high)

    zeros = np.zeros(n, dtype=np.int64)
    return Calls(
        turn=turn,
        model=column("model", 0, models - 1),
        prompt_tokens=column("prompt_tokens", 0, MAX_RECORDED),
        completion_tokens=column("completion_tokens", 0, MAX_RECORDED),
        prompt_digest=column("prompt_digest", records.LOWEST, records.HIGHEST),
        finish_reason=_finish_reasons(record["finish_reason"], "turns.calls.finish_reason", n),
        cached_prompt_tokens=zeros,
        shared_prompt_tokens=zeros,
        latency_s=np.zeros(n),
        first_token_s=np.full(n, np.nan),
    )


def _finish_reasons(value: Any, name: str, length: int) -> tuple[Any, ...]:
    found = records.texts(value, name, length)
    if unknown := set(found) - _FINISH_REASONS:
        raise records.expected(name, "how a reply ended", min(unknown))
    return found
