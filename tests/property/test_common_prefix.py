"""One prefix for all: whatever is private to whom, the prompts of a model's traders begin with the same bytes.

Prompts are taken where models get them, in every scenario of a market and in every form, with everything varied that
only one trader knows or hears: whoever lets a byte of it into the common part finds out here. Scenarios whose decision
is another are played, and the prompts of each round are compared.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm import config_file, scenarios
from swarm.agents import desk_tools, prompt
from swarm.agents.forms import menu
from swarm.agents.memory import Memory
from swarm.agents.observation import MAX_HISTORY, Barter, Observation, PastRound, PrivateViews, PublicView
from swarm.agents.shard import Shard
from swarm.config_file import resolve
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.market.events import RoundCleared, Trades
from swarm.planning import compose
from swarm.runtime.play import Shown, play
from swarm.scenarios.protocol import MarketState
from swarm.simulation.plan import RunPlan

CONFIGS = Path(__file__).parents[2] / "configs"
TRADERS = 12
MARKETS = ("wood", "double_auction")
OTHERS = {"duopoly": "chance", "supply_chain": "sterman"}
WATCHERS = [*({"watch": w, "name": w} for w in ("takeover", "fan_in")), *({"watch": "reader", "name": n} for n in "ab")]
SMALL_BANK = {"days_before": 12, "payments_a_day": 300, "prevalence_ppm": 10_000}
DESKS: dict[str, dict[str, Any]] = {
    "contract": {"rounds": 3},
    "fraud": {
        "rounds": 3,
        "population": 5,
        "market": {"max_orders_per_round": 8},
        "scenario": {"name": "fraud", **SMALL_BANK, "watchers": WATCHERS},
        "models": [{"name": "reader", "engine": "scripted", "temperament": "value"}],
        "traders": {"minds": {"reader": 1}},
    },
}
"""Scenarios whose few seats are asked for a case each, and not all of them in every round."""
FORMS = ("orders", "menu", "desk")
FINISH = '{"name": "final_answer", "arguments": {"answer": "I wait."}}'


class Listener:
    """A `ModelClient` that keeps what it is asked, and whose desks finish at once."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Keep each prompt as one text, in the order in which an engine gets its parts."""
        asked = [sample for request in requests for sample in request.singly()]
        self.asked += ["\0".join(f"{m.role}\0{m.content}" for m in r.messages).encode() for r in asked]
        return [ModelReply(FINISH, TokenUsage(1, 1), "stop", 0.0)] * len(asked)


@cache
def plan_of(scenario: str) -> RunPlan:
    """A plan in which models of all forms decide, each for a third of the traders."""
    return compose(
        resolve(
            {
                "population": TRADERS,
                "scenario": {"name": scenario},
                "models": [
                    {"name": "orders", "temperament": "value", "form": "orders"},
                    {"name": "menu", "temperament": "value", "form": "menu"},
                    {"name": "thinker", "temperament": "value"},
                ],
                "traders": {
                    "minds": dict.fromkeys(FORMS, 1),
                    "desks": [{"name": "desk", "model": "thinker", "role": "Attend to the cheapest."}],
                },
                "budget": {"tokens_per_turn": 5_000},
            }
        )
    ).run


def fresh(scenario: str) -> RunPlan:
    """A plan of its own, where a scenario's state is moved."""
    return compose(resolve(plan_of(scenario).config_record)).run


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
heard_lines = st.lists(
    st.one_of(words, st.sampled_from(["honey will rise", "wants 2 honey at 34", "x" * 400])), max_size=5
)


def drawn_public(rng: np.random.Generator, goods: int, news: Sequence[str]) -> PublicView:
    """Everything that all know, at random."""
    price, change, clearing, volume, bids, asks = (rng.integers(1, 999, goods) for _ in range(6))
    past = [[tuple(rng.integers(0, 99, goods).tolist()) for _ in range(3)] for _ in range(rng.integers(MAX_HISTORY))]
    history = tuple(PastRound(r, *columns) for r, columns in enumerate(past))
    round_ = int(rng.integers(1, 99))
    return PublicView(round_, 99, "winter", tuple(news), price, change - 500, clearing, volume, bids, asks, history)


def drawn_private(rng: np.random.Generator, goods: int, heard: Sequence[Sequence[str]], fact: str) -> PrivateViews:
    """Everything that only one trader knows, at random."""
    lots = [rng.integers(0, rng.choice([2, 9, 10_000]), (TRADERS, goods)) for _ in range(6)]
    have, need, spare, worth, bought, sold = lots
    lines = [tuple(heard[i % len(heard)]) if heard else () for i in rng.permutation(TRADERS).tolist()]
    return PrivateViews(
        trader=np.arange(TRADERS),
        cash_cents=rng.integers(0, 10**9, TRADERS),
        have=have,
        bought_lots=bought,
        sold_lots=sold,
        facts=tuple(f"{fact}{i}" if fact else "" for i in rng.permutation(TRADERS).tolist()),
        heard=tuple(lines),
        before_cash_cents=rng.integers(0, 10**9, TRADERS),
        before_have=have[::-1],
        barter=Barter(
            makes=rng.integers(-1, goods, TRADERS),
            need=need,
            spare=spare,
            worth_ticks=worth + 1,
            mood=rng.integers(0, 101, TRADERS),
        ),
    )


@cache
def shards(scenario: str) -> tuple[Shard, ...]:
    """Shards of the same traders, whose minds come in two orders."""
    plan = plan_of(scenario).shard
    return tuple(
        Shard(replace(plan, minds=minds), {"orders": Listener(), "menu": Listener(), "thinker": Listener()})
        for minds in (plan.minds, plan.minds[::-1])
    )


def prompts_of(shard: Shard, seen: Observation) -> dict[str, list[bytes]]:
    """What a shard asks for its traders, by form."""
    asked: dict[str, list[bytes]] = {}
    for form, model in zip(FORMS, ("orders", "menu", "thinker"), strict=True):
        listener = shard.clients[model]
        assert isinstance(listener, Listener)
        asked[form] = listener.asked = []
    asyncio.run(shard.decide(seen, Memory.empty()))
    return asked


def common_parts(plan: RunPlan, public: PublicView) -> dict[str, bytes]:
    """The system and the public part of each form, which need no private view to be made."""
    rules, setting = plan.shard.rules, plan.shard.scenario_rules
    nobody = PrivateViews(**{f.name: None for f in fields(PrivateViews)})  # type: ignore[arg-type]
    parts = {
        "orders": (f"{setting}\n{prompt.answer_text(rules)}", prompt.public_text(public, rules.goods) + "\n"),
        "menu": (f"{setting}\n{menu.menu_answer_text()}", menu.menu_public_text(public, rules.goods) + "\n"),
        "desk": (
            desk_tools.system_text(setting, plan.shard.traders.desks[0], rules),
            # The first words are smolagents' own.
            "New task:\n" + desk_tools.task_text(Observation(public, nobody)),
        ),
    }
    return {form: f"system\0{system}\0user\0{text}".encode() for form, (system, text) in parts.items()}


def leaks(prompts: dict[str, list[bytes]], common: dict[str, bytes]) -> list[str]:
    """The forms whose prompts do not all begin with the common part."""
    return [form for form, asked in prompts.items() if not asked or not all(p.startswith(common[form]) for p in asked)]


@pytest.mark.parametrize("scenario", MARKETS)
@given(
    seed=st.integers(0, 2**32),
    news=st.lists(st.sampled_from(["The Honey Blight! Stores rot", "The Run has ended"]), max_size=2),
    heard=st.lists(heard_lines, max_size=4),
    fact=words,
)
def test_prompts_begin_with_the_same_bytes_whatever_is_private(
    scenario: str, seed: int, news: list[str], heard: list[list[str]], fact: str
) -> None:
    plan, rng = plan_of(scenario), np.random.default_rng(seed)
    goods = len(plan.scenario.goods)
    public = drawn_public(rng, goods, news)
    common = common_parts(plan, public)
    for who in shards(scenario):
        private = drawn_private(rng, goods, heard, fact)
        asked = prompts_of(who, Observation(public, private))
        assert not leaks(asked, common)
        assert sum(map(len, asked.values())) == TRADERS


def private_market(plan: RunPlan, rng: np.random.Generator) -> tuple[MarketState, RoundCleared]:
    """Balances and trades of one clearing, whose sums by good are the same whoever dealt."""
    goods = len(plan.scenario.goods)
    lots = np.full(3 * goods, 2)
    good = np.repeat(np.arange(goods), 3)
    pairs = np.array([rng.permutation(TRADERS)[:2] for _ in good])
    trades = Trades(good, lots + 18, lots, pairs[:, 0], pairs[:, 1])
    each = np.full(goods, 20)
    reference = plan.scenario.opening_reference_ticks + 1
    balances = rng.integers(1, 10**6, (TRADERS, goods + 1))
    return MarketState(balances, reference), RoundCleared(1, each, each - 14, each - 15, each - 16, reference, trades)


@pytest.mark.parametrize("scenario", MARKETS)
@given(seed=st.integers(0, 2**32))
def test_a_scenario_s_public_part_depends_on_nothing_that_one_trader_knows(scenario: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found: list[Any] = []
    for _ in range(2):
        plan = fresh(scenario)
        state = plan.scenario.snapshot()
        plan.scenario.restore({k: rng.permutation(v) if len(v) == TRADERS else v for k, v in state.items()})
        seen = plan.scenario.observe(2, *private_market(plan, rng))
        found.append(common_parts(plan, seen.public))
        assert not leaks(prompts_of(shards(scenario)[0], seen), found[-1])
    assert found[0] == found[1]


def test_every_scenario_is_looked_at() -> None:
    assert {*scenarios.names()} == {*MARKETS, *OTHERS, *DESKS}


@pytest.mark.parametrize("scenario", OTHERS)
def test_prompts_of_other_decisions_begin_with_the_same_bytes(scenario: str) -> None:
    # Half of the traders go by a rule, so that not all are in the same state.
    minds = {"define": {"other": {"mind": "own", "rule": OTHERS[scenario]}}, "minds": {"model": 1, "other": 1}}
    model = {"name": "model", "temperament": "value"}
    given = {"rounds": 8, "population": 100, "scenario": {"name": scenario}, "models": [model], "traders": minds}
    shown, config = Shown(), resolve(given)
    shard = play(config, traders=shown.asking).plan.markets[0].shard
    form, budget = shard.form("model"), config.budget.tokens_per_turn
    assert len(shown.seen) == config.rounds
    for seen in shown.seen:
        common = form.system() + form.shared(seen.public)
        prompts = [form.render(seen, row, budget) for row in range(100)]
        told = ["".join(m.content for m in prompt.messages) for prompt in prompts if prompt is not None]
        assert len(told) == 100
        assert all(text.startswith(common) for text in told)
        assert len(set(told)) > 1 or seen.public.round == 1


@pytest.mark.parametrize("desk", DESKS)
def test_prompts_of_desks_begin_with_the_same_bytes(desk: str) -> None:
    shown, config = Shown(), resolve({**config_file.read(CONFIGS / f"{desk}.yaml"), **DESKS[desk]})
    shard = play(config, traders=shown.asking).plan.markets[0].shard
    form = shard.form(config.models[0].name)
    told: set[str] = set()
    for seen in shown.seen:
        common = form.system() + form.shared(seen.public)
        for row in range(config.most_traders):
            if (prompt := form.render(seen, row, config.budget.tokens_per_turn)) is not None:
                text = "".join(m.content for m in prompt.messages)
                assert text.startswith(common)
                told.add(text)
    assert len(told) > 1


def test_a_private_byte_in_the_common_part_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, rng = plan_of("wood"), np.random.default_rng(1)
    public = drawn_public(rng, 5, ["The Run has ended"])
    seen = Observation(public, drawn_private(rng, 5, [["honey will rise"], []], "YOU are number "))
    common = common_parts(plan, public)
    assert not leaks(prompts_of(shards("wood")[0], seen), common)
    told, asked_to = prompt.render, desk_tools.task_text

    def heard_first(system: str, public: str, private: str, heard: tuple[str, ...], *rest: Any) -> Any:
        return told(system, f"{public[:-1]}{len(private)}{public[-1:]}", private, heard, *rest)

    for module in (prompt, menu):
        monkeypatch.setattr(module, "render", heard_first)
    monkeypatch.setattr(desk_tools, "task_text", lambda seen: f"{int(seen.private.bartering.mood[0])} {asked_to(seen)}")
    monkeypatch.setattr("swarm.agents.desk.task_text", desk_tools.task_text)
    assert leaks(prompts_of(shards("wood")[0], seen), common) == list(FORMS)


def test_the_private_part_is_short() -> None:
    plan = plan_of("wood")
    rng = np.random.default_rng(2)
    seen = Observation(drawn_public(rng, 5, []), drawn_private(rng, 5, [["honey will rise"] * 3], "YOU are a bear "))
    asked, common = prompts_of(shards("wood")[0], seen), common_parts(plan, seen.public)
    assert max(len(p) - len(common["orders"]) for p in asked["orders"]) < 400 < len(common["orders"])
