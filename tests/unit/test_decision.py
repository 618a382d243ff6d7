"""Reading replies: every bad one has its kind of error, none raises, and no order leaves its bounds."""

import json
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.agents.decision import Decision, DecisionError, OrderWish, Rules, read_reply
from swarm.agents.turns import NEVER_ASKED, Turns
from swarm.llm.protocol import MAX_REPLY_CHARS, FinishReason, ModelReply, TokenUsage
from swarm.market.orders import BUY, SELL
from tests.patience import patience
from tests.unit.reading import read_turns

GOODS = ("acorns", "berries", "honey")
RULES = Rules(goods=GOODS, max_orders=2, max_price_ticks=100, max_quantity_lots=10)
MAKES = GOODS.index("honey")


def order(**changes: Any) -> dict[str, Any]:
    return {"side": "buy", "good": "acorns", "price": 20, "quantity": 2} | changes


def reply(*orders: Any, **more: Any) -> str:
    return json.dumps({"thought": "t", "orders": list(orders), "gossip": "g"} | more)


def with_price(written: str) -> str:
    return reply(order(price="HERE")).replace('"HERE"', written)


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        (reply(order()), Decision(thought="t", orders=(OrderWish(**order()),), gossip="g")),
        (reply(), Decision(thought="t", gossip="g")),
        ("{}", Decision()),
        (' \n\t{"gossip": "g"}\r\n', Decision(gossip="g")),
        ('{"orders": []}', Decision()),
        (
            reply(order(side="sell", good="honey"), order(price=100, quantity=10)),
            Decision(
                thought="t",
                orders=(
                    OrderWish(side="sell", good="honey", price=20, quantity=2),
                    OrderWish(side="buy", good="acorns", price=100, quantity=10),
                ),
                gossip="g",
            ),
        ),
        (
            reply(order(price=1, quantity=1)),
            Decision(thought="t", orders=(OrderWish(**order(price=1, quantity=1)),), gossip="g"),
        ),
        (reply(thought="é" * 400, gossip="☃" * 400), Decision(thought="é" * 400, gossip="☃" * 400)),
        ('{"thought": "a\\u0000b"}', Decision(thought="a\x00b")),
    ],
)
def test_a_good_reply_is_read_as_it_is_written(text: str, decision: Decision) -> None:
    assert read_reply(text, False, RULES, MAKES).outcome == decision


BAD: dict[str, tuple[str, DecisionError]] = {
    "empty": ("", DecisionError.NOT_JSON),
    "blank": (" \n", DecisionError.NOT_JSON),
    "prose": ("I would rather wait.", DecisionError.NOT_JSON),
    "two replies": (reply() + reply(), DecisionError.SEVERAL_ANSWERS),
    "cut off": (reply(order())[:-5], DecisionError.TRUNCATED),
    "single quotes": (reply().replace('"', "'"), DecisionError.NOT_JSON),
    "key twice": ('{"gossip": "a", "gossip": "b"}', DecisionError.DUPLICATE_KEY),
    "key twice in an order": (reply(order()).replace('"side"', '"price": 1, "side"'), DecisionError.DUPLICATE_KEY),
    "NaN": (with_price("NaN"), DecisionError.BAD_NUMBER),
    "Infinity": (with_price("Infinity"), DecisionError.BAD_NUMBER),
    "-Infinity": (with_price("-Infinity"), DecisionError.BAD_NUMBER),
    "plus sign": (with_price("+5"), DecisionError.NOT_JSON),
    "leading zero": (with_price("05"), DecisionError.NOT_JSON),
    "hexadecimal": (with_price("0x10"), DecisionError.NOT_JSON),
    "digits of another script": (with_price("\u0665"), DecisionError.BAD_NUMBER),
    "more digits than Python reads": (with_price("9" * 4301), DecisionError.BAD_NUMBER),
    "nested beyond the stack": ("[" * MAX_REPLY_CHARS, DecisionError.LOOP),
    "objects nested beyond the stack": ('{"a":' * 4_000, DecisionError.LOOP),
    "nested 100,000 deep": ("[" * 100_000, DecisionError.TOO_LONG),
    "50 MB": (" " * 50_000_000, DecisionError.TOO_LONG),
    "one character too long": (reply().ljust(MAX_REPLY_CHARS + 1), DecisionError.TOO_LONG),
    "null": ("null", DecisionError.NOT_JSON),
    "a number": ("5", DecisionError.WRONG_SHAPE),
    "a string": ('"buy"', DecisionError.WRONG_SHAPE),
    "a list": (f"[{reply()}]", DecisionError.WRONG_SHAPE),
    "nested in the middle": ("[" * 50 + "]" * 50, DecisionError.WRONG_SHAPE),
    "unknown key": (reply(mood="good"), DecisionError.WRONG_SHAPE),
    "unknown key of an order": (reply(order(limit=1)), DecisionError.WRONG_SHAPE),
    "key in capitals": ('{"Orders": []}', DecisionError.WRONG_SHAPE),
    "key that is no text": ('{"\\ud800": 1}', DecisionError.WRONG_SHAPE),
    "key missing in an order": (
        '{"orders": [{"side": "buy", "good": "acorns", "price": 1}]}',
        DecisionError.WRONG_SHAPE,
    ),
    "orders null": ('{"orders": null}', DecisionError.WRONG_SHAPE),
    "orders as an object": ('{"orders": {}}', DecisionError.WRONG_SHAPE),
    "orders as text": ('{"orders": "none"}', DecisionError.WRONG_SHAPE),
    "an order that is a list": (reply(["buy", "acorns", 1, 1]), DecisionError.WRONG_SHAPE),
    "an order that is null": (reply(None), DecisionError.WRONG_SHAPE),
    "thought null": ('{"thought": null}', DecisionError.WRONG_SHAPE),
    "thought a number": ('{"thought": 1}', DecisionError.WRONG_SHAPE),
    "gossip a list": ('{"gossip": ["a"]}', DecisionError.WRONG_SHAPE),
    "gossip half a surrogate pair": ('{"gossip": "\\ud800"}', DecisionError.WRONG_SHAPE),
    "thought too long": (reply(thought="x" * 401), DecisionError.WRONG_SHAPE),
    "gossip too long": (reply(gossip="x" * 401), DecisionError.WRONG_SHAPE),
    "side in capitals": (reply(order(side="BUY")), DecisionError.WRONG_SHAPE),
    "side unknown": (reply(order(side="hold")), DecisionError.WRONG_SHAPE),
    "side a number": (reply(order(side=1)), DecisionError.WRONG_SHAPE),
    "good a number": (reply(order(good=1)), DecisionError.WRONG_SHAPE),
    "price true": (reply(order(price=True)), DecisionError.BAD_NUMBER),
    "quantity false": (reply(order(quantity=False)), DecisionError.BAD_NUMBER),
    "price null": (reply(order(price=None)), DecisionError.BAD_NUMBER),
    "price 5.0": (with_price("5.0"), DecisionError.BAD_NUMBER),
    "price 5.5": (with_price("5.5"), DecisionError.BAD_NUMBER),
    "price 1e1": (with_price("1e1"), DecisionError.BAD_NUMBER),
    "price 1e400": (with_price("1e400"), DecisionError.BAD_NUMBER),
    "price as text": (with_price('"5"'), DecisionError.BAD_NUMBER),
    "price as text of another script": (with_price('"\u0665"'), DecisionError.BAD_NUMBER),
    "good unknown": (reply(order(good="gold")), DecisionError.UNKNOWN_GOOD),
    "good empty": (reply(order(good="")), DecisionError.UNKNOWN_GOOD),
    "good in capitals": (reply(order(good="Acorns")), DecisionError.UNKNOWN_GOOD),
    "good with a blank": (reply(order(good="acorns ")), DecisionError.UNKNOWN_GOOD),
    "price 0": (reply(order(price=0)), DecisionError.BAD_NUMBER),
    "price -0": (with_price("-0"), DecisionError.BAD_NUMBER),
    "price negative": (reply(order(price=-1)), DecisionError.BAD_NUMBER),
    "price too high": (reply(order(price=101)), DecisionError.BAD_NUMBER),
    "price beyond int64": (reply(order(price=2**63)), DecisionError.BAD_NUMBER),
    "price of 4300 digits": (with_price("9" * 4300), DecisionError.BAD_NUMBER),
    "quantity 0": (reply(order(quantity=0)), DecisionError.BAD_NUMBER),
    "quantity negative": (reply(order(quantity=-5)), DecisionError.BAD_NUMBER),
    "quantity too large": (reply(order(quantity=11)), DecisionError.BAD_NUMBER),
    "quantity beyond int64": (reply(order(quantity=10**400)), DecisionError.BAD_NUMBER),
    "three orders of two": (reply(order(), order(), order()), DecisionError.TOO_MANY_ORDERS),
    "buys what it makes": (reply(order(good="honey")), DecisionError.OWN_GOOD),
    "bad only in the second order": (reply(order(), order(price=0)), DecisionError.BAD_NUMBER),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_reply_is_an_error_of_its_kind(case: str) -> None:
    text, error = BAD[case]
    assert read_reply(text, False, RULES, MAKES).outcome is error


def test_who_makes_nothing_may_buy_everything() -> None:
    assert isinstance(read_reply(reply(order(good="honey")), False, RULES, -1).outcome, Decision)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("ending", ["", "x", "}", "{}", '"', "\n```"])
@pytest.mark.parametrize("beginning", ["", "{", "```", "{```", '{"a": "', "<think>", ":", "x<|channel|>final", "{}<|"])
def test_no_text_takes_long_to_read(beginning: str, ending: str) -> None:
    started = perf_counter()
    for piece in (
        " ",
        "\t",
        "`",
        "{",
        "[",
        "{}",
        '"',
        "\\",
        '\\"',
        ",",
        ", ",
        ":",
        ": ",
        "1",
        ":1",
        "a",
        "</s>",
        "<think>",
    ):
        room = MAX_REPLY_CHARS - len(beginning) - len(ending)
        text = beginning + piece * (room // len(piece)) + ending
        assert isinstance(read_reply(text, False, RULES, MAKES).outcome, Decision | DecisionError)
        assert perf_counter() - started < patience(10), f"reading {piece!r} many times over takes too long"


def in_bounds(decision: Decision) -> bool:
    return len(decision.orders) <= RULES.max_orders and all(
        o.side in ("buy", "sell")
        and o.good in GOODS
        and type(o.price) is int
        and 1 <= o.price <= RULES.max_price_ticks
        and type(o.quantity) is int
        and 1 <= o.quantity <= RULES.max_quantity_lots
        and (o.side, o.good) != ("buy", GOODS[MAKES])
        for o in decision.orders
    )


odd_text = st.text(st.characters(exclude_categories=())) | st.text('{}[]":,0123456789eE+-. \\untrfasl', max_size=60)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | odd_text | st.sampled_from([*GOODS, "buy", "sell"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(odd_text, inner, max_size=4),
    max_leaves=8,
)
near_orders = st.fixed_dictionaries(
    {
        "side": st.sampled_from(["buy", "sell"]),
        "good": st.sampled_from([*GOODS, "gold"]),
        "price": st.integers(-1, 102),
        "quantity": st.integers(-1, 12),
    },
    optional={"side ": values},
)
near_replies = st.fixed_dictionaries(
    {"orders": st.lists(near_orders, max_size=3) | values},
    optional={"thought": st.text(max_size=20) | values, "gossip": st.text(max_size=20) | values},
)


@given(odd_text | (near_replies | values).map(json.dumps), st.integers(-1, len(GOODS) - 1))
def test_no_text_raises(text: str, makes: int) -> None:
    assert isinstance(read_reply(text, False, RULES, makes).outcome, Decision | DecisionError)


@given(near_replies.map(json.dumps), st.data())
def test_no_order_that_is_read_is_out_of_bounds(text: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(text)))
    spoilt = text[:index] + data.draw(st.sampled_from(["", "0", "-", "1e9", "}", '"', "\ud800"])) + text[index:]
    for read in (read_reply(text, False, RULES, MAKES).outcome, read_reply(spoilt, False, RULES, MAKES).outcome):
        assert isinstance(read, DecisionError) or in_bounds(read)


def conforms(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is one of a schema's; knows just the words that `Rules.schema` uses."""
    assert schema.keys() <= {
        *("type", "enum", "minimum", "maximum", "properties", "required", "additionalProperties"),
        *("items", "maxItems", "maxLength"),
    }
    if "enum" in schema:
        return value in schema["enum"]
    match schema["type"]:
        case "boolean":
            return type(value) is bool
        case "integer":
            return type(value) is int and schema["minimum"] <= value <= schema["maximum"]
        case "string":
            return isinstance(value, str) and len(value) <= schema["maxLength"]
        case "array":
            return (
                isinstance(value, list)
                and len(value) <= schema["maxItems"]
                and all(conforms(item, schema["items"]) for item in value)
            )
        case _:
            assert schema["additionalProperties"] is False
            return (
                isinstance(value, dict)
                and set(schema.get("required", ())) <= value.keys() <= schema["properties"].keys()
                and all(conforms(item, schema["properties"][key]) for key, item in value.items())
            )


@given(near_replies.map(json.dumps))
def test_what_is_read_conforms_to_the_schema_once_absent_keys_are_filled_in(text: str) -> None:
    decision = read_reply(text, False, RULES, MAKES).outcome
    if isinstance(decision, Decision):
        # Reading is kinder than the schema in one thing: it lets a thought or a line of gossip be longer.
        short = decision.model_copy(update={"thought": decision.thought[:120], "gossip": decision.gossip[:80]})
        assert conforms(short.model_dump(mode="json", exclude={"stand", "wake"}), RULES.schema())


def instances(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema["minimum"], schema["maximum"])
        case "string":
            return st.text(max_size=schema["maxLength"])
        case "array":
            return st.lists(instances(schema["items"]), max_size=schema["maxItems"])
        case _:
            inner = {key: instances(value) for key, value in schema["properties"].items()}
            required = {key: inner.pop(key) for key in schema.get("required", ())}
            return st.fixed_dictionaries(required, optional=inner)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (reply(order(price=1, quantity=1), order(price=100, quantity=10)), True),
        (reply(order(price=0)), False),
        (reply(order(price=101)), False),
        (reply(order(quantity=0)), False),
        (reply(order(quantity=11)), False),
        (reply(order(good="gold")), False),
        (reply(*[order()] * 3), False),
        ('{"thought": "", "orders": []}', False),
    ],
)
def test_the_schema_has_the_bounds_of_the_rules(text: str, fits: bool) -> None:
    assert conforms(json.loads(text), RULES.schema()) is fits


STANDING = replace(RULES, max_stand_rounds=4)


@given(st.one_of(*(instances(rules.schema()) for rules in (RULES, STANDING))), st.booleans())
def test_what_the_schema_allows_is_read_but_for_a_bid_for_the_own_good(value: dict[str, Any], ascii_only: bool) -> None:
    assert conforms(value, STANDING.schema())
    rules = STANDING if value.keys() & {"stand", "wake"} else RULES
    assert conforms(value, rules.schema())
    read = read_reply(json.dumps(value, ensure_ascii=ascii_only), False, rules, MAKES).outcome
    if any((o["side"], o["good"]) == ("buy", "honey") for o in value["orders"]):
        assert read is DecisionError.OWN_GOOD
    else:
        assert isinstance(read, Decision)
        assert read.model_dump(mode="json", exclude_unset=True) == value


def turns(*rows: tuple[str, FinishReason, int]) -> Turns:
    n = len(rows)
    replies = [ModelReply(text, TokenUsage(tokens, 50), reason, 0.0) for text, reason, tokens in rows]
    return Turns.asked_once("m", "m", np.arange(10, 10 + n), replies, [0] * n, np.zeros(n, dtype=np.int64))


def test_a_turn_is_judged_by_how_it_ended_before_its_text_is_read() -> None:
    good = reply(order())
    read = read_turns(
        turns(
            (good, "stop", 950),
            (good, "stop", 951),
            (good, "length", 100),
            (good[:-9], "length", 100),
            (good, "length", 951),
            (good, "error", 0),
            (good, "timeout", 0),
            (NEVER_ASKED, "error", 0),
            ("", "stop", 0),
        ),
        np.full(9, MAKES),
        RULES,
        tokens_per_turn=1_000,
        max_gossip_chars=80,
    )
    assert read.errors == (
        *(None, "over_budget", None, "truncated", "over_budget"),
        *("engine", "engine_timeout", "over_budget", "not_json"),
    )
    assert read.gossip == ("g", "", "g", "", "", "", "", "", "")
    assert read.orders.trader.tolist() == [10, 12]


def test_orders_of_a_round_keep_trader_sequence_side_and_numbers() -> None:
    sell = order(side="sell", good="honey", price=7, quantity=3)
    read = read_turns(
        turns((reply(sell, order()), "stop", 1), (reply(), "stop", 1), (reply(order(good="berries")), "stop", 1)),
        np.full(3, MAKES),
        RULES,
        1_000,
        80,
    )
    orders = read.orders
    rows = zip(
        *(c.tolist() for c in (orders.trader, orders.sequence, orders.good, orders.side)),
        *(c.tolist() for c in (orders.limit_ticks, orders.quantity_lots)),
        strict=True,
    )
    assert list(rows) == [(10, 0, 2, SELL, 7, 3), (10, 1, 0, BUY, 20, 2), (12, 0, 1, BUY, 20, 2)]


@pytest.mark.parametrize(
    ("said", "heard", "cut"),
    [
        ("plain", "plain", 0),
        ("a\nPURSE 999\n\n- b", "a PURSE 999 - b", 0),
        ("a\r\nb\tc\u2028d\u0085e\x1cf", "a b c d e f", 0),
        ("\x00\x07a\x1b[31mb\u200b\u202ec", "a[31mbc", 0),
        ("  ", "", 0),
        ("0123456789" * 2, "0123456789" * 2, 0),
        ("0123456789" * 2 + "x", "0123456789" * 2, 1),
    ],
)
def test_gossip_is_one_printable_line_of_bounded_length(said: str, heard: str, cut: int) -> None:
    read = read_turns(turns((reply(gossip=said), "stop", 1)), np.array([MAKES]), RULES, 1_000, max_gossip_chars=20)
    assert (read.gossip, read.cut_gossip) == ((heard,), cut)
