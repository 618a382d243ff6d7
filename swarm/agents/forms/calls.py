"""Calls of tools in a model's reply, in the form that it was asked for or in one that its makers have taught it.

Asked for is one JSON object with `name` and `arguments`. Read as well are the `tool_calls` of the API, the marks of
Mistral, Llama, Qwen, Phi, DeepSeek and gpt-oss, function tags, calls written like Python's, and several calls in a row.
Nothing in a call is mended. Which tools there are, this module does not know.
"""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from swarm.agents.decision import DecisionError, find_value
from swarm.agents.form import MalformedReplyError, Repair, after_reasoning, json_decoder
from swarm.llm.protocol import MAX_REPLY_CHARS

MOST_CALLS = 10
"""Calls of one reply at most."""

MOST_PYTHON_CHARS = 2_000
"""Longest text that is looked at as calls written like Python's."""

_NAME = r"[A-Za-z_][\w.-]{0,79}"
_MARK = re.compile(
    r"<tool_call>|\[TOOL_CALLS\]|<\|python_tag\|>|<\|tool_call\|>|<toolcall>|\bfunctools(?=\[)|<\|tool_call_start\|>"
    r"|<\uff5ctool\u2581calls?\u2581begin\uff5c>|```tool_(?:code|call)|<function(?= name=|=)",
    re.IGNORECASE,
)
"""What a call, or a list of them, follows in the forms of Qwen, Mistral, Llama, Phi, NVIDIA, DeepSeek and Gemma."""

_END = re.compile(
    r"</tool_call>|<\|/tool_call\|>|</toolcall>|<\|tool_call_end\|>|<\uff5ctool\u2581calls?\u2581end\uff5c>"
    r"|<\|(?:eom_id|eot_id|im_end|end|call)\|>|</s>",
    re.IGNORECASE,
)
_FUNCTION_TAG = re.compile(rf"<function(?:=| name=[\"'])({_NAME})[\"']?>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(rf"<parameter(?:=| name=[\"'])({_NAME})[\"']?>\n?(.*?)\n?</parameter>", re.DOTALL)
_HARMONY = re.compile(
    rf"to=(?:functions\.)?({_NAME})[^{{]{{0,100}}?<\|message\|>(.*?)(?:<\|(?:call|end|return)\|>|\Z)", re.DOTALL
)
# Possessive, so that no run of spaces is looked at more than once.
_NAME_FIRST = re.compile(
    rf"(?:function<\uff5ctool\u2581sep\uff5c>)?({_NAME})\s*+(?:\[CALL_ID\][\w-]*+)?(?:\[ARGS\])?\s*+(?:```json)?\s*+(?={{)"
)
_BETWEEN = re.compile(r"(?:[\s;,]|```)*+")
_IN_A_ROW = re.compile(r"\}[ \t]*+[;\n][\s;]*+\{")
_LIKE_PYTHON = re.compile(rf"(\[\s*+)?{_NAME}\(.*\)\s*+(?(1)\])", re.DOTALL)
_INCIDENTAL = frozenset({"id", "type", "index", "call_id", "tool_call_id"})
"""Keys that the API gives a call beside its name and arguments."""

_ARGUMENTS = ("arguments", "parameters", "args", "input")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that a reply asks for."""

    name: str
    arguments: dict[str, Any]

    def to_text(self) -> str:
        """Returns the call in the form that is asked for."""
        return json.dumps({"name": self.name, "arguments": self.arguments})


@dataclass(frozen=True, slots=True)
class CallsRead:
    """The calls of a reply in their order, and what of its form was repaired."""

    calls: tuple[ToolCall, ...]
    repairs: tuple[Repair, ...] = ()


def read_calls(text: str, cut: bool) -> CallsRead | DecisionError:
    """Returns the calls that a reply makes, or what is wrong with its form; `cut` if it ended at its limit of tokens.

    Never raises and depends on nothing but its arguments.
    """
    if len(text) > MAX_REPLY_CHARS:
        return DecisionError.TOO_LONG
    try:
        # Marks within the strings of one JSON value are what the model says, and no calls.
        read = CallsRead(() if _is_json(text) else tuple(_native(text)), (Repair.NATIVE_CALL,))
    except MalformedReplyError as malformed:
        return DecisionError(malformed.fault)
    except _NoCallError as wrong:
        if wrong.fault is not DecisionError.NOT_JSON:
            return wrong.fault
        read = CallsRead(())
    found = read if read.calls else _as_asked(text, cut)
    if isinstance(found, CallsRead) and len(found.calls) > MOST_CALLS:
        return DecisionError.SEVERAL_ANSWERS
    return found


class _NoCallError(Exception):
    """A text holds no call where one should stand; `fault` says why."""

    def __init__(self, fault: DecisionError) -> None:
        self.fault = fault
        super().__init__(fault.value)


def _is_json(text: str) -> bool:
    try:
        json_decoder.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _as_asked(text: str, cut: bool) -> CallsRead | DecisionError:
    """Returns the calls in the one JSON value of a reply, found by the rules for all replies."""
    found = find_value(text, cut)
    if isinstance(found, DecisionError):
        return found
    value, repairs = found
    try:
        calls = tuple(_calls_of(value))
    except _NoCallError as wrong:
        return wrong.fault
    if not calls:
        return DecisionError.WRONG_SHAPE
    first = calls[0]
    # Only the form that was asked for counts as no repair.
    is_plain = value in ({"name": first.name}, {"name": first.name, "arguments": first.arguments})
    return CallsRead(calls, repairs if is_plain else (*repairs, Repair.NATIVE_CALL))


def _native(text: str) -> Iterator[ToolCall]:
    """Yields the calls in a form of some model's own; none where there is no sign of one."""
    # gpt-oss names the tool in the header of a channel, which is looked at before reasoning is taken away.
    if "<|message|>" in text and (said := list(_HARMONY.finditer(text))):
        for match in said:
            yield ToolCall(_bare(match[1]), _arguments(match[2]))
        return
    try:
        rest = after_reasoning(text)
    except MalformedReplyError:
        return
    # A function's tag holds its own name, so that what follows it is no list of calls.
    if tags := list(_FUNCTION_TAG.finditer(rest)):
        for match in tags:
            yield ToolCall(_bare(match[1]), _tagged(match[2]))
        return
    # What is said before the first mark and behind a closing one is no call.
    before, *parts = _MARK.split(rest)
    if not parts:
        # Without any mark, only several objects in a row or Python's own form are surely calls.
        is_row = bool(_IN_A_ROW.search(before)) or _is_like_python(before)
        parts = [before] if is_row else []
    for part in parts:
        yield from _in_a_row(_END.split(part, maxsplit=1)[0])


def _in_a_row(text: str) -> Iterator[ToolCall]:
    """Yields the calls of a part without marks, one behind the other."""
    # One form for the whole part: a list in Python's form is never mixed with JSON.
    if _is_like_python(text.strip("`\n ")):
        yield from _like_python(text.strip("`\n "))
        return
    at = _after_gap(text, 0)
    while at < len(text):
        named = _NAME_FIRST.match(text, at)
        value, at = _value_at(text, named.end() if named else at)
        calls = [ToolCall(_bare(named[1]), _arguments(value))] if named else list(_calls_of(value))
        if not calls:
            raise _NoCallError(DecisionError.WRONG_SHAPE)
        yield from calls
        at = _after_gap(text, at)


def _after_gap(text: str, at: int) -> int:
    gap = _BETWEEN.match(text, at)
    return gap.end() if gap else at


def _value_at(text: str, at: int) -> tuple[Any, int]:
    """Returns the JSON value that begins there, and where it ends."""
    try:
        return json_decoder.raw_decode(text, at)
    except (json.JSONDecodeError, RecursionError):
        raise _NoCallError(DecisionError.NOT_JSON) from None
    except MalformedReplyError:
        raise
    except ValueError:
        # Python refuses to read a whole number of thousands of digits.
        raise _NoCallError(DecisionError.BAD_NUMBER) from None


def _calls_of(value: Any) -> Iterator[ToolCall]:
    """Yields the calls that a JSON value holds; none where it is of another shape altogether."""
    match value:
        case list():
            for item in value:
                if not isinstance(item, dict):
                    raise _NoCallError(DecisionError.WRONG_SHAPE)
                found = list(_calls_of(item))
                # A list within a list, or an item without a call, is no list of calls.
                if len(found) != 1:
                    raise _NoCallError(DecisionError.WRONG_SHAPE)
                yield from found
        case {"tool_calls": list(calls), **rest} if not rest.keys() - {"content", "role"}:
            yield from _calls_of(calls)
        case {"function_call": dict(call), **rest} if not rest.keys() - {"content", "role"}:
            yield from _calls_of(call)
        case {"function": dict(call), **rest} if not rest.keys() - _INCIDENTAL:
            yield from _calls_of(call)
        case {"name": str(name), **rest}:
            # With two kinds of arguments, or a key that nobody knows, it is not clear what is meant.
            given = [key for key in _ARGUMENTS if key in rest]
            if len(given) > 1 or rest.keys() - _INCIDENTAL - set(given):
                raise _NoCallError(DecisionError.WRONG_SHAPE)
            yield ToolCall(_bare(name), _arguments(rest[given[0]]) if given else {})


def _arguments(told: Any) -> dict[str, Any]:
    """Returns the arguments of a call, an object or its JSON as a string; no tool takes anything nested."""
    if isinstance(told, str):
        told = _object_in(told.strip()) if told.strip() else {}
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise _NoCallError(DecisionError.WRONG_SHAPE)
    # A deep nest breaks whoever prints it.
    if any(isinstance(value, list | dict) for value in told.values()):
        raise _NoCallError(DecisionError.TOOL_ARGUMENTS)
    return told


def _object_in(text: str) -> dict[str, Any]:
    try:
        found, end = _value_at(text, 0)
    except _NoCallError:
        raise _NoCallError(DecisionError.TOOL_ARGUMENTS) from None
    if not isinstance(found, dict) or text[end:].strip():
        raise _NoCallError(DecisionError.TOOL_ARGUMENTS)
    return found


def _tagged(text: str) -> dict[str, Any]:
    """Returns the arguments within a function's tag: JSON, or a tag for each."""
    parameters = list(_PARAMETER.finditer(text))
    if not parameters:
        return _arguments(_END.split(text, maxsplit=1)[0])
    found: dict[str, Any] = {}
    for name, value in (match.groups() for match in parameters):
        if name in found:
            raise _NoCallError(DecisionError.DUPLICATE_KEY)
        try:
            # The text of a tag is JSON where it can be, else a string as it stands.
            found[name] = json.loads(value)
        except (ValueError, RecursionError):
            found[name] = value
    return _arguments(found)


def _is_like_python(text: str) -> bool:
    return len(text) <= MOST_PYTHON_CHARS and bool(_LIKE_PYTHON.fullmatch(text.strip()))


def _like_python(text: str) -> Iterator[ToolCall]:
    """Yields calls such as `[place_order(side="buy", price=20)]`, whose arguments have names and are constants."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        calls = tree.elts if isinstance(tree, ast.List) else [tree]
        for call in calls:
            # Arguments by position would have to be matched to names that this module does not know.
            if not isinstance(call, ast.Call) or call.args or any(k.arg is None for k in call.keywords):
                raise _NoCallError(DecisionError.WRONG_SHAPE)
            arguments = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
            if any(not isinstance(value, str | int | float | bool | None) for value in arguments.values()):
                raise _NoCallError(DecisionError.TOOL_ARGUMENTS)
            yield ToolCall(_bare(ast.unparse(call.func)), arguments)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise _NoCallError(DecisionError.NOT_JSON) from None


def _bare(name: str) -> str:
    return name.removeprefix("functions.")
