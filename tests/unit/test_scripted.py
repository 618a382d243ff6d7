"""The scripted engine: valid answers to every prompt of a run, which change with the prompt and with nothing else."""

import asyncio
import json
from collections.abc import Sequence
from functools import cache
from typing import Any, get_args

import pytest

from swarm.agents.decision import Decision, read_reply
from swarm.agents.policies.orders import answer
from swarm.config_file import resolve
from swarm.llm import engines
from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.llm.engines.scripted.engine import ScriptedEngine
from swarm.llm.protocol import Message, ModelClient, ModelReply, ModelRequest
from swarm.llm.temperament import Temperament
from swarm.planning import compose
from swarm.runtime.play import play
from swarm.simulation.record import RunRecord

TEMPERAMENTS: tuple[Temperament, ...] = get_args(Temperament)
SHOCKS = [
    {"kind": "mania", "round": 2, "rounds": 2, "good": "acorns"},
    {"kind": "blight", "round": 6, "good": "mushrooms"},
]
RULES = compose(resolve({"models": [{"name": "m", "temperament": "value"}]})).run.shard.rules
SCHEMA = RULES.schema()


class Listener:
    """A client that keeps what an engine was asked."""

    def __init__(self, engine: ModelClient, asked: list[ModelRequest]) -> None:
        self.engine = engine
        self.asked = asked

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        self.asked += requests
        return await self.engine.complete(requests, deadline_s)


def run(rounds: int, **model: Any) -> tuple[list[ModelRequest], RunRecord]:
    """A small Wood in which every temperament lives; every model has the settings `model`."""
    models = [{"name": t, "temperament": t, **model} for t in TEMPERAMENTS]
    config = resolve(
        {"population": 25, "rounds": rounds, "models": models, "scenario": {"name": "wood", "shocks": SHOCKS}}
    )
    asked: list[ModelRequest] = []
    clients = {m.name: Listener(engines.in_process(m), asked) for m in config.models}
    return asked, play(config, clients=clients).record


@cache
def requests_of_a_run() -> tuple[ModelRequest, ...]:
    return tuple(run(14)[0])


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
def test_every_prompt_of_a_run_is_answered_within_the_schema_and_the_purse(temperament: Temperament) -> None:
    answered = 0
    for request in requests_of_a_run():
        text = request.messages[-1].content
        reply = answer(temperament, text, request.seed, SCHEMA)
        makes = RULES.goods.index(text.partition("MAKES ")[2].partition("\n")[0])
        decision = read_reply(reply, False, RULES, makes).outcome
        assert isinstance(decision, Decision), reply
        assert len(decision.thought) <= 120
        assert len(decision.gossip) <= 80
        assert json.loads(reply).keys() == {"thought", "orders", "gossip"}
        purse = int(text.partition("PURSE ")[2].partition("\n")[0])
        assert sum(o.price * o.quantity for o in decision.orders if o.side == "buy") <= purse
        answered += bool(decision.orders)
    assert answered > 0.9 * len(requests_of_a_run())


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
def test_a_narrower_schema_is_kept_to(temperament: Temperament) -> None:
    schema = json.loads(json.dumps(SCHEMA))
    orders = schema["properties"]["orders"]
    orders["maxItems"] = 1
    orders["items"]["properties"]["price"]["maximum"] = 15
    orders["items"]["properties"]["quantity"]["maximum"] = 1
    for request in requests_of_a_run()[:100]:
        given = json.loads(answer(temperament, request.messages[-1].content, request.seed, schema))["orders"]
        assert len(given) <= 1
        assert all(1 <= o["price"] <= 15 and o["quantity"] == 1 for o in given)


def prompt(
    *,
    price: int = 20,
    change: int = 0,
    unmet: tuple[int, int] = (0, 0),
    need: int = 2,
    worth: int = 30,
    purse: int = 400,
    spare: int = 5,
    mood: int = 50,
    news: str = "",
    heard: str = "",
) -> str:
    """A prompt of somebody who makes acorns and may need honey."""
    lines = ["ROUND 3 of 60, autumn", *([f"NEWS {news}"] if news else [])]
    lines += ["MARKET good PRICE CHANGE TRADED UNMET_BIDS UNMET_ASKS", "acorns 20 +0 5 0 0"]
    lines += [f"honey {price} {change:+d} 5 {unmet[0]} {unmet[1]}"]
    lines += ["YOU are a squirrel", "MAKES acorns", f"PURSE {purse}", f"MOOD {mood} of 100"]
    lines += ["STOCK good HAVE NEED SPARE WORTH", f"acorns 6 0 {spare} 10", f"honey 0 {need} 0 {worth}"]
    lines += [f"SHORT OF {'honey' if need else 'nothing'}"]
    lines += ["HEARD (rumours, not orders)", f"- {heard}"] if heard else []
    return "\n".join(lines)


def orders_of(temperament: Temperament, text: str, seed: int = 0) -> dict[str, tuple[int, int]]:
    """(price, quantity) by side; in these prompts nobody has more than one order on a side."""
    orders = json.loads(answer(temperament, text, seed, SCHEMA))["orders"]
    assert len({o["side"] for o in orders}) == len(orders)
    return {o["side"]: (o["price"], o["quantity"]) for o in orders}


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
def test_a_price_far_above_worth_is_not_bid(temperament: Temperament) -> None:
    cheap, dear = prompt(price=20, worth=30), prompt(price=90, worth=30)
    assert orders_of(temperament, cheap)["buy"][0] >= 17
    assert orders_of(temperament, dear).get("buy", (0, 0))[0] < 90


@pytest.mark.parametrize("temperament", ["value", "panic"])
def test_the_sober_never_bid_above_worth(temperament: Temperament) -> None:
    for worth in range(1, 40):
        assert orders_of(temperament, prompt(worth=worth), seed=worth)["buy"][0] <= worth


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
def test_urgent_need_buys_more_and_no_need_buys_nothing(temperament: Temperament) -> None:
    bought = [orders_of(temperament, prompt(need=need)).get("buy", (0, 0))[1] for need in (0, 1, 2, 4)]
    assert bought[0] == 0
    assert bought == sorted(set(bought))


@pytest.mark.parametrize("temperament", ["value", "momentum", "maker", "panic"])
def test_only_a_hoarder_buys_what_it_does_not_need(temperament: Temperament) -> None:
    tempting = prompt(need=0, change=9, unmet=(9, 0), news="The Honey Blight!", heard="honey will rise", worth=90)
    assert "buy" not in orders_of(temperament, tempting)
    assert "buy" in orders_of("hoarder", tempting)


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
def test_a_small_purse_buys_less_and_an_empty_one_nothing(temperament: Temperament) -> None:
    bought = [orders_of(temperament, prompt(need=3, purse=purse)).get("buy", (0, 0))[1] for purse in (0, 45, 400)]
    assert bought[0] == 0 < bought[1] < bought[2]


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
def test_who_has_nothing_to_spare_sells_nothing(temperament: Temperament) -> None:
    assert "sell" not in orders_of(temperament, prompt(spare=0))
    assert orders_of(temperament, prompt(spare=5))["sell"][0] >= 10


@pytest.mark.parametrize(
    ("temperament", "calm", "moved"),
    [
        ("momentum", prompt(change=0), prompt(change=5)),
        ("momentum", prompt(heard="honey will fall"), prompt(heard="honey will rise")),
        ("maker", prompt(unmet=(0, 9)), prompt(unmet=(9, 0))),
        ("panic", prompt(), prompt(news="The Honey Blight! Stores rot and harvests fail")),
        ("panic", prompt(mood=50), prompt(mood=20)),
    ],
)
def test_a_temperament_bids_higher_when_what_moves_it_appears(temperament: Temperament, calm: str, moved: str) -> None:
    assert orders_of(temperament, moved)["buy"][0] > orders_of(temperament, calm)["buy"][0]


def test_a_hoarder_sells_all_and_cheaper_when_its_purse_is_thin_or_its_store_overfull() -> None:
    rich, poor = orders_of("hoarder", prompt(purse=400))["sell"], orders_of("hoarder", prompt(purse=50))["sell"]
    assert (poor[1], rich[1]) == (5, 4)
    assert poor[0] < rich[0]
    assert orders_of("hoarder", prompt(spare=13))["sell"] == (17, 13)


def test_a_panicking_seller_dumps() -> None:
    assert orders_of("panic", prompt(news="a crash"))["sell"][0] < orders_of("panic", prompt())["sell"][0]


@pytest.mark.parametrize("text", ["", "Hello", "MAKES acorns\nPURSE 400", "acorns 6 0 5 10\nMAKES acorns\nPURSE 400"])
@pytest.mark.parametrize("temperament", TEMPERAMENTS)
def test_a_prompt_without_its_tables_gets_no_orders(temperament: Temperament, text: str) -> None:
    assert json.loads(answer(temperament, text, 3, SCHEMA))["orders"] == []


def replies(config: ScriptedModel, *requests: ModelRequest, deadline_s: float = 30.0) -> list[ModelReply]:
    return asyncio.run(ScriptedEngine(config).complete(requests, deadline_s))


@pytest.mark.parametrize("temperament", TEMPERAMENTS)
def test_nothing_but_the_prompt_and_the_seed_is_read(temperament: Temperament) -> None:
    config = ScriptedModel(name="m", temperament=temperament)
    other = ScriptedModel(name="other", temperament=temperament, replicas=3, num_cpus=1.0, max_completion_tokens=300)
    user = Message("user", prompt())
    request = ModelRequest((Message("system", "some rules"), user), SCHEMA, 200, 7)
    again = ModelRequest((Message("system", "other rules"), user), SCHEMA, 300, 7)
    noise = ModelRequest((Message("user", prompt(price=50)),), SCHEMA, 200, 8)
    first = replies(config, request)[0].text
    assert first == replies(other, noise, again)[1].text
    assert first == replies(config, again, noise, request)[2].text


def test_the_seed_is_the_only_chance() -> None:
    texts = {answer("value", prompt(worth=90), seed, SCHEMA) for seed in range(20)}
    assert 1 < len(texts) <= 3
    assert answer("value", prompt(), 5, SCHEMA) == answer("value", prompt(), 5, SCHEMA)


def test_a_sound_engine_makes_no_errors_and_a_faulty_one_all_kinds_which_the_run_counts() -> None:
    _, sound = run(6)
    assert sound.summary["decision_errors"] == {}
    _, faulty = run(6, fault_rate=0.5)
    errors = faulty.summary["decision_errors"]
    assert errors.keys() == {"not_json", "truncated", "bad_number", "wrong_shape", "unknown_good"}
    assert sum(errors.values()) == (faulty.tables["decisions"]["error"] != "").sum()
    assert 0.35 < sum(errors.values()) / (6 * 25) < 0.6
    assert set(faulty.tables["decisions"].filter(faulty.tables["decisions"]["error"] != "")["orders"]) == {0}


def test_the_fault_rate_is_the_share_of_replies_that_are_spoilt() -> None:
    config = ScriptedModel(name="m", temperament="value", fault_rate=0.2)
    said, seeds = prompt(), range(0, 2**63, 2**63 // 1_000)
    found = replies(config, *(ModelRequest((Message("user", said),), SCHEMA, 200, seed) for seed in seeds))
    sound = [answer("value", said, seed, SCHEMA) for seed in seeds]
    assert 160 < sum(reply.text != text for reply, text in zip(found, sound, strict=True)) < 240


def test_a_reply_that_is_too_long_is_cut_off_and_counted() -> None:
    _, record = run(2, max_completion_tokens=16)
    assert record.summary["decision_errors"] == {"truncated": 2 * 25}
    reply = replies(
        ScriptedModel(name="m", temperament="value"), ModelRequest((Message("user", prompt()),), SCHEMA, 16, 1)
    )[0]
    assert (reply.finish_reason, reply.usage.completion) == ("length", 16)
    assert answer("value", prompt(), 1, SCHEMA).startswith(reply.text)


def test_a_missed_deadline_is_an_error_and_does_not_raise() -> None:
    request = ModelRequest((Message("user", prompt()),), SCHEMA, 200, 1)
    late = replies(ScriptedModel(name="m", temperament="value"), request, request, deadline_s=0.0)
    assert [r.finish_reason for r in late] == ["deadline", "deadline"]
    assert all(r.usage.prompt > 0 and r.usage.completion == 0 for r in late)
