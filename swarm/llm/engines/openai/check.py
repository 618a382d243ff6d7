"""Asks endpoints whether they serve their models, before a run, by its own client and with one of its requests.

A completion tells both ways: one that comes back well makes a model usable whatever else the endpoint says, and one
that is refused tells why and which key to change. The listing of models is asked for hints alone: a name that was
meant, a context that is too short.
"""

import asyncio
import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import aiohttp

from swarm.llm.engines.openai import asking
from swarm.llm.engines.openai.client import OpenAIClient
from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.engines.openai.mends import mends
from swarm.llm.engines.openai.reading import MAX_BODY_BYTES, Decompressor, decoded, parsed
from swarm.llm.engines.protocol import CheckConditions
from swarm.llm.protocol import Message, ModelReply, ModelRequest

LISTING_TIMEOUT_S = 5.0
ATTEMPTS = 3
"""How often an endpoint is asked before its answer counts, where another may differ."""

_PASSING = ("server_error", "connection", "timeout", "deadline", "too_large")
_START_OR_CORRECT = "start it, or correct its base_url"
_STATUS = re.compile(r"HTTP (\d{3})")
_CONTEXT_KEYS = ("max_model_len", "context_length", "context_window", "max_context_length")
_SCHEMA = {
    "type": "object",
    "properties": {"ready": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["ready"],
    "additionalProperties": False,
}
_HELLO = (Message("system", "You answer in JSON."), Message("user", 'Say {"ready": "yes"} as JSON.'))


def problems(models: Sequence[OpenAIModel], conditions: CheckConditions) -> list[str]:
    """Returns one line for each model that cannot be used: its name, the reason, the way out."""

    async def all_of_them() -> list[str | None]:
        return await asyncio.gather(*(_problem(model, conditions) for model in models))

    return [line for line in asyncio.run(all_of_them()) if line]


def latencies_s(models: Sequence[OpenAIModel], within_s: float) -> dict[str, float]:
    """Returns the seconds of a completion of one token by model; at most `within_s` and a little."""

    async def latency_s(model: OpenAIModel) -> float | None:
        [reply] = await _client(model).complete([ModelRequest(_HELLO, {}, 1, 0)], within_s)
        if reply.finish_reason in ("deadline", "timeout"):
            return within_s
        return None if reply.failed and not reply.usage.total else reply.latency_s

    async def all_of_them() -> list[float | None]:
        return await asyncio.gather(*(latency_s(model) for model in models))

    measured = zip(models, asyncio.run(all_of_them()), strict=True)
    return {model.name: seconds for model, seconds in measured if seconds is not None}


class _UnusableError(Exception):
    """A model cannot be used, for a reason that its endpoint gave."""

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(reason)


async def _problem(model: OpenAIModel, conditions: CheckConditions) -> str | None:
    try:
        await _must_serve(model, conditions)
    except _UnusableError as unusable:
        return f"models: {model.name}: {unusable.reason}; {unusable.remedy}"
    return None


async def _must_serve(model: OpenAIModel, conditions: CheckConditions) -> None:
    """Raises where the endpoint does not serve the model, or not with enough context."""
    if model.api_key_env and not asking.api_key(model):
        raise _UnusableError(
            f"the environment variable {model.api_key_env} is not set",
            "put the endpoint's API key into it, or take api_key_env out if it needs none",
        )
    # What the config says can be checked without asking anybody.
    _must_fit(model.context_tokens, conditions.tokens_per_turn)
    hello = ModelRequest(_HELLO, _SCHEMA, model.max_completion_tokens, 0)
    request = conditions.requests.get(model.name, hello)
    within_s = min(conditions.timeout_s, model.timeout_s)

    async def ask(changed: OpenAIModel, number: int = 0) -> ModelReply:
        asked = replace(request, seed=request.seed + number, more_seeds=())
        [reply] = await _client(changed).complete([asked], within_s)
        return reply

    # Asked as the run will ask; a failure that another seed may mend is tried again.
    reply = await ask(model)
    for number in range(1, ATTEMPTS):
        if not reply.failed or _is_final(reply):
            break
        reply = await ask(model, number)
    listing = await _listing(model)
    # Busy is not broken: a run waits and asks again.
    if reply.failed and reply.finish_reason != "rate_limited":
        if _status_of(reply) >= 400 and reply.finish_reason in ("protocol", "server_error"):
            found = await mends(model, reply.text, ask)
            if found or reply.finish_reason == "protocol":
                raise _refused(model, reply, found)
        # An endpoint that lists the model and fails in passing may be whole again when the run begins.
        if reply.finish_reason not in _PASSING or model.model not in (listing or ()):
            raise _failed(model, reply, listing, within_s)
    _must_fit(None if listing is None else listing.get(model.model), conditions.tokens_per_turn)


def _is_final(reply: ModelReply) -> bool:
    """Tells whether asking again cannot help, or costs too much time."""
    if reply.finish_reason == "protocol":
        return _status_of(reply) >= 300 and "json_validate_failed" not in reply.text
    return reply.finish_reason in ("unauthorized", "model_not_found", "quota", "timeout", "deadline")


def _client(model: OpenAIModel) -> OpenAIClient:
    """Returns the run's own client, but one that does not ask again: what passes is for a run to wait for."""
    return OpenAIClient(model.model_copy(update={"retries": 0}))


def _status_of(reply: ModelReply) -> int:
    found = _STATUS.match(reply.text)
    return int(found[1]) if found else 0


def _must_fit(context: int | None, tokens_per_turn: int) -> None:
    if context is not None and context < tokens_per_turn:
        raise _UnusableError(
            f"its context holds {context} tokens and budget.tokens_per_turn is {tokens_per_turn}",
            "lower budget.tokens_per_turn, or serve the model with a longer context",
        )


def _refused(model: OpenAIModel, reply: ModelReply, found: list[str] | None) -> _UnusableError:
    """Returns what to say of an endpoint that refuses what a run asks."""
    reason = f"{model.base_url} refuses what a run asks ({reply.text})"
    if found is None:
        return _UnusableError(reason, "docs/models.md says which keys change what is asked, such as request.omit")
    return _UnusableError(reason, f"set {' and '.join(found)}: then it answers")


def _failed(model: OpenAIModel, reply: ModelReply, listing: Collection[str] | None, within_s: float) -> _UnusableError:
    """Returns what to say of a model whose completion failed."""
    where, status = model.base_url, _status_of(reply)
    match reply.finish_reason:
        case "timeout" | "deadline":
            return _UnusableError(f"{where} does not answer within {within_s:g} s", _START_OR_CORRECT)
        case "connection":
            return _UnusableError(f"no endpoint answers at {where} ({reply.text})", _START_OR_CORRECT)
        case "unauthorized":
            return _locked(model, status)
        case "model_not_found":
            return _not_found(model, reply, tuple(listing or ()))
        case "quota":
            return _UnusableError(f"the quota at {where} is used up ({reply.text})", "raise it, or take another model")
        case "only_reasoning":
            return _UnusableError(
                f"it only reasons within max_completion_tokens ({model.max_completion_tokens})",
                "raise that, or have it reason less by request.extra, say {reasoning_effort: low} or "
                "{chat_template_kwargs: {enable_thinking: false}}",
            )
        case "empty" | "refused" | "content_filter":
            return _UnusableError(
                f"it gives no answer to a prompt of this run ({reply.text})", "take another model, or another scenario"
            )
        case "no_scores":
            return _UnusableError(
                f"{reply.text} (logprobs and top_logprobs of a chat completion), which the form judge compares",
                "set form: menu, or serve the model where log-probabilities are told",
            )
        case "server_error":
            told = reply.text if status else f"with an error: {reply.text}"
            return _UnusableError(
                f"{where} is there but answers {told}", "see the endpoint's own log, or try again later"
            )
    # Redirects are not followed: a key would go to a host that nobody named.
    if 300 <= status < 400:
        return _UnusableError(f"{where} sends one elsewhere (HTTP {status})", "give the URL that it names")
    return _other_protocol(model, reply.text)


def _locked(model: OpenAIModel, status: int) -> _UnusableError:
    if model.api_key_env:
        return _UnusableError(
            f"{model.base_url} refuses the key in {model.api_key_env} (HTTP {status})",
            "put a valid key into it; api_key_header says which header carries it",
        )
    return _UnusableError(
        f"{model.base_url} wants an API key (HTTP {status})",
        "put it into an environment variable and name that as api_key_env",
    )


def _not_found(model: OpenAIModel, reply: ModelReply, known: tuple[str, ...]) -> _UnusableError:
    """Returns what to say of a missing model, or of a server that has no such route."""
    if not known and "model" not in reply.text.lower():
        return _other_protocol(model, "it has no /chat/completions")
    # A misspelt name is told what was meant, any other what there is.
    close = difflib.get_close_matches(model.model, known, n=1)
    shown = f"; it has {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}" if known else ""
    return _UnusableError(
        f"{model.base_url} has no model {model.model!r}" + (f" (did you mean {close[0]}?)" if close else ""),
        f"correct its model{shown}",
    )


def _other_protocol(model: OpenAIModel, why: str) -> _UnusableError:
    return _UnusableError(
        f"{model.base_url} does not speak OpenAI's protocol ({why})", "correct its base_url, which often ends in /v1"
    )


async def _listing(model: OpenAIModel) -> dict[str, int | None] | None:
    """Returns the context of each model that the endpoint lists, None where not told; None where it lists none."""
    address = asking.url(model, "/models")
    try:
        async with (
            asyncio.timeout(LISTING_TIMEOUT_S),
            aiohttp.ClientSession(
                headers=asking.headers(model, asking.api_key(model)),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            ) as session,
            session.get(address, allow_redirects=False, proxy=asking.proxy_for(address)) as response,
        ):
            decompressor, raw = Decompressor(response.headers.get("Content-Encoding", "")), bytearray()
            while len(raw) <= MAX_BODY_BYTES and (chunk := await response.content.readany()):
                raw += piece if isinstance(piece := decompressor.feed(chunk), bytes) else b""
            return _models_in(parsed(decoded(bytes(raw), ""))) if response.status == 200 else None
    except Exception:
        # A listing gives hints; one that cannot be had gives none.
        return None


def _models_in(listing: Any) -> dict[str, int | None] | None:
    """Returns the models of a listing, which may be a bare array; None where it is no listing."""
    entries = listing.get("data") if isinstance(listing, dict) else listing
    if not isinstance(entries, list):
        return None
    found: dict[str, int | None] = {}
    for entry in entries:
        # OpenAI's listings have objects with an id; some servers give names alone.
        name = entry.get("id", entry.get("name")) if isinstance(entry, dict) else entry
        if isinstance(name, str):
            told = [entry.get(key) for key in _CONTEXT_KEYS] if isinstance(entry, dict) else []
            found[name] = next((value for value in told if type(value) is int and value > 0), None)
    return found
