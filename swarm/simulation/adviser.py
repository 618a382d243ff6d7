"""Asks a model on behalf of a party between two rounds: one question, one answer within a bound, or why there is none.

Whoever asks journals what came of it, so that a replay asks nobody. The model runs in this process, or is reached from
it; its tokens are told with each answer and are no part of the run's budget, which is the traders'.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from swarm.errors import ConfigError, suggest
from swarm.llm import engines
from swarm.llm.config import engine_of
from swarm.llm.entry import ModelEntry
from swarm.llm.protocol import Message, ModelClient, ModelRequest

DEADLINE_S = 60.0
"""How long an answer is waited for."""


@dataclass(frozen=True, slots=True)
class Advice:
    """An answer: the text, empty where there is none, and in words what it took or why it failed."""

    text: str
    told: str


class Adviser:
    """One model, which is asked one question at a time."""

    def __init__(self, entry: ModelEntry) -> None:
        self.entry = entry
        self._client: ModelClient | None = None
        # A thread of its own, since a party acts inside an event loop that must not be entered twice.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"adviser-{entry.name}")

    def ask(self, rules: str, question: str, schema: dict[str, Any], seed: int, max_tokens: int) -> Advice:
        """Returns the model's answer; whatever goes wrong with it is told, and never raised."""
        messages = (Message("system", rules), Message("user", question))
        request = ModelRequest(messages, schema, max_tokens, seed)
        try:
            # Made when it is first asked, so that a run that only resumes recorded rounds loads nothing.
            if self._client is None:
                self._client = engines.in_process(self.entry)
            (reply,) = self._thread.submit(asyncio.run, self._client.complete([request], DEADLINE_S)).result()
        except Exception as error:
            return Advice("", f"{self.entry.name} has failed ({type(error).__name__})")
        if reply.failed:
            return Advice("", f"{self.entry.name} has not answered ({reply.finish_reason})")
        return Advice(reply.text, f"{reply.usage.prompt} and {reply.usage.completion} tokens of {self.entry.name}")


@runtime_checkable
class Advised(Protocol):
    """A party that asks a model where it is given one."""

    adviser: Adviser | None


def adviser_of(model: str, key: str, models: Sequence[Mapping[str, Any]]) -> Adviser:
    """Returns an adviser by the model of a config that is called so; ConfigError at `key` where there is none."""
    for entry in models:
        if entry["name"] == model:
            return Adviser(engines.find(engine_of(dict(entry))).config.model_validate(dict(entry), strict=False))
    names = [str(entry["name"]) for entry in models]
    raise ConfigError(
        key, f"there is no model {model!r}{suggest(model, names)}", f"known: {', '.join(names) or 'none'}"
    )
