"""Puts a vLLM engine behind the protocol of all models: one process of this one's children that holds the weights.

It is the plain asynchronous engine and not `ray.serve.llm`. A batch is one message to a deployment of ours, where
`ray.serve.llm` takes one per request; the engine is up in half the time and with a quarter less memory (28 s and
1.2 GB against 58 s and 1.6 GB, measured on a CPU); the tokens that the prefix cache saved are in each result; and no
run depends on the one version of vLLM that Ray's wrapper was made for. What the wrapper brings beyond that, chat
templates, the form of replies, errors and an HTTP API, takes less code here than its config would.

This is the only module that imports vLLM. It knows no Ray: in a replica and in a run without Ray it is the same.
"""

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

from swarm.errors import ModelError
from swarm.llm.engines.vllm.arguments import engine_arguments, environment
from swarm.llm.engines.vllm.config import VllmModel
from swarm.llm.margins import ALTERNATIVES, Token, margin_in
from swarm.llm.marks import broken
from swarm.llm.protocol import MAX_REPLY_CHARS, FinishReason, Message, ModelReply, ModelRequest, TokenUsage, folded
from swarm.llm.scores import NO, YES, scored

ABORT_S = 0.5
"""Seconds that the engine gets to let go of requests whose deadline has come."""

WARM_UP_TIMEOUT_S = 300.0
_WARM_UP_SCHEMA = {
    "type": "object",
    "properties": {"ready": {"type": "string", "enum": ["yes"]}},
    "required": ["ready"],
    "additionalProperties": False,
}


class VllmEngine:
    """A `ModelClient` that keeps an engine from `open` to `close`; without `open`, the first batch starts it."""

    def __init__(self, config: VllmModel) -> None:
        self.config = config
        self._engine: Any = None
        self._tokenizer: Any = None
        self._template: str | None = None
        self._opening = asyncio.Lock()
        self._numbers = count()

    async def open(self) -> None:
        """Loads the model and waits until it answers, which takes from half a minute to many."""
        async with self._opening:
            if self._engine is not None:
                return
            os.environ.update(environment(self.config))
            self._engine = await asyncio.to_thread(_start, self.config)
            self._tokenizer = self._engine.get_tokenizer()
            if self.config.chat_template:
                self._template = Path(self.config.chat_template).read_text(encoding="utf-8")
            # The first request with a schema loads and compiles for seconds, which no trader should wait for.
            hello = ModelRequest((Message("user", "Are you ready?"),), _WARM_UP_SCHEMA, 16, 0)
            [reply] = await self._complete([hello], WARM_UP_TIMEOUT_S)
            if reply.failed:
                self._shut_down()
                raise ModelError(f"models: {self.config.name}: the engine is up but does not answer: {reply.text}")

    async def close(self) -> None:
        """Ends the engine's process."""
        async with self._opening:
            self._shut_down()

    async def check_health(self) -> None:
        """Raises if the engine's process has ended."""
        if self._engine is not None:
            await self._engine.check_health()

    async def forget(self) -> None:
        """Empties the prefix cache, so that what is measured next does not profit from what was before."""
        if self._engine is not None:
            await self._engine.reset_prefix_cache()

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Works on all requests at once; what is not done by the deadline is given up and comes back as an error."""
        if self._engine is None:
            await self.open()
        return await self._complete(requests, deadline_s)

    async def _complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        started = perf_counter()
        prompts = await asyncio.to_thread(self.tokens, requests)
        tasks = [
            asyncio.create_task((self._score if request.branches else self._one)(request, tokens, started))
            for request, tokens in zip(requests, prompts, strict=True)
        ]
        if not tasks:
            return []
        _, late = await asyncio.wait(tasks, timeout=max(0.0, deadline_s - (perf_counter() - started)))
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=ABORT_S)
        missed = ModelReply("the deadline came before the reply", TokenUsage(0, 0), "deadline", deadline_s)
        answered = zip(requests, tasks, strict=True)
        return [reply for r, task in answered for reply in ([missed] * r.samples if task in late else task.result())]

    def tokens(self, requests: Sequence[ModelRequest]) -> list[list[int]]:
        """Returns each prompt's tokens by the model's chat template; none where the template refuses it."""
        return self._encoded(self._texts(requests))

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        # The template has written the marks of the beginning already.
        encoded: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return encoded

    def _texts(self, requests: Sequence[ModelRequest]) -> list[str]:
        """Returns each prompt as the model's chat template writes it; nothing where the template refuses it."""
        extra = dict(self.config.entry.template_arguments) if self.config.entry else {}
        # Those of most models begin with a bracket and are broken already; a tokenizer may know others.
        added = self._tokenizer.added_tokens_decoder.values()
        own_marks = {*self._tokenizer.all_special_tokens, *(str(token) for token in added if token.special)}
        texts = []
        for request in requests:
            messages = request.messages if self.config.has_system_role else folded(request.messages)
            # What a template raises is its own business: a missing role, roles out of turn.
            with contextlib.suppress(Exception):
                texts.append(
                    self._tokenizer.apply_chat_template(
                        [{"role": m.role, "content": broken(m.content, own_marks)} for m in messages],
                        chat_template=self._template,
                        tokenize=False,
                        add_generation_prompt=True,
                        **extra,
                    )
                )
                continue
            texts.append("")
        return texts

    async def _one(self, request: ModelRequest, tokens: list[int], started: float) -> list[ModelReply]:
        """Returns the replies to one prompt, which is computed once for all of its samples."""
        from vllm import SamplingParams
        from vllm.inputs.engine import tokens_input
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        def failed(reason: str, kind: FinishReason = "error") -> list[ModelReply]:
            return [ModelReply(reason, TokenUsage(len(tokens), 0), kind, perf_counter() - started)] * request.samples

        if not tokens:
            return failed("the model's chat template refuses these messages")
        room = self.config.max_model_len - len(tokens)
        if room < request.max_tokens:
            return failed(
                f"the prompt takes {len(tokens)} tokens and the reply {request.max_tokens}, more than max_model_len "
                f"({self.config.max_model_len})",
                "too_large",
            )
        try:
            # vLLM gives sample i of a request the seed + i.
            wanted = SamplingParams(
                n=request.samples,
                temperature=self.config.temperature if request.temperature is None else request.temperature,
                max_tokens=request.max_tokens,
                seed=request.seed & 0x7FFFFFFF,
                logprobs=ALTERNATIVES if request.margin and "enum" in request.schema else None,
                output_kind=RequestOutputKind.FINAL_ONLY,
                structured_outputs=(
                    StructuredOutputsParams(json=request.schema, disable_any_whitespace=True)
                    if request.schema
                    else None
                ),
            )
            last: Any = None
            async for output in self._engine.generate(tokens_input(tokens), wanted, self._name()):
                last = output
        except Exception as error:
            # A dead engine fails every request, and the health check sees to it; anything else is this request's own.
            return failed(f"{type(error).__name__}: {error}".splitlines()[0][:200])
        replies = []
        for number, done in enumerate(sorted(last.outputs, key=lambda output: output.index)):
            usage = TokenUsage(len(tokens), len(done.token_ids), last.num_cached_tokens or 0)
            reason: FinishReason = "length" if done.finish_reason == "length" else "stop"
            margin = margin_in(_likelihoods(done), done.text) if request.margin else None
            reply = ModelReply(done.text, usage, reason, perf_counter() - started, margin=margin)
            if len(done.text) > MAX_REPLY_CHARS:
                reply = failed(f"a reply of {len(done.text)} characters", "too_large")[0]
            replies.append(reply.shared() if number else reply)
        return replies

    async def _score(self, request: ModelRequest, tokens: list[int], started: float) -> list[ModelReply]:
        """Returns one reply for each sample: the log-odds of yes over no behind each branch, on raw likelihoods."""

        def failed(reason: str, kind: FinishReason = "error") -> list[ModelReply]:
            return [ModelReply(reason, TokenUsage(len(tokens), 0), kind, perf_counter() - started)] * request.samples

        if not tokens:
            return failed("the model's chat template refuses these messages")
        words = self._encoded([YES, NO])
        if [len(word) for word in words] != [1, 1]:
            return failed(f"its vocabulary has no single token for {YES!r} and {NO!r}")
        # The same line is scored once, and each together with its prompt, as one text.
        [text] = self._texts([request])
        lines = sorted(set(request.branches))
        whole = dict(zip(lines, self._encoded([text + line for line in lines]), strict=True))
        if (longest := max(map(len, whole.values()))) >= self.config.max_model_len:
            return failed(f"a line takes {longest} tokens with its prompt, more than max_model_len", "too_large")
        ids = [word[0] for word in words]
        try:
            # The first computes what all share, and the others find it in the cache.
            first = await self._log_odds(whole[lines[0]], ids)
            rest = await asyncio.gather(*(self._log_odds(whole[line], ids) for line in lines[1:]))
        except Exception as error:
            return failed(f"{type(error).__name__}: {error}".splitlines()[0][:200])
        found = dict(zip(lines, (first, *rest), strict=True))
        # All branches count as if each were asked alone; what was not computed anew counts as cached.
        total = len(tokens) + sum(max(len(whole[line]) - len(tokens), 0) for line in request.branches)
        computed = sum(len(whole[line]) - cached for line, (_, cached) in found.items())
        spent = TokenUsage(total, 0, max(total - computed, 0))
        heat = self.config.temperature if request.temperature is None else request.temperature
        replies = []
        for number, seed in enumerate((request.seed, *request.more_seeds)):
            taken = scored([found[branch][0] for branch in request.branches], heat, seed)
            margin = taken.margin if request.margin else None
            reply = ModelReply(taken.to_text(heat > 0), spent, "stop", perf_counter() - started, margin=margin)
            replies.append(reply.shared() if number else reply)
        return replies

    async def _log_odds(self, tokens: list[int], yes_and_no: list[int]) -> tuple[float, int]:
        """Returns the logit of yes less that of no behind a text, and how many of its tokens were cached."""
        from vllm import SamplingParams
        from vllm.inputs.engine import tokens_input
        from vllm.sampling_params import RequestOutputKind

        wanted = SamplingParams(
            temperature=0.0,
            max_tokens=1,
            logprob_token_ids=yes_and_no,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        last: Any = None
        async for output in self._engine.generate(tokens_input(tokens), wanted, self._name()):
            last = output
        [likely] = last.outputs[0].logprobs
        yes, no = (float(likely[token].logprob) for token in yes_and_no)
        return yes - no, last.num_cached_tokens or 0

    def _name(self) -> str:
        return f"{self.config.name}-{next(self._numbers)}"

    def _shut_down(self) -> None:
        if self._engine is not None:
            self._engine.shutdown()
            self._engine = None


def _likelihoods(done: Any) -> list[Token]:
    """Returns how likely each token of a completion was beside others."""
    found: list[Token] = []
    for chosen, likely in zip(done.token_ids, done.logprobs or (), strict=False):
        others = [(str(other.decoded_token), float(other.logprob)) for other in likely.values()]
        found.append((str(likely[chosen].decoded_token), others))
    return found


def _start(config: VllmModel) -> Any:
    try:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        raise ModelError(
            f"models: {config.name}: vLLM cannot be imported ({error}); see docs/models.md for how to install it"
        ) from error
    try:
        with gpu_to_itself():
            return AsyncLLM.from_engine_args(AsyncEngineArgs(**engine_arguments(config)))
    except Exception as error:
        # vLLM's last line says what was wrong; those before it say where.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = (lines or [type(error).__name__])[-1][:300]
        raise ModelError(f"models: {config.name}: vLLM does not start ({reason})") from error


@contextlib.contextmanager
def gpu_to_itself() -> Iterator[None]:
    """Keeps other engines from starting on the same GPU meanwhile, since each measures what memory is free.

    The lock is a file of the node for each GPU, so that it also holds between replicas that grow or restart on their
    own; the system lets go of it when a process dies. Without a GPU there is nothing to wait for.
    """
    gpus = sorted(g for g in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if g.strip())
    with contextlib.ExitStack() as stack:
        # Always in the same order, so that two engines of two GPUs each cannot wait for each other.
        for gpu in gpus:
            path = Path(tempfile.gettempdir(), f"swarm-{os.getuid()}-gpu-{''.join(filter(str.isalnum, gpu))}.lock")
            file = stack.enter_context(path.open("a"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
