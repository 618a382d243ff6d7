"""Every schema that is sent as strict keeps the published rules of strict schemas, and what it allows is read."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.agents.config import TOOLS, DeskConfig
from swarm.agents.decision import Decision, DecisionError, Rules, read_reply
from swarm.agents.desk_tools import FINAL_ANSWER, call_schema
from swarm.agents.forms.menu import read_choice
from swarm.agents.forms.menus import Action, Leg, Menu
from swarm.llm.strict import answer_in, needs_object, strict_schema

# https://platform.openai.com/docs/guides/structured-outputs#supported-schemas, as published; older limits are narrower,
# and those stand here.
WORDS = {
    "string": {"enum", "pattern", "format"},
    "integer": {"enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "number": {"enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "boolean": {"enum"},
    "null": set[str](),
    "array": {"items", "minItems", "maxItems"},
    "object": {"properties", "required", "additionalProperties"},
}
EVERYWHERE = {"type", "title", "description", "const"}
MOST_DEPTH, MOST_PROPERTIES, MOST_ENUM_VALUES, MOST_ENUM_CHARS = 5, 100, 500, 7_500
PYTHON = {"string": str, "integer": int, "number": float, "boolean": bool, "null": type(None)}


def violations(schema: Any) -> list[str]:
    """What of a schema breaks the rules of strict schemas."""
    wrong = list(_violations(schema, "$", 0))
    if schema.get("type") != "object" or "anyOf" in schema:
        wrong.append("$: the root is no object")
    parts = list(_parts(schema))
    if sum(len(part.get("properties", {})) for part in parts) > MOST_PROPERTIES:
        wrong.append("$: too many properties")
    enums = [part["enum"] for part in parts if "enum" in part]
    if sum(map(len, enums)) > MOST_ENUM_VALUES or any(len("".join(map(str, e))) > MOST_ENUM_CHARS for e in enums):
        wrong.append("$: too many values")
    return wrong


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    yield schema
    for inner in (*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("items")):
        if inner is not None:
            yield from _parts(inner)


def _violations(schema: Any, at: str, depth: int) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"{at}: no schema"
        return
    if depth > MOST_DEPTH:
        yield f"{at}: too deep"
    if "anyOf" in schema:
        if schema.keys() - {"anyOf", "description", "title"}:
            yield f"{at}: more than anyOf"
        for i, inner in enumerate(schema["anyOf"]):
            yield from _violations(inner, f"{at}|{i}", depth)
        return
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not kinds or not set(kinds) <= WORDS.keys():
        yield f"{at}: no type"
        return
    if odd := schema.keys() - EVERYWHERE - set().union(*(WORDS[kind] for kind in kinds)):
        yield f"{at}: {odd}"
    for value in schema.get("enum", ()):
        if not any(type(value) is PYTHON[kind] for kind in kinds):
            yield f"{at}: {value!r} is no {kinds}"
    if "pattern" in schema:
        re.compile(schema["pattern"])
    if "object" in kinds:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or schema.get("additionalProperties") is not False:
            yield f"{at}: open"
            return
        if sorted(schema.get("required", ())) != sorted(properties):
            yield f"{at}: not all are required"
        for name, inner in properties.items():
            yield from _violations(inner, f"{at}.{name}", depth + 1)
    if "array" in kinds:
        yield from _violations(schema.get("items"), f"{at}[]", depth + 1)


GOODS = ("acorns", "berries", "honey")
RULES = tuple(
    Rules(goods, max_orders, 1_000, 50, stand)
    for goods in (GOODS, ("wheat",))
    for max_orders in (1, 3)
    for stand in (0, 1, 20)
)
STANDING = Rules(GOODS, 2, 100, 10, 4)


def menu(actions: int, sayings: int) -> Menu:
    legs = (Leg(True, 0, 20, 2),)
    return Menu((Action(()), *[Action(legs)] * (actions - 1)), ("(nothing)",) * sayings)


@pytest.mark.parametrize("rules", RULES)
def test_orders_are_asked_for_by_a_strict_schema(rules: Rules) -> None:
    assert violations(strict_schema(rules.schema())) == []


@pytest.mark.parametrize("actions", range(1, 12))
def test_menus_are_asked_for_by_a_strict_schema(actions: int) -> None:
    for sayings in range(1, 6):
        assert violations(strict_schema(menu(actions, sayings).schema())) == []


@pytest.mark.parametrize("rules", RULES)
def test_calls_of_tools_are_asked_for_by_a_strict_schema(rules: Rules) -> None:
    for n in range(1, len(TOOLS) + 1):
        for tools in combinations(TOOLS, n):
            schema = call_schema(DeskConfig(name="desk", model="m", tools=tools), rules)
            assert violations(strict_schema(schema)) == []


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "string"}, "root"),
        ({"type": "object", "properties": {}}, "open"),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}, "required"),
        (
            {"type": "object", "properties": {"a": {"enum": ["b"]}}, "required": ["a"], "additionalProperties": False},
            "type",
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string", "maxLength": 3}},
                "required": ["a"],
                "additionalProperties": False,
            },
            "maxLength",
        ),
    ],
)
def test_the_checker_sees_what_is_not_strict_and_the_dialect_mends_it(schema: dict[str, Any], why: str) -> None:
    assert why in violations(schema)[0]
    assert violations(strict_schema(schema)) == []


def test_a_schema_that_is_strict_already_stays_as_it_is() -> None:
    for schema in (strict_schema(STANDING.schema()), strict_schema(menu(3, 2).schema())):
        assert strict_schema(schema) == schema


def instances(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """The values that a strict schema allows."""
    if "anyOf" in schema:
        return st.one_of(*map(instances, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    found: dict[str, st.SearchStrategy[Any]] = {
        "null": st.none(),
        "boolean": st.booleans(),
        "integer": st.integers(schema.get("minimum"), schema.get("maximum")),
        "string": st.from_regex(schema["pattern"], fullmatch=True) if "pattern" in schema else st.text(),
    }
    if "array" in kinds:
        found["array"] = st.lists(instances(schema["items"]), max_size=schema["maxItems"])
    if "object" in kinds:
        found["object"] = st.fixed_dictionaries({k: instances(v) for k, v in schema["properties"].items()})
    return st.one_of(*(found[kind] for kind in kinds))


@given(instances(strict_schema(STANDING.schema())))
def test_what_a_strict_schema_of_orders_allows_is_read_with_null_for_what_is_left_out(value: dict[str, Any]) -> None:
    read = read_reply(json.dumps(value), False, STANDING, makes=2).outcome
    if any((o["side"], o["good"]) == ("buy", "honey") for o in value["orders"]):
        assert read is DecisionError.OWN_GOOD
        return
    assert isinstance(read, Decision)
    assert read.stand == (value["stand"] or 0)
    assert (read.wake is None) == (value["wake"] is None)
    if read.wake is not None:
        assert read.wake.price == (value["wake"]["price"] or 0)


@pytest.mark.parametrize("key", ["thought", "gossip", "stand", "wake"])
def test_null_stands_for_what_may_be_left_out(key: str) -> None:
    assert read_reply(json.dumps({"orders": [], key: None}), False, STANDING, makes=2).outcome == Decision()


def test_null_stands_for_no_amount() -> None:
    order = {"side": "buy", "good": "acorns", "price": None, "quantity": 1}
    assert read_reply(json.dumps({"orders": [order]}), False, STANDING, makes=2).outcome is DecisionError.BAD_NUMBER


@given(instances(strict_schema(menu(5, 3).schema())))
def test_letters_in_an_object_are_the_letters(value: dict[str, str]) -> None:
    letters = value["answer"]
    assert answer_in(json.dumps(value)) == letters
    rules = STANDING
    assert read_choice(json.dumps(value), menu(5, 3), rules) == read_choice(letters, menu(5, 3), rules)
    assert isinstance(read_choice(letters, menu(5, 3), rules), Decision)


@pytest.mark.parametrize("text", ["", "BA", "{", '{"answer": "BA", "more": 1}', '{"reply": "BA"}', "[" * 9_999])
def test_what_is_no_such_object_stays_as_it_is(text: str) -> None:
    assert answer_in(text) == text


def test_only_what_is_no_object_gets_one_around_it() -> None:
    assert needs_object(menu(2, 1).schema())
    assert not needs_object(STANDING.schema())
    assert not needs_object({})
    schema = call_schema(DeskConfig(name="desk", model="m"), STANDING)
    assert schema["properties"]["name"]["enum"][-1] == FINAL_ANSWER
