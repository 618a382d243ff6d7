"""The menu of a round: for each trader a short list of actions that the engine has computed.

An action bundles up to `max_orders` orders that are legal and affordable together; the first is to pass. What an action
would bring is computed here, so that a small model only has to compare. Orders hold prices in ticks and quantities in
lots; this module knows neither balances nor the market's state beyond what a trader is shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from swarm.agents.decision import Rules
from swarm.agents.observation import Observation, PrivateViews, PublicView
from swarm.seeding import draw

LETTERS = "ABCDEFGHIJKLMNOP"
MOST_ACTIONS = 10
"""Actions of a menu beside passing, at most."""

SILENCE = "(nothing)"

_LOW, _FAIR, _KEEN, _SURE = -8, 0, 8, 25
"""Percent by which a limit is more generous to the other side than the reference price."""


class Leg(NamedTuple):
    """One order of an action: side, number of the good, limit in ticks, lots."""

    buys: bool
    good: int
    price: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Action:
    """One line of a menu.

    `gain` is what the action is worth to the trader at its limits if all of it is filled, in ticks; `expected` is the
    same with each leg times its chance; `trend` is what it would earn if each price moved again as it did last;
    `edge` is the percent by which its limits are more generous than the reference prices; `needs` counts the lots
    that meet a need.
    """

    legs: tuple[Leg, ...]
    gain: int = 0
    expected: int = 0
    trend: int = 0
    edge: int = 0
    needs: int = 0
    buys: int = 0
    sells: int = 0


@dataclass(frozen=True, slots=True)
class Menu:
    """The answers that one trader may give in a round: `actions[0]` is to pass, `sayings[0]` is silence."""

    actions: tuple[Action, ...]
    sayings: tuple[str, ...]

    @property
    def stake_ticks(self) -> int:
        """The gain that is expected of the best action less that of the second."""
        expected = sorted((action.expected for action in self.actions), reverse=True)
        return expected[0] - expected[1] if len(expected) > 1 else 0

    def beyond(self, chosen: Action) -> int:
        """Returns the gain that is expected of the best action beyond the chosen one, or if that is it, the second."""
        return max(max(action.expected for action in self.actions) - chosen.expected, self.stake_ticks)

    def schema(self) -> dict[str, Any]:
        """Returns the JSON schema of an answer: a string, one of all pairs of letters."""
        return _schema(len(self.actions), len(self.sayings))


@lru_cache(maxsize=256)
def _schema(actions: int, sayings: int) -> dict[str, Any]:
    return {"type": "string", "enum": [a + s for a in LETTERS[:actions] for s in LETTERS[:sayings]]}


class Menus:
    """The menus of a round, each composed when it is first asked for, the same whoever asks.

    The order of the actions behind A is drawn from the seed by trader and round, so that no letter stands for a kind
    of action and a model that prefers a letter gains nothing by it.
    """

    def __init__(self, seed: int, seen: Observation, rules: Rules, tick_cents: int) -> None:
        self._market = _Market(seen.public, rules)
        self._private = seen.private
        self._tick_cents = tick_cents
        self._sayings = compose_sayings(seen.public, rules.goods)
        trader = seen.private.trader[:, None]
        dice = draw(seed, "menu", seen.public.round, trader, np.arange(len(LETTERS))[None, :])
        self._order: list[list[int]] = np.argsort(dice, axis=1, kind="stable").tolist()
        self._composed: dict[int, Menu] = {}

    def of(self, row: int) -> Menu:
        """Returns the menu of one row of the private views."""
        found = self._composed.get(row)
        if found is None:
            actions = _actions(self._market, _Creature(self._private, row, self._tick_cents))
            shuffled = [actions[index] for index in self._order[row] if index < len(actions)]
            self._composed[row] = found = Menu((Action(()), *shuffled), self._sayings)
        return found


def widest_menu(rules: Rules) -> Menu:
    """Returns a menu as long as menus get, to see whether a budget has room for it."""
    good = max(range(len(rules.goods)), key=lambda g: len(rules.goods[g]))
    legs = (Leg(True, good, rules.max_price_ticks, rules.max_quantity_lots),) * rules.max_orders
    return Menu((Action(()), *[Action(legs, -99, -99, -99, -99, 99, 99, 99)] * MOST_ACTIONS), (SILENCE,))


def compose_sayings(public: PublicView, goods: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the lines of gossip that the round's digest gives rise to, the same for everybody."""
    change = public.change_ticks
    excess = public.unfilled_buy_lots - public.unfilled_sell_lots
    lines = [SILENCE]
    for column, sign, text in (
        (change, 1, "{} will rise"),
        (change, -1, "{} will fall"),
        (excess, 1, "{} is short"),
        (excess, -1, "{} is plenty"),
    ):
        good = int(np.argmax(sign * column))
        if sign * int(column[good]) > 0:
            lines.append(text.format(goods[good]))
    return tuple(lines)


class _Market:
    """The public columns as lists, with the pressure of each good in percent: above 0, buyers were left over."""

    def __init__(self, public: PublicView, rules: Rules) -> None:
        self.rules = rules
        self.price: list[int] = public.reference_ticks.tolist()
        self.change: list[int] = public.change_ticks.tolist()
        # [goods] lots; a good of which nothing was offered has no pressure.
        excess = public.unfilled_buy_lots - public.unfilled_sell_lots
        offered = 2 * public.volume_lots + public.unfilled_buy_lots + public.unfilled_sell_lots
        self.pressure: list[int] = (100 * excess // np.maximum(offered, 1)).tolist()
        # What is short comes first, and of equal shortage what rose most.
        self.wanted: list[int] = np.argsort(-(1_000 * excess + public.change_ticks), kind="stable").tolist()


class _Creature:
    """One row of the private columns as plain numbers."""

    def __init__(self, private: PrivateViews, row: int, tick_cents: int) -> None:
        barter = private.bartering
        self.makes = int(barter.makes[row])
        self.purse = int(private.cash_cents[row]) // tick_cents
        self.need: list[int] = barter.need[row].tolist()
        self.spare: list[int] = barter.spare[row].tolist()
        self.worth: list[int] = barter.worth_ticks[row].tolist()


def _actions(market: _Market, own: _Creature) -> list[Action]:
    """Returns all different actions beside passing, at most MOST_ACTIONS."""
    price, worth, goods = market.price, own.worth, range(len(market.price))
    sales = sorted((g for g in goods if own.spare[g] > 0), key=lambda g: (-own.spare[g] * price[g], g))[:3]
    needs = sorted((g for g in goods if own.need[g] > 0 and g != own.makes), key=lambda g: (price[g] - worth[g], g))
    ahead = [g for g in market.wanted if g != own.makes][:1]

    def bid(g: int, percent: int) -> int:
        """Returns a bid that is generous by `percent` but below the good's worth; at `_SURE`, up to that."""
        return min(_raised(price[g], percent), worth[g] - (percent < _SURE))

    def ask(g: int, percent: int) -> int:
        return max(_raised(price[g], -min(percent, 20)), worth[g] + (percent < _SURE))

    def quote(percent: int) -> list[Leg]:
        return [
            *(Leg(False, g, ask(g, percent), own.spare[g]) for g in sales[:1]),
            *(Leg(True, g, bid(g, percent), own.need[g]) for g in needs[:2]),
        ]

    # Both sides at four levels of generosity, then one side alone, then speculating, overpaying, selling out, holding.
    bundles = [
        quote(_FAIR),
        quote(_KEEN),
        quote(_LOW),
        quote(_SURE),
        [Leg(True, g, bid(g, _KEEN), own.need[g]) for g in needs],
        [Leg(False, g, ask(g, _KEEN), own.spare[g]) for g in sales],
        [  # Buy ahead what others are left wanting.
            *(Leg(True, g, _raised(price[g], _KEEN), own.need[g] + 2) for g in ahead),
            *(Leg(False, g, ask(g, _FAIR), own.spare[g]) for g in sales[:1]),
            *(Leg(True, g, bid(g, _KEEN), own.need[g]) for g in needs if g not in ahead),
        ],
        [  # Overpay for what is needed, and more of it.
            *(Leg(True, g, min(_raised(price[g], _SURE), worth[g] * 5 // 4), own.need[g] + 1) for g in needs[:2]),
            *(Leg(False, g, _raised(price[g], -20), own.spare[g]) for g in sales[:1]),
        ],
        [Leg(False, g, _raised(price[g], -20), own.spare[g]) for g in sales],
        [  # Keep half of what could be sold.
            *(Leg(False, g, ask(g, _LOW), (own.spare[g] + 1) // 2) for g in sales[:1]),
            *(Leg(True, g, bid(g, _FAIR), own.need[g]) for g in needs[:2]),
        ],
    ]
    actions: dict[tuple[Leg, ...], Action] = {}
    for bundle in bundles:
        legs = tuple(_lawful(bundle, own.purse, market.rules))
        if legs and legs not in actions:
            actions[legs] = _valued(legs, market, own)
    return list(actions.values())


def _raised(price: int, percent: int) -> int:
    """Returns `price` moved by `percent`, at least by one tick and to the nearest tick."""
    if not percent:
        return price
    step = max(1, (price * abs(percent) + 50) // 100)
    return price + step if percent > 0 else price - step


def _lawful(bundle: list[Leg], purse: int, rules: Rules) -> Iterator[Leg]:
    """Yields the legs that the market would take together: bounded, and paid for before anything is sold."""
    left = purse
    kept = 0
    for buys, good, wished, quantity in bundle:
        price = min(max(wished, 1), rules.max_price_ticks)
        lots = min(quantity, rules.max_quantity_lots, left // price if buys else quantity)
        if lots < 1 or wished < 1 or kept == rules.max_orders:
            continue
        # What is sold pays for nothing here: both happen in the same clearing.
        left -= price * lots if buys else 0
        kept += 1
        yield Leg(buys, good, price, lots)


def _valued(legs: tuple[Leg, ...], market: _Market, own: _Creature) -> Action:
    gain = expected = trend = edges = lots = needs = bought = 0
    for buys, good, price, quantity in legs:
        reference = market.price[good]
        sign = 1 if buys else -1
        needed = min(quantity, own.need[good]) if buys else 0
        # What is bought beyond the need is worth half, since its use lies in the future if anywhere.
        worth = (own.worth[good] * (quantity + needed) // 2) if buys else own.worth[good] * quantity
        leg_gain = sign * (worth - price * quantity)
        edge = sign * (price - reference) * 100 // max(reference, 1)
        chance = min(max(50 + 4 * edge - sign * market.pressure[good] // 2, 5), 95)
        gain += leg_gain
        expected += leg_gain * chance
        trend += sign * market.change[good] * quantity
        edges += edge * quantity
        lots += quantity
        needs += needed
        bought += quantity if buys else 0
    return Action(legs, gain, expected // 100, trend, edges // lots, needs, bought, lots - bought)
