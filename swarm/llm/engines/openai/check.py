"""Whether endpoints serve their models, asked before a run and not during it."""

import asyncio
import difflib
import json
import os
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import aiohttp

from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.engines.openai.reading import MAX_BODY_BYTES
from swarm.llm.engines.protocol import CheckConditions

_START_OR_CORRECT = "start it, or correct its base_url"
_NO_SUCH_ROUTE = (404, 405, 501)


def problems(models: Sequence[OpenAIModel], conditions: CheckConditions) -> list[str]:
    """Returns one line for each model that cannot be used: its name, the reason, the way out."""
    return asyncio.run(_problems(list(models), conditions.tokens_per_turn, conditions.timeout_s))


def latencies_s(models: Sequence[OpenAIModel], within_s: float) -> dict[str, float]:
    """Returns the seconds of a completion of one token by model; at most `within_s` and a little."""
    return asyncio.run(_latencies_s(list(models), within_s))


async def _latencies_s(models: list[OpenAIModel], within_s: float) -> dict[str, float]:
    """Seconds of a completion of one token; at most `within_s` and a little, however long it would take."""

    async def latency_s(model: OpenAIModel) -> float | None:
        endpoint = _Endpoint(session, model)
        key = os.environ.get(model.api_key_env or "", "")
        if key:
            endpoint.headers["Authorization"] = f"Bearer {key}"
        started = perf_counter()
        try:
            async with asyncio.timeout(within_s):
                status, _ = await endpoint.complete_one()
        except TimeoutError:
            return perf_counter() - started
        except (aiohttp.ClientError, OSError, ValueError):
            return None
        return perf_counter() - started if status == 200 else None

    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session:
        measured = await asyncio.gather(*(latency_s(m) for m in models))
    return {m.name: seconds for m, seconds in zip(models, measured, strict=True) if seconds is not None}


async def _problems(models: list[OpenAIModel], tokens_per_turn: int, timeout_s: float) -> list[str]:
    async def problem(model: OpenAIModel) -> str | None:
        try:
            async with asyncio.timeout(timeout_s):
                await _Endpoint(session, model).must_serve(tokens_per_turn)
        except TimeoutError:
            return _line(model, f"{model.base_url} does not answer within {timeout_s:g} s", _START_OR_CORRECT)
        except (aiohttp.ClientConnectionError, OSError) as error:
            return _line(model, f"no endpoint answers at {model.base_url} ({_reason(error)})", _START_OR_CORRECT)
        except (aiohttp.ClientError, ValueError) as error:
            return _line(
                model, f"{model.base_url} does not speak HTTP ({type(error).__name__})", "correct its base_url"
            )
        except _UnusableError as unusable:
            return _line(model, unusable.reason, unusable.remedy)
        return None

    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session:
        found = await asyncio.gather(*(problem(m) for m in models))
    return [line for line in found if line]


def _reason(error: BaseException) -> str:
    """The system's word for a failed connection; asyncio's own repeats the address."""
    cause = getattr(error, "os_error", error)
    number = getattr(cause, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return getattr(cause, "strerror", None) or type(cause).__name__


def _line(model: OpenAIModel, reason: str, remedy: str) -> str:
    return f"models: {model.name}: {reason}; {remedy}"


class _UnusableError(Exception):
    """A model cannot be used, for a reason that its endpoint gave."""

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(reason)


class _Endpoint:
    """One model's endpoint, asked as the client would ask it."""

    def __init__(self, session: aiohttp.ClientSession, model: OpenAIModel) -> None:
        self.session = session
        self.model = model
        self.headers = {"Accept-Encoding": "identity"}

    async def must_serve(self, tokens_per_turn: int) -> None:
        """Raise where the endpoint does not serve the model, or not with enough context."""
        model = self.model
        if model.api_key_env:
            key = os.environ.get(model.api_key_env, "")
            if not key:
                raise _UnusableError(
                    f"the environment variable {model.api_key_env} is not set",
                    "put the endpoint's API key into it, or take api_key_env out if it needs none",
                )
            self.headers["Authorization"] = f"Bearer {key}"
        status, listing = await self._call("GET", "/models")
        if status in _NO_SUCH_ROUTE:
            # Not every endpoint can list its models; a completion of one token tells as well.
            await self._must_complete(())
        else:
            self._must_be_up(status)
            known = _models_in(listing)
            if known is None:
                raise self._other_protocol("its /models is no list of models")
            # Some servers take names that they do not list, such as a name without its tag.
            if model.model not in known:
                await self._must_complete(tuple(known))
            self._must_fit(known.get(model.model), tokens_per_turn)
        self._must_fit(model.context_tokens, tokens_per_turn)

    async def _must_complete(self, known: tuple[str, ...]) -> None:
        status, reply = await self.complete_one()
        if status in (400, 404) and (known or "model" in json.dumps(reply)):
            close = difflib.get_close_matches(self.model.model, known, n=1)
            shown = f"; it has {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}" if known else ""
            raise _UnusableError(
                f"{self.model.base_url} has no model {self.model.model!r}"
                + (f" (did you mean {close[0]}?)" if close else ""),
                f"correct its model{shown}",
            )
        if status in _NO_SUCH_ROUTE:
            raise self._other_protocol("it has neither /models nor /chat/completions")
        self._must_be_up(status)
        if not isinstance(reply, dict) or not isinstance(reply.get("choices"), list):
            raise self._other_protocol("its reply is no chat completion")

    async def complete_one(self) -> tuple[int, Any]:
        """The status and the reply of the shortest completion there is."""
        body = {
            "model": self.model.model,
            "messages": [{"role": "user", "content": "Say yes."}],
            self.model.max_tokens_key: 1,
        }
        return await self._call("POST", "/chat/completions", body)

    def _must_be_up(self, status: int) -> None:
        model = self.model
        if status in (401, 403):
            if model.api_key_env:
                raise _UnusableError(
                    f"{model.base_url} refuses the key in {model.api_key_env} (HTTP {status})",
                    "put a valid key into it",
                )
            raise _UnusableError(
                f"{model.base_url} wants an API key (HTTP {status})",
                "put it into an environment variable and name that as api_key_env",
            )
        if 300 <= status < 400:
            raise _UnusableError(f"{model.base_url} sends one elsewhere (HTTP {status})", "give the URL that it names")
        if status != 200:
            raise _UnusableError(
                f"{model.base_url} is there but answers HTTP {status}", "see the endpoint's own log, or try again later"
            )

    def _must_fit(self, context: int | None, tokens_per_turn: int) -> None:
        if context is not None and context < tokens_per_turn:
            raise _UnusableError(
                f"its context holds {context} tokens and budget.tokens_per_turn is {tokens_per_turn}",
                "lower budget.tokens_per_turn, or serve the model with a longer context",
            )

    def _other_protocol(self, why: str) -> _UnusableError:
        return _UnusableError(
            f"{self.model.base_url} does not speak OpenAI's protocol ({why})",
            "correct its base_url, which often ends in /v1",
        )

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """The status, and the JSON value of the reply or None where it is none."""
        async with self.session.request(
            method, self.model.base_url + path, json=body, headers=self.headers, allow_redirects=False
        ) as response:
            raw = bytearray()
            while len(raw) <= MAX_BODY_BYTES and (chunk := await response.content.readany()):
                raw += chunk
            try:
                return response.status, json.loads(raw)
            except (ValueError, RecursionError):
                return response.status, None


def _models_in(listing: Any) -> dict[str, int | None] | None:
    """The models of a listing and the context of each where it is told; None where it is no listing."""
    entries = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) and isinstance(e.get("id"), str) for e in entries):
        return None
    contexts = {e["id"]: e.get("max_model_len") for e in entries}
    return {name: length if type(length) is int else None for name, length in contexts.items()}
