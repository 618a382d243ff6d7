"""Replies that are not what was asked: what is repaired, what is refused, and under which kind."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.agents.decision import Decision, DecisionError, Rules, read_reply
from swarm.agents.form import Repair

RULES = Rules(("acorns", "berries"), max_orders=3, max_price_ticks=1_000, max_quantity_lots=50)
GOOD: dict[str, Any] = {
    "thought": "sell { spare }, eat",
    "orders": [{"side": "sell", "good": "acorns", "price": 20, "quantity": 2}],
    "gossip": "acorns will rise",
}
TEXT = json.dumps(GOOD)
EXPECTED = Decision.model_validate({**GOOD, "orders": tuple(GOOD["orders"])})


def reply(**changes: object) -> str:
    order = {**GOOD["orders"][0], **changes}
    return json.dumps({**GOOD, "orders": [order]})


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        (TEXT, set()),
        (f"\n {TEXT}\n", set()),
        (f"```json\n{TEXT}\n```", {Repair.CODE_FENCE}),
        (f"```\n{TEXT}", {Repair.CODE_FENCE}),
        (f"Sure! Here it is:\n```json\n{TEXT}\n```\nGood luck.", {Repair.CODE_FENCE, Repair.SURROUNDING_TEXT}),
        (f"Here is my order: {TEXT}", {Repair.SURROUNDING_TEXT}),
        (f"In the form {{side, good}}: {TEXT}", {Repair.SURROUNDING_TEXT}),
        (f"{TEXT} I hope that helps", {Repair.SURROUNDING_TEXT}),
        (f"{TEXT}}}", {Repair.TRAILING_GARBAGE}),
        (f"{TEXT}<|im_end|>", {Repair.TRAILING_GARBAGE}),
        (TEXT.replace("}]", "},]"), {Repair.TRAILING_COMMA}),
        (TEXT[:-1] + ",\n}", {Repair.TRAILING_COMMA}),
        (f"<think>I could say {{}} or {reply(price=1)}</think>\n{TEXT}", {Repair.REASONING}),
        (f"thinking aloud</think>{TEXT}", {Repair.REASONING}),
        (
            f"<|channel|>analysis<|message|>{reply(price=1)}<|end|><|start|>assistant<|channel|>final<|message|>{TEXT}"
            "<|return|>",
            {Repair.REASONING},
        ),
        (f"<|channel|>final <|constrain|>json<|message|>{TEXT}", {Repair.REASONING}),
        (f"analysisI must sell {{}}.assistantfinal{TEXT}", {Repair.REASONING}),
        (f"<think>hm</think>```json\n{TEXT}\n```", {Repair.REASONING, Repair.CODE_FENCE}),
    ],
)
def test_the_form_is_repaired_and_the_repair_is_named(text: str, repairs: set[Repair]) -> None:
    reading = read_reply(text, False, RULES, makes=1)
    assert reading.outcome == EXPECTED
    assert set(reading.repairs) == repairs


def test_whitespace_behind_a_whole_object_is_a_repair_even_where_the_reply_was_cut() -> None:
    reading = read_reply(TEXT + "\n" * 300, True, RULES, makes=1)
    assert reading.outcome == EXPECTED
    assert reading.repairs == (Repair.ENDLESS_WHITESPACE,)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", DecisionError.NOT_JSON),
        ("I would rather wait and see.", DecisionError.NOT_JSON),
        ("[1, 2", DecisionError.NOT_JSON),
        ("[" * 15_000, DecisionError.LOOP),
        ("null", DecisionError.NOT_JSON),
        ("{}" * 3, DecisionError.SEVERAL_ANSWERS),
        (TEXT[:-30], DecisionError.TRUNCATED),
        (f"<think>{TEXT}", DecisionError.TRUNCATED),
        (f"<|channel|>analysis<|message|>{TEXT}", DecisionError.TRUNCATED),
        (f"{TEXT}\n{TEXT}", DecisionError.SEVERAL_ANSWERS),
        (f"```json\n{TEXT}\n```\nor\n```json\n{reply(price=9)}\n```", DecisionError.SEVERAL_ANSWERS),
        (f"{TEXT} {TEXT[:-9]}", DecisionError.SEVERAL_ANSWERS),
        (f"Take these: [{TEXT}]", DecisionError.NOT_JSON),
        (f"[{TEXT}]", DecisionError.WRONG_SHAPE),
        (TEXT.replace('"price": 20', '"price": 20, "price": 2'), DecisionError.DUPLICATE_KEY),
        (f"Well: {TEXT.replace(chr(34) + 'gossip', chr(34) + 'thought')}", DecisionError.DUPLICATE_KEY),
        *((TEXT.replace("20", number), DecisionError.BAD_NUMBER) for number in ("NaN", "Infinity", "-Infinity")),
        *((TEXT.replace("20", number), DecisionError.BAD_NUMBER) for number in ("1e400", "2e1", "20.0", "-0", "-5")),
        *((TEXT.replace("20", number), DecisionError.BAD_NUMBER) for number in ("9" * 30, "9" * 5_000, "true", '"20"')),
        (TEXT.replace("20", "\u0662\u0660"), DecisionError.BAD_NUMBER),
        (TEXT.replace("20", "2\uff10"), DecisionError.BAD_NUMBER),
        (reply(price=0), DecisionError.BAD_NUMBER),
        (reply(quantity=51), DecisionError.BAD_NUMBER),
        (reply(good="gold"), DecisionError.UNKNOWN_GOOD),
        (reply(side="buy", good="berries"), DecisionError.OWN_GOOD),
        (reply(side="hold"), DecisionError.WRONG_SHAPE),
        (reply(trader=7), DecisionError.FOREIGN_ID),
        (json.dumps({**GOOD, "agent_id": 7}), DecisionError.FOREIGN_ID),
        (json.dumps({**GOOD, "orders": GOOD["orders"] * 4}), DecisionError.TOO_MANY_ORDERS),
        ('{"name": "place_order", "arguments": {"price": 3}}', DecisionError.TOOL_CALL),
        ('{"tool_calls": [{"type": "function"}]}', DecisionError.TOOL_CALL),
        ('[{"id": "1", "type": "function", "function": {"name": "x"}}]', DecisionError.TOOL_CALL),
        ("\u6211\u89c9\u5f97\u5e94\u8be5\u7b49\u4e00\u7b49\u518d\u8bf4", DecisionError.WRONG_LANGUAGE),
        ("\u042f \u0431\u044b \u043f\u043e\u0434\u043e\u0436\u0434\u0430\u043b.", DecisionError.WRONG_LANGUAGE),
        ("x" * 20_001, DecisionError.TOO_LONG),
    ],
)
def test_what_cannot_be_read_is_counted_under_its_kind(text: str, error: DecisionError) -> None:
    reading = read_reply(text, False, RULES, makes=1)
    assert reading.outcome is error
    assert reading.repairs == ()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (TEXT[:-30], DecisionError.TRUNCATED),
        (f"{TEXT} and then I thought", DecisionError.TRUNCATED),
        (TEXT[:-30] + " " * 200, DecisionError.ENDLESS_WHITESPACE),
        ('{"thought": "", "orders": [{"side": "buy", "price": ' + "1" * 400, DecisionError.ENDLESS_DIGITS),
        ('{"thought": "' + "buy acorns and " * 40, DecisionError.LOOP),
        ('{"thought": "' + "buy acorns and " * 40 + "buy aco", DecisionError.LOOP),
        (TEXT * 8 + TEXT[:20], DecisionError.SEVERAL_ANSWERS),
        ("no no no", DecisionError.TRUNCATED),
    ],
)
def test_a_reply_that_was_cut_is_diagnosed(text: str, error: DecisionError) -> None:
    assert read_reply(text, True, RULES, makes=1).outcome is error


@given(st.text(max_size=300), st.booleans())
def test_any_text_is_read_without_raising(text: str, cut: bool) -> None:
    for whole in (text, text + TEXT, TEXT + text, TEXT.replace("2", text)):
        read_reply(whole, cut, RULES, makes=1)


@given(st.text(alphabet='{}[]",:\\ \n`<>|a', max_size=60), st.integers(0, len(TEXT)))
def test_noise_never_changes_an_amount(noise: str, index: int) -> None:
    outcome = read_reply(TEXT[:index] + noise + TEXT[index:], False, RULES, makes=1).outcome
    if isinstance(outcome, Decision) and outcome.orders:
        assert {(o.price, o.quantity) for o in outcome.orders} == {(20, 2)}
