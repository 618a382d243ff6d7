"""Menus: what is offered is lawful and affordable together, and answers are read strictly."""

import json
from dataclasses import replace

import numpy as np
import pytest

from swarm.agents.decision import Decision, DecisionError, Rules
from swarm.agents.forms.menu import action_line, menu_text, read_choice
from swarm.agents.forms.menus import LETTERS, Menu, Menus, compose_sayings
from swarm.agents.observation import Barter, Observation, PrivateViews, PublicView
from swarm.agents.policies.menu import choose, read_menu
from swarm.config_file import resolve
from swarm.runtime.play import play

RULES = Rules(goods=("acorns", "berries", "firewood"), max_orders=3, max_price_ticks=1_000, max_quantity_lots=100)


def observation(n: int, seed: int) -> Observation:
    """Traders in all kinds of straits."""
    random = np.random.default_rng(seed)
    goods = len(RULES.goods)
    public = PublicView(
        round=3,
        rounds=10,
        season="winter",
        news=(),
        reference_ticks=random.integers(1, 60, goods),
        change_ticks=random.integers(-4, 5, goods),
        clearing_ticks=random.integers(0, 60, goods),
        volume_lots=random.integers(0, 40, goods),
        unfilled_buy_lots=random.integers(0, 20, goods),
        unfilled_sell_lots=random.integers(0, 20, goods),
    )
    have = random.integers(0, 12, (n, goods))
    makes = random.integers(-1, goods, n)
    private = PrivateViews(
        trader=np.arange(n),
        cash_cents=random.integers(0, 40_000, n),
        have=have,
        bought_lots=np.zeros((n, goods), dtype=np.int64),
        sold_lots=np.zeros((n, goods), dtype=np.int64),
        facts=("",) * n,
        heard=((),) * n,
        barter=Barter(
            makes=makes,
            need=np.where(np.arange(goods) == makes[:, None], 0, random.integers(0, 4, (n, goods))),
            spare=random.integers(0, 12, (n, goods)) * have // 12,
            worth_ticks=random.integers(1, 90, (n, goods)),
            mood=random.integers(1, 100, n),
        ),
    )
    return Observation(public, private)


def menus_of(seed: int, seen: Observation) -> list[Menu]:
    menus = Menus(seed, seen, RULES, 100)
    return [menus.of(row) for row in range(len(seen.private))]


@pytest.mark.parametrize("seed", range(5))
def test_every_action_is_lawful_and_affordable_together(seed: int) -> None:
    seen = observation(200, seed)
    for row, menu in enumerate(menus_of(7, seen)):
        assert menu.actions[0].legs == ()
        assert len(menu.actions) <= 11
        assert len({a.legs for a in menu.actions}) == len(menu.actions)
        for action in menu.actions:
            assert len(action.legs) <= RULES.max_orders
            cost = sum(leg.price * leg.quantity for leg in action.legs if leg.buys)
            assert cost * 100 <= seen.private.cash_cents[row]
            for good in range(len(RULES.goods)):
                sold = sum(leg.quantity for leg in action.legs if leg.good == good and not leg.buys)
                assert sold <= seen.private.bartering.spare[row, good]
            for leg in action.legs:
                assert 1 <= leg.price <= RULES.max_price_ticks
                assert leg.quantity >= 1
                assert not (leg.buys and leg.good == seen.private.makes[row])


def test_a_menu_does_not_depend_on_who_composes_it() -> None:
    seen = observation(20, 1)
    together = menus_of(7, seen)
    alone = menus_of(7, Observation(seen.public, seen.private.take(np.array([11]))))
    assert alone == [together[11]]
    assert [len(m.actions) for m in menus_of(8, seen)] == [len(m.actions) for m in together]


def first_menu() -> Menu:
    return next(m for m in menus_of(7, observation(50, 2)) if len(m.actions) > 3)


def test_two_letters_are_read_bare_or_as_json() -> None:
    menu = first_menu()
    for text in ("CB", " CB\n", '"CB"'):
        decision = read_choice(text, menu, RULES)
        assert isinstance(decision, Decision)
        assert [(o.side == "buy", RULES.goods.index(o.good), o.price, o.quantity) for o in decision.orders] == [
            tuple(leg) for leg in menu.actions[2].legs
        ]
        assert decision.gossip == menu.sayings[1]
    assert read_choice("AA", menu, RULES) == Decision()


@pytest.mark.parametrize(
    "text", ["", "A", "B!", "bb", "ZA", "AZ", "BA because", '"B', "B A", "[]", '{"act": "B"}', "A" * 99]
)
def test_what_is_no_pair_of_letters_of_the_menu_is_a_bad_choice(text: str) -> None:
    assert read_choice(text, first_menu(), RULES) is DecisionError.BAD_CHOICE


def test_the_schema_lists_all_pairs() -> None:
    menu = first_menu()
    pairs = menu.schema()["enum"]
    assert len(pairs) == len(menu.actions) * len(menu.sayings)
    assert all(isinstance(read_choice(json.dumps(pair), menu, RULES), Decision) for pair in pairs)


def test_sayings_follow_the_digest() -> None:
    public = replace(
        observation(1, 1).public,
        change_ticks=np.array([2, -3, 0]),
        unfilled_buy_lots=np.array([0, 0, 9]),
        unfilled_sell_lots=np.array([0, 0, 0]),
    )
    assert compose_sayings(public, RULES.goods) == (
        "(nothing)",
        "acorns will rise",
        "berries will fall",
        "firewood is short",
    )


def test_the_text_and_the_policies_agree_on_the_columns() -> None:
    menu = first_menu()
    view = read_menu(menu_text(action_line(a, RULES.goods) for a in menu.actions))
    assert [(c.gain, c.expect, c.trend, c.edge, c.needs, c.buys, c.sells) for c in view.choices] == [
        (a.gain, a.expected, a.trend, a.edge, a.needs, a.buys, a.sells) for a in menu.actions
    ]
    best = max(range(len(menu.actions)), key=lambda i: menu.actions[i].expected)
    assert choose("value", view)[0] == LETTERS[best]


def test_scripted_minds_trade_by_menu_and_make_no_error() -> None:
    models = [{"name": t, "temperament": t, "form": "menu"} for t in ("value", "maker")]
    summary = play(resolve({"rounds": 8, "population": 20, "models": models})).summary
    assert not summary["decision_errors"]
    assert not summary["order_rejections"]
    assert summary["volume_lots"] > 50
