"""Calls of tools are read in the form that is asked for and in those that models bring along, and nothing raises."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.agents.decision import DecisionError
from swarm.agents.desk_trace import Trace
from swarm.agents.form import Repair
from swarm.agents.forms.calls import MOST_CALLS, CallsRead, ToolCall, read_calls
from tests.unit.test_desks import FINISH, Fake, call, read, script, turn

ORDER: dict[str, Any] = {"side": "buy", "good": "berries", "price": 20, "quantity": 2}
PLACED = ToolCall("place_order", ORDER)
LOOKED = ToolCall("portfolio", {})
FINISHED = ToolCall("final_answer", {"answer": "done"})
JSON = json.dumps(ORDER)
AS_ASKED = json.dumps({"name": "place_order", "arguments": ORDER})
WITH_PARAMETERS = json.dumps({"name": "place_order", "parameters": ORDER})
IN_A_STRING = json.dumps({"name": "place_order", "arguments": JSON})
LOOK = '{"name": "portfolio", "arguments": {}}'
API = {"id": "call_1", "type": "function", "function": {"name": "place_order", "arguments": JSON}}
API_OBJECT = {"id": "call_1", "type": "function", "function": {"name": "place_order", "arguments": ORDER}}

ONE = {
    "asked for": AS_ASKED,
    "arguments in a string": IN_A_STRING,
    "parameters": WITH_PARAMETERS,
    "with an id": json.dumps({"id": "a", "type": "function", "name": "place_order", "arguments": ORDER}),
    "a list": f"[{AS_ASKED}]",
    "tool_calls of the API": json.dumps({"tool_calls": [API]}),
    "tool_calls with an object": json.dumps({"role": "assistant", "content": None, "tool_calls": [API_OBJECT]}),
    "function_call of the API": json.dumps({"function_call": {"name": "place_order", "arguments": JSON}}),
    "a function within": json.dumps(API),
    "Mistral, a list": f"[TOOL_CALLS] [{AS_ASKED}]",
    "Mistral, a list with an id": f'[TOOL_CALLS][{AS_ASKED[:-1]}, "id": "123456789"}}]</s>',
    "Mistral, the name first": f"[TOOL_CALLS]place_order{JSON}",
    "Mistral, with marks": f"[TOOL_CALLS]place_order[CALL_ID]a1B2[ARGS]{JSON}</s>",
    "Mistral, said before": f"I shall buy.[TOOL_CALLS]place_order[ARGS]{JSON}",
    "Llama": f"<|python_tag|>{WITH_PARAMETERS}<|eom_id|>",
    "Llama, without its mark": WITH_PARAMETERS,
    "Llama, a function tag": f"<function=place_order>{JSON}</function>",
    "Llama, a tag that stays open": f"<function=place_order>{JSON}<|eom_id|>",
    "Llama, like Python": '[place_order(side="buy", good="berries", price=20, quantity=2)]',
    "Llama, like Python with its mark": "<|python_tag|>place_order(side='buy', good='berries', price=20, quantity=2)",
    "Qwen": f"<tool_call>\n{AS_ASKED}\n</tool_call>",
    "Qwen, left open": f"Let me buy.\n<tool_call>\n{AS_ASKED}\n",
    "Qwen, thinking": f"<think>I could <tool_call>{LOOK}</tool_call></think>\n"
    f"<tool_call>\n{AS_ASKED}\n</tool_call><|im_end|>",
    "Qwen, parameters in tags": "<tool_call>\n<function=place_order>\n<parameter=side>\nbuy\n</parameter>\n"
    "<parameter=good>\nberries\n</parameter>\n<parameter=price>\n20\n</parameter>\n<parameter=quantity>\n2\n</parameter>\n"
    "</function>\n</tool_call>",
    "Phi": f"<|tool_call|>[{AS_ASKED}]<|/tool_call|>",
    "Phi, functools": f"functools[{AS_ASKED}]",
    "NVIDIA": f"<TOOLCALL>[{AS_ASKED}]</TOOLCALL>",
    "Gemma": "```tool_code\nplace_order(side='buy', good='berries', price=20, quantity=2)\n```",
    "Gemma, JSON": f"```tool_call\n{AS_ASKED}\n```",
    "DeepSeek": "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>"
    "function<\uff5ctool\u2581sep\uff5c>"
    f"place_order\n```json\n{JSON}\n```<\uff5ctool\u2581call\u2581end\uff5c><\uff5ctool\u2581calls\u2581end\uff5c>",
    "gpt-oss": "<|channel|>analysis<|message|>I buy.<|end|><|start|>assistant<|channel|>commentary "
    f"to=functions.place_order <|constrain|>json<|message|>{JSON}<|call|>",
    "a fence": f"```json\n{AS_ASKED}\n```",
    "a tag around a comma too many": f"<tool_call>{AS_ASKED[:-2]},}}}}</tool_call>",
}


@pytest.mark.parametrize("form", ONE)
def test_one_call_is_read_in_every_form(form: str) -> None:
    found = read_calls(ONE[form], cut=False)
    assert isinstance(found, CallsRead), found
    assert found.calls == (PLACED,)
    assert bool(found.repairs) == (form != "asked for")


SEVERAL = {
    "a list": f"[{LOOK}, {AS_ASKED}, {FINISH}]",
    "tool_calls of the API": json.dumps(
        {
            "tool_calls": [
                {"function": {"name": "portfolio", "arguments": ""}},
                API,
                {"function": {"name": "final_answer", "arguments": '{"answer": "done"}'}},
            ]
        }
    ),
    "Mistral": f"[TOOL_CALLS] [{LOOK}, {AS_ASKED}, {FINISH}]",
    "Mistral, the names first": f"[TOOL_CALLS]portfolio{{}}[TOOL_CALLS]place_order{JSON}"
    '[TOOL_CALLS]final_answer{"answer": "done"}',
    "Llama": f"<|python_tag|>{LOOK}; {AS_ASKED}; {FINISH}",
    "Llama, without its mark": f"{LOOK}; {AS_ASKED}; {FINISH}",
    "Llama, like Python": '[portfolio(), place_order(side="buy", good="berries", price=20, quantity=2), '
    'final_answer(answer="done")]',
    "Llama, tags": f"<function=portfolio></function><function=place_order>{JSON}</function>"
    '<function=final_answer>{"answer": "done"}</function>',
    "Qwen": "\n".join(f"<tool_call>\n{one}\n</tool_call>" for one in (LOOK, AS_ASKED, FINISH)),
    "lines": f"{LOOK}\n{AS_ASKED}\n{FINISH}",
}


@pytest.mark.parametrize("form", SEVERAL)
def test_several_calls_of_a_reply_are_read_in_their_order(form: str) -> None:
    found = read_calls(SEVERAL[form], cut=False)
    assert isinstance(found, CallsRead), found
    assert found.calls == (LOOKED, PLACED, FINISHED)
    assert found.repairs == (Repair.NATIVE_CALL,)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"<tool_call>{AS_ASKED[:-5]}", DecisionError.NOT_JSON),
        ("<tool_call>I would rather wait</tool_call>", DecisionError.NOT_JSON),
        ('<tool_call>{"orders": []}</tool_call>', DecisionError.WRONG_SHAPE),
        ('<tool_call>{"name": "a", "name": "b"}</tool_call>', DecisionError.DUPLICATE_KEY),
        ('[TOOL_CALLS]place_order{"price": NaN}', DecisionError.BAD_NUMBER),
        ('[TOOL_CALLS]place_order{"price": {"is": 2}}', DecisionError.TOOL_ARGUMENTS),
        ('{"name": "portfolio", "arguments": "none"}', DecisionError.TOOL_ARGUMENTS),
        ('{"name": "portfolio", "arguments": 3}', DecisionError.WRONG_SHAPE),
        ('{"name": "portfolio", "arguments": {}, "parameters": {}}', DecisionError.WRONG_SHAPE),
        ('{"tool_calls": []}', DecisionError.WRONG_SHAPE),
        ('{"tool_calls": [3]}', DecisionError.WRONG_SHAPE),
        ('[place_order("buy", 3)]', DecisionError.WRONG_SHAPE),
        ("[place_order(price=__import__('os').getpid())]", DecisionError.NOT_JSON),
        ("[place_order(price=[1])]", DecisionError.TOOL_ARGUMENTS),
        (f"[{', '.join([LOOK] * (MOST_CALLS + 1))}]", DecisionError.SEVERAL_ANSWERS),
        ("\n".join([LOOK] * (MOST_CALLS + 1)), DecisionError.SEVERAL_ANSWERS),
        ("<tool_call>" * 1_000, DecisionError.NOT_JSON),
    ],
)
def test_what_is_no_call_in_a_native_form_either(text: str, fault: DecisionError) -> None:
    found = read_calls(text, cut=False)
    assert found in (fault, DecisionError.TRUNCATED, DecisionError.LOOP)
    assert found is fault or fault is DecisionError.NOT_JSON


def test_a_call_that_was_cut_is_none() -> None:
    for text in (f"[TOOL_CALLS]place_order{JSON[:-4]}", f"<tool_call>{LOOK}</tool_call><tool_call>{AS_ASKED[:-3]}"):
        assert isinstance(read_calls(text, cut=True), DecisionError)


def test_marks_within_what_a_model_says_are_no_calls() -> None:
    said = "<function=final_answer></function>[TOOL_CALLS]portfolio{}"
    text = json.dumps({"name": "send_message", "arguments": {"text": said}})
    assert read_calls(text, cut=False) == CallsRead((ToolCall("send_message", {"text": said}),))


PIECES = (
    *(
        "<tool_call>",
        "</tool_call>",
        "[TOOL_CALLS]",
        "[ARGS]",
        "[CALL_ID]",
        "<|python_tag|>",
        "<function=a>",
        "</function>",
    ),
    *(
        "<parameter=b>",
        "</parameter>",
        "<|channel|>final",
        "to=functions.a",
        "<|message|>",
        "<|call|>",
        "</think>",
        "<think>",
    ),
    *(
        "functools[",
        "```json",
        "```tool_code",
        "```",
        "a(",
        ")",
        "b=1",
        "[",
        "]",
        "{",
        "}",
        '"',
        "'",
        ";",
        ",",
        "\n",
        " ",
    ),
    *(
        AS_ASKED,
        LOOK,
        JSON,
        "place_order",
        '"name":',
        '"arguments":',
        "\\",
        "9" * 5_000,
        "[" * 200,
        "-" * 500,
        "\ud800",
        "NaN",
    ),
    *(
        "<\uff5ctool\u2581call\u2581begin\uff5c>",
        "function<\uff5ctool\u2581sep\uff5c>a",
        "**a",
        "lambda: a(b=1)",
        "\x00",
    ),
)


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join), st.booleans())
def test_no_reply_raises(text: str, cut: bool) -> None:
    found = read_calls(text, cut)
    assert isinstance(found, CallsRead | DecisionError)
    if isinstance(found, CallsRead):
        assert 0 < len(found.calls) <= MOST_CALLS
        for one in found.calls:
            assert not any(isinstance(value, list | dict) for value in one.arguments.values())
            assert json.loads(one.to_text()) == {"name": one.name, "arguments": one.arguments} or "NaN" in one.to_text()


@pytest.mark.parametrize("piece", [*PIECES, "}\n", "to=a", "a ", "[TOOL_CALLS]a ", "<function=a>x", "\n;"])
def test_no_repetition_takes_long_to_read(piece: str) -> None:
    short, long = (piece * (size // len(piece)) for size in (2_000, 20_000))
    spent = []
    for text in (short, long):
        started = time.process_time()
        read_calls(text, cut=False)
        spent.append(time.process_time() - started)
    # Ten times the text takes about ten times as long, and a hundred times where the square of it is looked at.
    assert spent[1] < 40 * spent[0] + 0.2


@pytest.mark.parametrize("form", ONE)
def test_a_desk_acts_on_a_call_in_every_form(form: str) -> None:
    fake = Fake(script(ONE[form], FINISH))
    taken = turn(fake)
    assert len(read(taken).orders) == 1
    assert read(taken).errors == (None,)
    assert read(taken).faults == ((),)
    step = Trace.from_text(taken.text).steps[0]
    assert (step.reply, step.tool) == (ONE[form], "place_order")
    # What the model sees of its own reply is no mark that was broken.
    [back] = [m.content for m in fake.asked[1].messages if m.role == "assistant"]
    found = read_calls(back, cut=False)
    assert not isinstance(found, DecisionError) and found.calls == (PLACED,)
    assert "< " not in back


@pytest.mark.parametrize("form", SEVERAL)
def test_a_desk_acts_on_several_calls_one_after_the_other(form: str) -> None:
    fake = Fake(script(SEVERAL[form]))
    taken = turn(fake)
    assert (len(fake.asked), len(read(taken).orders), read(taken).errors) == (1, 1, (None,))
    [step] = Trace.from_text(taken.text).steps
    assert step.tool == "portfolio, place_order, final_answer"
    assert "order 1 noted" in step.result
    assert Trace.from_text(taken.text).decision["thought"] == "done"


def test_what_goes_wrong_in_one_of_several_calls_is_told_and_the_others_count() -> None:
    fake = Fake(script(f"[{call('bribe')}, {AS_ASKED}]", FINISH))
    taken = turn(fake)
    assert len(read(taken).orders) == 1
    assert read(taken).faults == ((DecisionError.UNKNOWN_TOOL,),)
    told = fake.asked[1].messages[-1].content
    assert "REFUSED" in told
    assert "order 1 noted" in told
