"""The API's own way to tell of calls comes to one text, which a desk reads like any other."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.agents.forms.calls import CallsRead, ToolCall, read_calls
from swarm.llm.engines.openai.called import Called

LOOK = {"id": "a", "type": "function", "function": {"name": "portfolio", "arguments": ""}}
BUY = {"id": "b", "type": "function", "function": {"name": "place_order", "arguments": '{"price": 20}'}}
CALLS = (ToolCall("portfolio", {}), ToolCall("place_order", {"price": 20}))


def said(*messages: Any, text: str = "") -> str:
    called = Called()
    for message in messages:
        called.add(message)
    return called.said_by(text)


def read(text: str) -> tuple[ToolCall, ...]:
    found = read_calls(text, cut=False)
    assert isinstance(found, CallsRead), found
    return found.calls


def piece(index: int, **function: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": function}]}


@pytest.mark.parametrize("text", ["", "\n\n", "Let me look first."])
def test_calls_of_a_whole_reply_are_its_text_where_it_has_no_answer(text: str) -> None:
    assert read(said({"tool_calls": [LOOK, BUY]}, text=text)) == CALLS


def test_arguments_may_be_an_object_and_a_call_may_be_of_the_older_kind() -> None:
    as_object = {"function": {"name": "place_order", "arguments": {"price": 20}}}
    assert read(said({"tool_calls": [as_object]})) == CALLS[1:]
    assert read(said({"function_call": BUY["function"]})) == CALLS[1:]


def test_pieces_of_a_stream_are_put_together_by_their_index() -> None:
    pieces = (
        piece(0, name="portfolio", arguments=""),
        piece(1, name="place_order", arguments='{"pri'),
        {"content": None},
        piece(1, arguments='ce": 2'),
        piece(1, arguments="0}"),
    )
    assert read(said(*pieces)) == CALLS


def test_an_answer_in_the_text_is_the_answer() -> None:
    assert said({"tool_calls": [LOOK]}, text='{"orders": []}') == '{"orders": []}'
    assert said({"tool_calls": []}, text="nothing") == "nothing"
    assert said({"tool_calls": None}) == ""


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tool_calls", "function", "name", "arguments", "index", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.lists(values, max_size=4), st.text(max_size=5))
def test_nothing_that_an_endpoint_sends_raises(messages: list[Any], text: str) -> None:
    came_to = said(*messages, text=text)
    assert came_to == text or "tool_calls" in json.loads(came_to)
    read_calls(came_to, cut=False)
