"""The engine of the embedded models: onnxruntime on the CPU, many prompts of a round at once.

The same prompt and seed give the same reply whatever else is in the batch: a prompt is padded by its own length alone,
and each row of a product of matrices is added up in one order, however many rows there are. The public part of a round
is computed once for a chunk of prompts. There is no network here, no download and no clock but for deadlines.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import accumulate
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from swarm.errors import ConfigError
from swarm.llm.engines.embedded import case_tokens, news_tokens, review_tokens, tokenizer
from swarm.llm.engines.embedded.config import CASES, GRAPH, READER, REVIEWER, EmbeddedModel
from swarm.llm.margins import margin_of
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.seeding import draw_unit

CHUNK_ROWS = 640
"""Rows of private parts that are computed at once: enough to keep a core's units for multiplication busy and to share
the public part, few enough to stay near the core and to need about 10 MB of memory."""

BUCKET = 4
"""Rows of a part are padded to a multiple of this, so that prompts of nearly one length are computed together."""

MOST_ROWS = 64
"""Rows of one part of a prompt that are read; what gossip lies beyond is not."""

QUESTION_TOKENS = 4
"""Tokens with which the engine itself asks for the two letters."""

GRAIN = 1024
"""Logits are rounded to 1 / this, so that a tie is a tie on every processor, and the earlier letter wins it."""

_ENDS = ({"public", "private"}, {"letters"})
"""What a model takes and what it gives."""

NO_MENU = "embedded models answer menus and nothing else; set form: menu"
NO_NEWS = "the embedded reader answers the form replenish of supply chains and nothing else; name another temperament"
NO_CASE = "the embedded model of cases answers the form case of fraud desks and nothing else; name another temperament"

NO_REVIEW = "this embedded model reviews contracts, in the form review, and answers nothing else; name another path"

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request, tokenised; `actions` and `sayings` are how many letters of each it may answer with, 0 for none.

    `options` has the answers that letters stand for, where they are none themselves.
    """

    index: int
    public: tokenizer.Lines
    private: tokenizer.Lines
    actions: int
    sayings: int
    spelled: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Requests that are computed together: the public part that they share, and how high each private part is."""

    public: tokenizer.Ids
    asked: list[_Asked]
    height: int


class EmbeddedEngine:
    """A `ModelClient` that runs one of the tiny models in this process."""

    def __init__(self, config: EmbeddedModel) -> None:
        self.config = config
        # A folder of `swarm distil` may be written again while this process lasts.
        changed_ns = config.weights.stat().st_mtime_ns if config.weights.is_file() else 0
        self._session = _session(config.name, config.weights, config.threads, changed_ns)
        # A file says itself which prompts it was schooled on, wherever it lies.
        self._reads, self._unread = _SCHOOLED.get(self._session.get_modelmeta().graph_name, (_tokenised, NO_MENU))

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answers every request; other models compute beside it in other threads."""
        return await asyncio.to_thread(self.answer, requests, deadline_s)

    def answer(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answers every request now; what is not begun by the deadline comes back as an error."""
        started = perf_counter()
        # Request i has its replies at starts[i] up to starts[i + 1]; what is no menu keeps the failure.
        starts = list(accumulate((request.samples for request in requests), initial=0))
        replies = [ModelReply(self._unread, TokenUsage(0, 0), "error", 0.0)] * starts[-1]
        for chunk in self._chunks(requests):
            if perf_counter() - started >= deadline_s:
                for asked in chunk.asked:
                    late = ModelReply("not begun by the deadline", _usage(asked, 0), "deadline", deadline_s)
                    samples = requests[asked.index].samples
                    replies[starts[asked.index] : starts[asked.index + 1]] = [late] * samples
                continue
            for asked, letters in zip(chunk.asked, _rounded(self._run(chunk)), strict=True):
                for number, sample in enumerate(requests[asked.index].singly()):
                    text = self._pick(letters, asked, sample.seed)
                    usage = _usage(asked, len(text))
                    margin = _margin(letters[0, : asked.actions], text) if sample.margin else None
                    reply = ModelReply(text, usage, "stop", perf_counter() - started, margin=margin)
                    replies[starts[asked.index] + number] = reply.shared() if number else reply
        return replies

    def shares(self, requests: Sequence[ModelRequest]) -> list[tuple[Float64, Float64]]:
        """Returns the likelihoods of the letters of each request: [actions] and [sayings], each adding up to 1."""
        found: dict[int, tuple[Float64, Float64]] = {}
        for chunk in self._chunks(requests):
            for asked, letters in zip(chunk.asked, self._run(chunk), strict=True):
                found[asked.index] = (_softmax(letters[0, : asked.actions]), _softmax(letters[1, : asked.sayings]))
        return [found[index] for index in range(len(requests))]

    def shapes(self, requests: Sequence[ModelRequest]) -> list[tuple[int, int, int]]:
        """Returns of each chunk that is computed how many prompts it has, the rows of each and the lines they share."""
        return [(len(chunk.asked), chunk.height, len(chunk.public)) for chunk in self._chunks(requests)]

    def _chunks(self, requests: Sequence[ModelRequest]) -> Iterator[_Chunk]:
        # Only prompts with the same public part and the same height go through the same arithmetic.
        groups: dict[tuple[tokenizer.Lines, int], list[_Asked]] = {}
        for index, request in enumerate(requests):
            if asked := self._reads(index, request):
                height = -(-len(asked.private.rows) // BUCKET) * BUCKET
                groups.setdefault((asked.public, height), []).append(asked)
        for (public, height), group in groups.items():
            grid = tokenizer.grid(public.rows, -(-len(public.rows) // BUCKET) * BUCKET)
            most = max(1, CHUNK_ROWS // height)
            for start in range(0, len(group), most):
                yield _Chunk(grid, group[start : start + most], height)

    def _run(self, chunk: _Chunk) -> Float32:
        """Returns the logits of the letters, [prompts, 2, letters]."""
        # [prompts, height, WIDTH] token ids.
        private = np.stack([tokenizer.grid(asked.private.rows, chunk.height) for asked in chunk.asked])
        logits: Float32 = self._session.run(["letters"], {"public": chunk.public, "private": private})[0]
        return logits

    def _pick(self, rounded: Float32, asked: _Asked, seed: int) -> str:
        letters = ""
        for letter, legal in enumerate((asked.actions, asked.sayings)):
            # Who reads news has nothing to say.
            if not legal:
                continue
            if self.config.temperature > 0:
                chance = float(draw_unit(seed, "letter", letter)[0])
                shares = _softmax(rounded[letter, :legal] / self.config.temperature)
                number = min(int(np.searchsorted(np.cumsum(shares), chance, side="right")), legal - 1)
            else:
                number = int(rounded[letter, :legal].argmax())
            letters += tokenizer.LETTERS[number]
        return asked.spelled(letters)


def _usage(asked: _Asked, completion: int) -> TokenUsage:
    return TokenUsage(asked.public.tokens + asked.private.tokens + QUESTION_TOKENS, completion)


def _rounded(logits: Float32) -> Float32:
    return (np.rint(logits * GRAIN) / GRAIN).astype(np.float32, copy=False)


def _margin(rounded: Float32, text: str) -> float:
    shares = _softmax(rounded)
    return margin_of(dict(zip(tokenizer.LETTERS, shares.tolist(), strict=False)), text[0])


def _softmax(logits: npt.NDArray[Any]) -> Float64:
    # The largest becomes 1, so that no power overflows; of no letters there are no shares.
    raised = np.exp(logits.astype(np.float64) - logits.max(initial=-np.inf))
    shares: Float64 = raised / raised.sum()
    return shares


def _tokenised(index: int, request: ModelRequest) -> _Asked | None:
    """Returns a request as tokens; None where it is no menu's."""
    pairs = request.schema.get("enum")
    public_text, private_text = tokenizer.split_prompt(request.messages[-1].content)
    # Letters without a saying are another form's, such as a supply chain's.
    if not pairs or not private_text or any(len(pair) != 2 for pair in pairs):
        return None
    # The pairs of a menu are all those of its letters, and the last pair has the last letter of either kind.
    actions, sayings = (tokenizer.LETTERS.find(letter) + 1 for letter in pairs[-1])
    if actions * sayings != len(pairs):
        return None
    public = _bounded(tokenizer.encode_public(public_text))
    private = _bounded(tokenizer.encode(private_text, tokenizer.market_goods(public_text)))
    return _Asked(index, public, private, actions, sayings)


def _as_news(index: int, request: ModelRequest) -> _Asked | None:
    """Returns a request of a supply chain as tokens; None where it is another form's."""
    letters = request.schema.get("enum")
    public, private = news_tokens.encode(request.messages[-1].content)
    if request.schema.get("title") != news_tokens.TITLE or not letters or not private.rows:
        return None
    return _Asked(index, public, private, len(letters), 0)


def _as_case(index: int, request: ModelRequest) -> _Asked | None:
    """Returns a request of a fraud desk as tokens; None where it is another form's, or there is no case."""
    options = request.schema.get("enum")
    text = request.messages[-1].content
    public, private = case_tokens.encode(text)
    if request.schema.get("title") != case_tokens.TITLE or not options or not private.rows:
        return None
    spelled = partial(case_tokens.answer, options=tuple(options))
    letters = 1 if case_tokens.none_asked(text) else len({option[0] for option in options})
    return _Asked(index, public, private, letters, case_tokens.kinds(options), spelled)


def _as_review(index: int, request: ModelRequest) -> _Asked | None:
    """Returns a request of a contract desk as tokens; None where it is another form's, or there is no case."""
    public, private = review_tokens.encode(request.messages[-1].content)
    if request.schema.get("title") != review_tokens.TITLE or not private.rows:
        return None
    # What may be answered has a line's number as its second letter; the largest is that of the last line.
    lines = max((int(told[1:]) for told in request.schema.get("enum", ()) if len(told) > 1), default=0)
    return _Asked(index, public, private, review_tokens.VERDICTS, lines, review_tokens.answer)


_SCHOOLED = {
    GRAPH.format(READER): (_as_news, NO_NEWS),
    GRAPH.format(CASES): (_as_case, NO_CASE),
    GRAPH.format(REVIEWER): (_as_review, NO_REVIEW),
}
"""How models that answer no menu take their prompts, by what they were schooled as, and what else they are told."""


def _bounded(lines: tokenizer.Lines) -> tokenizer.Lines:
    """Returns at most MOST_ROWS rows; gossip and news are given up first, since nothing else can be missed."""
    surplus = len(lines.rows) - MOST_ROWS
    if surplus <= 0:
        return lines
    talk = (tokenizer.TOKEN["<HEARD>"], tokenizer.TOKEN["<NEWS>"])
    kept = []
    # From the end, since what was heard last is given up first.
    for row in reversed(lines.rows):
        if surplus > 0 and row[0] in talk:
            surplus -= 1
        else:
            kept.append(row)
    return tokenizer.Lines(tuple(reversed(kept))[:MOST_ROWS], lines.section)


@cache
def _share_memory() -> None:
    """Makes, once in a process, the memory that all its models compute in, since each would keep as much for itself."""
    kind, default = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", kind, 0, default), None)


@lru_cache(maxsize=16)
def _session(name: str, weights: Path, threads: int, changed_ns: int) -> onnxruntime.InferenceSession:
    """Returns the model of a file, loaded once per process and time at which it was written."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # One order of additions, so that the same prompt gives the same logits.
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    _share_memory()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = 3
    try:
        content = weights.read_bytes()
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        # A model of something else loads as well, and would fail at every call.
        if ({one.name for one in session.get_inputs()}, {one.name for one in session.get_outputs()}) == _ENDS:
            return session
        reason = "it takes and gives other things than a menu's letters"
    except OSError as error:
        reason = error.strerror or "no such file"
    except Exception as error:
        reason = str(error).splitlines()[0][:120]
    raise ConfigError(
        f"models.{name}",
        f"{weights} cannot be loaded as a model's weights ({reason})",
        "name a folder that `swarm distil` has written; for one of the five, install swarm again",
    )
