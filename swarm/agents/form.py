"""The form of a reply: from what a model wrote to the one JSON object in it, strictly first, then by a bounded repair.

A repair takes away what stands around the object (a reasoning channel, a fence, a preamble) and commas before a closing
bracket. It never touches a name, an amount or anything else inside the object, never closes what was left open, and
never chooses between two objects. What a decision is, this module does not know.
"""

import json
import re
from enum import StrEnum
from typing import Any, Literal

from swarm.llm.runaway import MAX_WHITESPACE

Fault = Literal["not_json", "truncated", "duplicate_key", "bad_number", "several_answers"]
MAX_CANDIDATES = 8
"""Most pairs of braces that are looked at."""

_REASONING_END = re.compile(r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]", re.IGNORECASE)
_REASONING_START = re.compile(r"<(?:think|thinking|thought|reasoning)>|\[THINK\]", re.IGNORECASE)
# gpt-oss writes channels between special tokens; where a server drops those, only their names are left.
_CHANNEL = "<|channel|>"
_FINAL_CHANNEL = re.compile(
    r"<\|channel\|>final\b(?:\s*<\|constrain\|>\s*\w+)?\s*<\|message\|>|(?<=\S)assistantfinal(?:json)?"
)
_CHANNEL_END = re.compile(r"<\|(?:return|end|call|start)\|>")
_FENCED = re.compile(r"```(.*?)```", re.DOTALL)
_FENCE = re.compile(r"```[ \t]*\w*")
_SPECIAL_TOKEN = re.compile(r"<\|[a-z_]+\|>|</?s>|<end_of_turn>|\[/?INST\]")
_CLOSERS = re.compile(r"[\s}\]\"'`,;.]*")
_COMMA_BEFORE_CLOSER = re.compile(r"\"(?:[^\"\\]|\\.)*\"|,(?=\s*[}\]])", re.DOTALL)


class Repair(StrEnum):
    """The kinds of things that had to be taken away to find the object."""

    REASONING = "reasoning"
    CODE_FENCE = "code_fence"
    SURROUNDING_TEXT = "surrounding_text"
    TRAILING_GARBAGE = "trailing_garbage"
    TRAILING_COMMA = "trailing_comma"
    ENDLESS_WHITESPACE = "endless_whitespace"
    NATIVE_CALL = "native_call"
    """A call of a tool in another form than the one that was asked for."""


class MalformedReplyError(ValueError):
    """There is not exactly one JSON object that may be read; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault)


def find_object(text: str) -> tuple[Any, tuple[Repair, ...]]:
    """Returns the one JSON value in `text` and what was repaired to find it; MalformedReplyError if there is none."""
    # Most replies are the object alone; white space without end is a fault that JSON itself does not see.
    value = _strict(text)
    if value is not None:
        trailing = len(text) - len(text.rstrip())
        return value, (Repair.ENDLESS_WHITESPACE,) if trailing >= MAX_WHITESPACE else ()
    repairs: list[Repair] = []
    # Each stage takes more away than the one before, and none is tried once a reply has been read.
    rest = after_reasoning(text)
    if rest is not text:
        repairs.append(Repair.REASONING)
        if (value := _strict(rest)) is not None:
            return value, tuple(repairs)
    unfenced = _unfenced(rest)
    if unfenced is not rest:
        repairs.append(Repair.CODE_FENCE)
    value, more = _only_object(unfenced)
    return value, tuple(dict.fromkeys([*repairs, *more]))


def after_object(text: str) -> str:
    """Returns what follows the last closing brace."""
    return text.rpartition("}")[2]


def _strict(text: str) -> Any:
    """Returns the JSON value that `text` is, or None where it is none; `null` is no reply either."""
    try:
        # Line breaks within strings are read as they are; small models write them, and no amount has any.
        return _LENIENT.decode(text)
    except json.JSONDecodeError:
        return None
    except RecursionError:
        raise MalformedReplyError("not_json") from None
    except MalformedReplyError:
        raise
    except ValueError:
        # Python refuses to read a whole number of thousands of digits.
        raise MalformedReplyError("bad_number") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise MalformedReplyError("duplicate_key")
    return keys


def _no_constant(name: str) -> Any:
    raise MalformedReplyError("bad_number")


json_decoder = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)
"""Reads JSON as strictly as replies are read; MalformedReplyError and whatever `json` raises say what is wrong."""

_LENIENT = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant, strict=False)
"""The same for replies of small models, whose strings may hold raw line breaks."""


def after_reasoning(text: str) -> str:
    """Returns the text behind a reasoning channel; MalformedReplyError where it never came to an end."""
    finals = list(_FINAL_CHANNEL.finditer(text))
    if finals:
        rest = text[finals[-1].end() :]
        end = _CHANNEL_END.search(rest)
        return rest[: end.start()] if end else rest
    ends = list(_REASONING_END.finditer(text))
    if ends:
        return text[ends[-1].end() :]
    if _CHANNEL in text or _REASONING_START.search(text):
        # It thought and never came to an answer; what looks like one in its thoughts is none.
        raise MalformedReplyError("truncated")
    return text


def _unfenced(text: str) -> str:
    """Returns text without the fences of its one block; what stands around it stays, to be judged as any other text."""
    if "```" not in text:
        return text
    # Which of two answers a model meant is not for a reader to guess.
    if sum("{" in block for block in _FENCED.findall(text)) > 1:
        raise MalformedReplyError("several_answers")
    return _FENCE.sub("", text)


def _only_object(text: str) -> tuple[Any, list[Repair]]:
    found: tuple[Any, int, int, list[Repair]] | None = None
    at = 0
    for _ in range(MAX_CANDIDATES):
        start = text.find("{", at)
        if start < 0:
            break
        end = _matching_brace(text, start)
        if end is None:
            raise MalformedReplyError("several_answers" if found else "truncated")
        # A comma before a closing brace is the one fault of form that is mended without a guess.
        candidate, at = text[start:end], end
        value, repairs = _strict(candidate), list[Repair]()
        if value is None:
            value = _strict(_COMMA_BEFORE_CLOSER.sub(lambda m: "" if m[0] == "," else m[0], candidate))
            repairs = [Repair.TRAILING_COMMA]
        if value is None:
            continue
        if found is not None:
            raise MalformedReplyError("several_answers")
        found = value, start, end, repairs
    # More braces than are looked at might hide another answer.
    if found is None or text.find("{", at) >= 0:
        raise MalformedReplyError("not_json")
    # What stands around the object is counted as a repair, since a stricter reader would have refused it.
    value, start, end, repairs = found
    before, after = text[:start].strip(), text[end:]
    # An object in a list is one of several, even where the others cannot be read.
    if before.endswith("["):
        raise MalformedReplyError("not_json")
    if len(after) - len(after.rstrip()) >= MAX_WHITESPACE:
        repairs.append(Repair.ENDLESS_WHITESPACE)
    if (cleaned := _SPECIAL_TOKEN.sub("", after)) != after or after.strip():
        repairs.append(Repair.TRAILING_GARBAGE if _CLOSERS.fullmatch(cleaned) else Repair.SURROUNDING_TEXT)
    if before:
        repairs.append(Repair.SURROUNDING_TEXT)
    return value, repairs


def _matching_brace(text: str, start: int) -> int | None:
    """Returns the index behind the brace that closes the one at `start`, or None; braces in strings do not count."""
    depth = 0
    in_string = escaped = False
    for index in range(start, len(text)):
        sign = text[index]
        if in_string:
            if escaped:
                escaped = False
            elif sign == "\\":
                escaped = True
            elif sign == '"':
                in_string = False
        elif sign == '"':
            in_string = True
        elif sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                return index + 1
    return None
