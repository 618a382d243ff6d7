"""Replies of models that are asked for once and kept by what was asked, in memory and in a file.

A benchmark of a slow model can so be broken off and gone on with, and whoever looks at the same answers asks nothing
anew. What was lost is counted by reason and never kept, so that it is asked for again.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from swarm.bench.kept import digests, lines_of
from swarm.errors import OutputError
from swarm.llm.asking import asked_of
from swarm.llm.config import ModelConfig
from swarm.llm.protocol import Connected, ModelClient, ModelReply, ModelRequest, TokenUsage
from swarm.llm.scores import read_scores, scored
from swarm.preflight import Narrator

TOGETHER = 8
"""Questions that are asked and written down together; no more are lost where the asking is broken off."""

DEADLINE_S = 900.0
"""Most seconds for questions that are asked together."""

BEGINS = '["'
"""What every kept line begins with."""

EVERY_S = 15.0
"""Seconds between two lines of progress."""

Keyed = list[tuple[str, ModelRequest]]
"""The samples of one question, each with its key."""


@dataclass(slots=True)
class KeptReplies:
    """The texts of all replies by the key of their question; `path` is where they are written, None for nowhere.

    `lost` counts failed replies by model and reason, `asked` those that were asked for, and `read` those that were
    kept before.
    """

    narrator: Narrator
    path: Path | None = None
    known: dict[str, str] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    read: int = 0

    @classmethod
    def at(cls, path: Path | None, narrator: Narrator) -> "KeptReplies":
        """Returns what an earlier process has kept; OutputError where the file cannot be read or written."""
        kept = cls(narrator, path)
        if path is None:
            return kept
        try:
            path.touch()
        except OSError as error:
            raise OutputError(
                f"--replies {path}: this file cannot be read and written ({error.strerror}); name another one"
            ) from error
        for line in lines_of(path, "--replies", BEGINS):
            match _parsed(line):
                case [str(key), str(text)]:
                    kept.known[key] = text
        kept.read = len(kept.known)
        return kept

    def of(self, model: ModelConfig, client: ModelClient) -> "KeptClient":
        """Returns a client that asks `client` only for what is not kept."""
        # A name or a price changes no reply.
        entry = {key: value for key, value in model.model_dump(mode="json").items() if not key.startswith("usd_")}
        if files := digests(entry):
            entry["files"] = files
        heat = float(entry.get("temperature") or 0.0)
        return KeptClient(model.name, json.dumps({**entry, "name": ""}, sort_keys=True), heat, client, self)

    def keep(self, texts: dict[str, str]) -> None:
        """Adds these replies, in the file too."""
        self.known |= texts
        if self.path is not None and texts:
            # What was torn off by a killed process ends with the line break that begins each entry.
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write("".join("\n" + json.dumps(entry) for entry in texts.items()))
            except OSError as error:
                why = f"this file cannot be written ({error.strerror})"
                raise OutputError(f"--replies {self.path}: {why}") from error


class KeptClient:
    """A `ModelClient` whose replies are kept; it tells of its progress, and the tokens of a reply are not known."""

    def __init__(self, name: str, entry: str, temperature: float, client: ModelClient, kept: KeptReplies) -> None:
        self._name = name
        self._entry = entry
        self._temperature = temperature
        self._client = client
        self._kept = kept

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Returns one reply for each sample, those that are not kept by a few questions at a time."""
        if any(request.branches for request in requests):
            return await self._judged(requests, deadline_s)
        singly = [[(self._key(one), one) for one in request.singly()] for request in requests]
        # The same question is asked once, with those of its seeds that have no reply yet.
        missing: list[Keyed] = []
        taken: set[str] = set()
        for samples in singly:
            new = [(key, one) for key, one in samples if key not in self._kept.known and key not in taken]
            taken |= {key for key, _ in new}
            missing += [new] if new else []
        begun = told = perf_counter()
        failed: dict[str, ModelReply] = {}
        for done in range(0, len(missing), TOGETHER):
            failed |= await self._ask(missing[done : done + TOGETHER], deadline_s)
            if perf_counter() - told > EVERY_S:
                told = perf_counter()
                self._tell(min(done + TOGETHER, len(missing)), len(missing), told - begun)
        known = self._kept.known
        return [
            ModelReply(known[key], TokenUsage(0, 0), "stop", 0.0) if key in known else failed[key]
            for samples in singly
            for key, _ in samples
        ]

    async def _judged(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Returns replies of scores: a line behind a prompt is scored once, and replies are drawn from its scores."""
        found: list[ModelReply] = []
        begun = told = perf_counter()
        for done, request in enumerate(requests, 1):
            of = {line: self._key(replace(request, seed=0, branches=(line,))) for line in request.branches}
            missing = tuple(line for line, key in of.items() if key not in self._kept.known)
            failed = await self._score(replace(request, branches=missing, more_seeds=()), of, deadline_s)
            if failed is not None:
                found += [failed] * request.samples
                continue
            values = [float(self._kept.known[of[line]]) for line in request.branches]
            for seed in (request.seed, *request.more_seeds):
                text = scored(values, self._temperature, seed).to_text(self._temperature > 0)
                found.append(ModelReply(text, TokenUsage(0, 0), "stop", 0.0))
            if perf_counter() - told > EVERY_S:
                told = perf_counter()
                self._tell(done, len(requests), told - begun)
        return found

    async def _score(self, request: ModelRequest, of: Mapping[str, str], deadline_s: float) -> ModelReply | None:
        """Keeps the scores of a request's lines, and returns the reply where it failed."""
        if not request.branches:
            return None
        [reply] = await asked_of(self._client, [request], min(deadline_s, DEADLINE_S))
        scores = None if reply.failed else read_scores(reply.text, len(request.branches))
        self._kept.asked += 1
        if scores is None:
            self._kept.lost.update([f"{self._name} {reply.finish_reason if reply.failed else 'no_scores'}"])
            return reply if reply.failed else replace(reply, finish_reason="no_scores")
        values = zip(request.branches, scores.values, strict=True)
        self._kept.keep({of[line]: str(value) for line, value in values})
        return None

    def _tell(self, done: int, of: int, passed_s: float) -> None:
        left_s = passed_s / done * (of - done)
        self._kept.narrator.phase(f"{self._name}: {done} of {of} questions, {left_s:.0f} s left")

    async def close(self) -> None:
        """Lets go of the model behind it."""
        if isinstance(self._client, Connected):
            await self._client.close()

    async def _ask(
        self, questions: Sequence[list[tuple[str, ModelRequest]]], deadline_s: float
    ) -> dict[str, ModelReply]:
        """Keeps the replies to these questions, and returns those that failed."""
        asked = [replace(samples[0][1], more_seeds=tuple(one.seed for _, one in samples[1:])) for samples in questions]
        replies = await asked_of(self._client, asked, min(deadline_s, DEADLINE_S))
        found = dict(zip((key for samples in questions for key, _ in samples), replies, strict=True))
        failed = {key: reply for key, reply in found.items() if reply.failed}
        self._kept.asked += len(found)
        self._kept.lost.update(f"{self._name} {reply.finish_reason}" for reply in failed.values())
        self._kept.keep({key: reply.text for key, reply in found.items() if not reply.failed})
        return failed

    def _key(self, one: ModelRequest) -> str:
        said = [[message.role, message.content] for message in one.messages]
        told = [self._entry, said, one.schema, one.max_tokens, one.temperature, one.branches, one.seed]
        return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
