"""OpenAI's request for a chat completion: what of it is honoured here, what means nothing here, and what is refused.

A field that is not honoured is refused by its name unless it asks for nothing: nobody gets a reply that silently leaves
out what was asked for. `read` is the only way in and raises `BadRequestError`, which says which field is wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swarm.llm.protocol import Message, ModelRequest, Role

DEFAULT_MAX_TOKENS = 256
MAX_TOKENS = 100_000
MAX_SAMPLES = 128

HONOURED = frozenset(
    {
        *("model", "messages", "max_tokens", "max_completion_tokens", "n", "seed", "temperature"),
        *("response_format", "stream", "stream_options"),
    }
)
"""Fields that a reply goes by."""

VOID = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"})
"""Fields that say something about the caller, or how its provider should keep it, and nothing about the reply."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0,),
    "reasoning_effort": ("none",),
    "service_tier": ("auto", "default"),
    "stop": ([],),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "top_p": (1,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
"""Fields that nothing is done about, each with the values by which it asks for nothing; null is always one."""

_ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class BadRequestError(Exception):
    """A refusal of a request that cannot be served as it stands; `field` says where it is wrong."""

    def __init__(
        self, message: str, field: str | None = None, status: int = 400, kind: str = "invalid_request_error"
    ) -> None:
        self.field = None if field is None else _encodable(field)
        self.status = status
        self.kind = kind
        super().__init__(_encodable(message))


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request that was read: which model it asks, what of it, and how the reply is to come."""

    model: str
    asked: ModelRequest
    streamed: bool
    with_usage: bool
    """Whether a stream is to end with a piece of its own about tokens."""


def read(body: Any, names: tuple[str, ...]) -> ChatRequest:
    """Returns what a request's body asks for; `names` are the models that are here."""
    if not isinstance(body, dict):
        raise BadRequestError("expected a JSON object")
    # null is as good as absent in OpenAI's protocol.
    given = {str(field): value for field, value in body.items() if value is not None}
    name = given.get("model")
    if name not in names:
        told = f"the model {str(name)[:100]!r} is not here; there are {', '.join(names)}"
        raise BadRequestError(told, "model", 404, "model_not_found")
    _refuse_what_is_not_done(given)
    # The newer name wins, as it does there.
    limit_field = "max_completion_tokens" if "max_completion_tokens" in given else "max_tokens"
    limit = _integer(given, limit_field, DEFAULT_MAX_TOKENS, 1, MAX_TOKENS)
    samples = _integer(given, "n", 1, 1, MAX_SAMPLES)
    seed = _integer(given, "seed", 0, None, None)
    temperature = given.get("temperature")
    if temperature is not None and (type(temperature) not in (int, float) or not 0 <= temperature <= 2):
        raise BadRequestError("temperature must be a number from 0 to 2", "temperature")
    streamed = _flag(given, "stream")
    asked = ModelRequest(
        _messages(given.get("messages")),
        _schema(given.get("response_format")),
        limit,
        # Seeds of a client may be negative; ours are not.
        seed & 0x7FFFFFFFFFFFFFFF,
        None if temperature is None else float(temperature),
        tuple((seed + i) & 0x7FFFFFFFFFFFFFFF for i in range(1, samples)),
    )
    return ChatRequest(str(name), asked, streamed, _with_usage(given, streamed))


def _refuse_what_is_not_done(given: Mapping[str, Any]) -> None:
    for field, value in given.items():
        if field in HONOURED or field in VOID:
            continue
        if field not in NEUTRAL:
            raise BadRequestError(f"there is no such field here: {field[:100]}", field[:100])
        # Types are compared, too, since True equals 1 in Python.
        if not any(type(value) is type(none) and value == none for none in (*NEUTRAL[field], *_floats(field))):
            raise BadRequestError(f"{field} is not supported here", field)


def _floats(field: str) -> tuple[float, ...]:
    """Returns the floats that equal a field's neutral whole numbers, since clients send either."""
    return tuple(float(none) for none in NEUTRAL[field] if type(none) is int)


def _integer(given: Mapping[str, Any], field: str, default: int, least: int | None, most: int | None) -> int:
    value = given.get(field, default)
    if type(value) is not int or (least is not None and value < least) or (most is not None and value > most):
        bounds = f" from {least} to {most}" if most is not None else ""
        raise BadRequestError(f"{field} must be a whole number{bounds}", field)
    return value


def _flag(given: Mapping[str, Any], field: str) -> bool:
    value = given.get(field, False)
    if type(value) is not bool:
        raise BadRequestError(f"{field} must be true or false", field)
    return value


def _with_usage(given: Mapping[str, Any], streamed: bool) -> bool:
    options = given.get("stream_options")
    if options is None:
        return False
    if not streamed or not isinstance(options, dict):
        raise BadRequestError("stream_options must be an object, and needs stream: true", "stream_options")
    told = {key: value for key, value in options.items() if value is not None}
    for key, value in told.items():
        # Whether pieces are padded against eavesdroppers asks for nothing where there is one piece.
        if key not in ("include_usage", "include_obfuscation") or type(value) is not bool:
            raise BadRequestError(f"stream_options.{key[:100]} is not supported here", f"stream_options.{key[:100]}")
    return bool(told.get("include_usage", False))


def _messages(told: Any) -> tuple[Message, ...]:
    if not isinstance(told, list) or not told:
        raise BadRequestError("messages must be a list with at least one message", "messages")
    return tuple(_message(message, f"messages.{i}") for i, message in enumerate(told))


def _message(told: Any, at: str) -> Message:
    if not isinstance(told, dict):
        raise BadRequestError(f"{at} must be an object with a role and a content", at)
    role = told.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise BadRequestError(
            f"{at}.role must be one of {', '.join(_ROLES)}, got {str(role)[:100]!r}, which is not supported here",
            f"{at}.role",
        )
    for key, value in told.items():
        # A reply that is sent back has fields of its own, which are empty.
        if key not in ("role", "content") and value not in (None, [], {}):
            raise BadRequestError(f"{at}.{key[:100]} is not supported here", f"{at}.{key[:100]}")
    return Message(_ROLES[role], _encodable(_content(told.get("content"), f"{at}.content")))


def _content(told: Any, at: str) -> str:
    if isinstance(told, str):
        return told
    if not isinstance(told, list) or not told:
        raise BadRequestError(f"{at} must be a text, or a list of parts that are texts", at)
    texts = []
    for i, part in enumerate(told):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text":
            raise BadRequestError(f"{at}.{i}: a part of type {str(kind)[:100]!r} is not supported here", f"{at}.{i}")
        if not isinstance(part.get("text"), str):
            raise BadRequestError(f"{at}.{i}.text must be a text", f"{at}.{i}.text")
        if odd := part.keys() - {"type", "text"}:
            field = f"{at}.{i}.{min(odd)[:100]}"
            raise BadRequestError(f"{field} is not supported here", field)
        texts.append(part["text"])
    return "".join(texts)


def _encodable(text: str) -> str:
    """Returns text without lone surrogates, which JSON can name and no reply can hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def _schema(told: Any) -> dict[str, Any]:
    kind = "text" if told is None else told.get("type") if isinstance(told, dict) else None
    match kind:
        case "text":
            return {}
        case "json_object":
            return {"type": "object"}
        case "json_schema":
            named = told.get("json_schema")
            schema = named.get("schema") if isinstance(named, dict) else None
            if isinstance(schema, dict) and schema:
                return schema
    raise BadRequestError(
        "response_format must be of type text, json_object or json_schema, the last with a schema", "response_format"
    )
