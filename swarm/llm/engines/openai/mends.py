"""Finds which keys of an entry make an endpoint take what a run asks, by asking it in other ways.

An endpoint that refuses a request says why in words of its own. They are read as a hint at what to try first; only what
then works is told.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from swarm.llm.engines.openai.config import OpenAIModel
from swarm.llm.protocol import ModelReply

Ask = Callable[[OpenAIModel], Awaitable[ModelReply]]


@dataclass(frozen=True, slots=True)
class Mend:
    """A change of an entry, as a config says it, with the words that a refusal which it mends may use."""

    said: str
    words: str
    change: dict[str, Any]


async def mends(model: OpenAIModel, told: str, ask: Ask) -> list[str] | None:
    """Returns the changes with which the endpoint answers, as a config says them; None where none was found.

    `told` is the refusal of the entry as it is. Each request is one of a run; there are about a dozen at most.
    """
    applied: list[str] = []
    while True:
        # What the refusal speaks of comes first; a change that leads to another complaint is kept and built upon.
        likely, others = _in_order(model, told)
        for mend in likely:
            reply = await ask(changed := model.model_copy(update=mend.change))
            if not is_refused(reply):
                return [*applied, mend.said]
            if reply.text != told and not re.search(mend.words, reply.text, re.IGNORECASE):
                # It complains of something else now.
                applied, model, told = [*applied, mend.said], changed, reply.text
                break
        else:
            for mend in others:
                if not is_refused(await ask(model.model_copy(update=mend.change))):
                    return [*applied, mend.said]
            return None


def is_refused(reply: ModelReply) -> bool:
    """Returns whether the request itself was refused, and not only its answer missing."""
    return reply.finish_reason in ("protocol", "error", "too_large", "server_error", "model_not_found")


def _in_order(model: OpenAIModel, told: str) -> tuple[list[Mend], list[Mend]]:
    """Returns the changes that are possible, those of which the refusal speaks apart from the others."""
    possible = list(_possible(model))
    likely = [mend for mend in possible if re.search(mend.words, told, re.IGNORECASE)]
    return likely, [mend for mend in possible if mend not in likely]


def _possible(model: OpenAIModel) -> Iterator[Mend]:
    request = model.request

    def omitting(key: Any) -> dict[str, Any]:
        return {"request": request.model_copy(update={"omit": (*request.omit, key)})}

    # What the user added is suspected first, then what servers differ in most.
    for key in request.extra:
        rest = {name: value for name, value in request.extra.items() if name != key}
        yield Mend(
            f"request.extra without {key}", re.escape(key), {"request": request.model_copy(update={"extra": rest})}
        )
    if model.max_tokens_key == "max_tokens" and "max_tokens" not in request.omit:
        yield Mend(
            "max_tokens_key: max_completion_tokens",
            "max_completion_tokens|max_tokens",
            {"max_tokens_key": "max_completion_tokens"},
        )
    elif "max_tokens" not in request.omit:
        yield Mend("max_tokens_key: max_tokens", "max_completion_tokens", {"max_tokens_key": "max_tokens"})
    if model.system_role:
        yield Mend("system_role: false", "system", {"system_role": False})
    if "temperature" not in request.omit:
        yield Mend("request.omit: [temperature]", "temperature", omitting("temperature"))
    if model.send_seed:
        yield Mend("send_seed: false", "seed", {"send_seed": False})
    if model.response_format != "none":
        words = "response_format|schema|grammar|guided|structured|json"
        if model.response_format == "json_schema":
            yield Mend("response_format: json_object", words, {"response_format": "json_object"})
        yield Mend("response_format: none", words, {"response_format": "none"})
    if model.stream:
        if "stream_options" not in request.omit:
            yield Mend("request.omit: [stream_options]", "stream_options", omitting("stream_options"))
        yield Mend("stream: false", "stream", {"stream": False})
    if "max_tokens" not in request.omit:
        yield Mend("request.omit: [max_tokens]", "max_tokens|max_completion_tokens", omitting("max_tokens"))
