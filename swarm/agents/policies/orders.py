"""The policy for the form `orders`: five temperaments that read a prompt and answer with orders in JSON.

It gets what a language model would get, the text of the messages, and nothing else. Its only chance is the request's
seed. So the whole path of a decision is real, and a run without a model is still a run; but what such a population does
says nothing about what language models would do.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from swarm.agents.prompt_reader import GoodRead, read_prompt
from swarm.llm.engines.scripted.policy import Policy
from swarm.llm.protocol import Message
from swarm.llm.temperament import Temperament

_ALARM = ("blight", "crash", "fail", "panic", "run on", "short")


@dataclass(slots=True)
class _View:
    """The figures that a policy has read in its prompt."""

    goods: dict[str, GoodRead] = field(default_factory=dict)
    makes: str = ""
    purse: int = 0
    mood: int = 50
    rumours: dict[str, int] = field(default_factory=dict)
    alarm: bool = False
    dice: tuple[int, ...] = ()

    @property
    def own(self) -> GoodRead | None:
        return self.goods.get(self.makes)

    def wanted(self) -> list[GoodRead]:
        """Goods that it needs and does not make, those worth most above their price first."""
        # Its own good it makes and need not buy.
        short = [g for g in self.goods.values() if g.need and g.name != self.makes]
        return sorted(short, key=lambda g: (g.price - g.worth, g.name))


def _read(text: str) -> _View:
    read = read_prompt(text)
    # Each voice counts one, up or down.
    rumours = {
        name: sum(("rise" in line) - ("fall" in line) for line in read.heard if name in line) for name in read.goods
    }
    return _View(
        read.goods,
        read.makes or "",
        read.purse or 0,
        50 if read.mood is None else read.mood,
        rumours=rumours,
        alarm=any(word in line.lower() for line in read.news for word in _ALARM),
    )


_Order = tuple[str, GoodRead, int, int]
_Policy = Callable[[_View], tuple[str, list[_Order]]]


def _value(view: _View) -> tuple[str, list[_Order]]:
    """Buys below what a good is worth to it, sells above what its own good costs it."""
    orders = [("buy", g, min(g.worth, g.price + 1 + view.dice[0] % 3), g.need) for g in view.wanted()]
    if view.own and view.own.spare:
        own = view.own
        orders.insert(0, ("sell", own, max(own.worth, own.price * (96 + view.dice[1] % 6) // 100), own.spare))
    return "I buy what is worth more to me than its price.", orders


def _momentum(view: _View) -> tuple[str, list[_Order]]:
    """Chases what rises and sells early what falls."""
    orders: list[_Order] = []
    for g in sorted(view.wanted(), key=lambda g: (-g.change - view.rumours[g.name], g.name)):
        # Ticks of the last move, and one for each voice that agrees with it.
        trend = g.change + view.rumours[g.name]
        price = min(g.price + max(trend, 0) + 1, g.worth * 5 // 4) if trend >= 0 else min(g.worth, g.price - 1)
        orders.append(("buy", g, price, g.need + (1 if trend > 0 else 0)))
    if view.own and view.own.spare:
        own = view.own
        price = own.price + own.change if own.change >= 0 else own.price * 92 // 100
        orders.insert(0, ("sell", own, max(own.worth, price), own.spare if own.change <= 0 else -(-own.spare // 2)))
    return "What rises goes on rising.", orders


def _maker(view: _View) -> tuple[str, list[_Order]]:
    """Quotes around the price: asks a little above it for what it has, bids a little below it for the rest."""
    # 1 or 2 ticks on either side.
    spread = 1 + view.dice[0] % 2
    orders: list[_Order] = []
    if view.own and view.own.spare:
        orders.append(("sell", view.own, max(view.own.worth, view.own.price + spread - 1), view.own.spare))
    for g in view.wanted():
        # Where more is offered than wanted it bids lower, else higher.
        lean = spread if g.unmet_asks > g.unmet_bids else -spread
        orders.append(("buy", g, min(g.price - lean, g.worth * 11 // 10), g.need))
    # One ask for what it was left with, the largest stock first.
    idle = [g for g in view.goods.values() if g.spare and g.name != view.makes]
    for g in sorted(idle, key=lambda g: (-g.spare, g.name))[:1]:
        orders.insert(1, ("sell", g, max(g.worth, g.price + spread), g.spare))
    return "I quote both sides and live on the spread.", orders


def _hoarder(view: _View) -> tuple[str, list[_Order]]:
    """Buys ahead of need what others are short of, and parts with its own good dearly until its store overflows."""
    orders: list[_Order] = []
    # First what most bids went without.
    scarce = sorted(view.goods.values(), key=lambda g: (g.unmet_asks - g.unmet_bids, g.name))
    for g in scarce:
        if g.name != view.makes and (g.need or g.unmet_bids > g.unmet_asks):
            orders.append(("buy", g, min(g.price * 21 // 20 + 1, max(g.worth, g.price * 3 // 4) * 6 // 5), g.need + 2))
    if view.own and view.own.spare > 1:
        own = view.own
        overfull = own.spare > 12
        # It sells only when it must: a full store makes it cheap, an empty purse makes it sell at the price.
        must_sell = overfull or view.purse < 6 * own.price
        price = own.price * (85 if overfull else 100 if must_sell else 108) // 100
        orders.insert(0, ("sell", own, max(own.worth, price), own.spare if must_sell else own.spare - 1))
    return "A full store is a warm winter.", orders


def _panic(view: _View) -> tuple[str, list[_Order]]:
    """Calm, it trades at the price; alarmed, it overpays for what it needs and dumps what it has."""
    # Bad news, most prices falling, or a low mood.
    falling = sum(g.change < 0 for g in view.goods.values()) > len(view.goods) // 2
    alarmed = view.alarm or falling or view.mood < 25
    orders: list[_Order] = []
    for g in view.wanted():
        price = min(g.price * 5 // 4 + 1, g.worth * 3 // 2) if alarmed else min(g.price, g.worth)
        orders.append(("buy", g, price, g.need + (2 if alarmed else 0)))
    if view.own and view.own.spare:
        own = view.own
        orders.insert(0, ("sell", own, max(1, own.price * 4 // 5) if alarmed else max(own.worth, own.price), own.spare))
    return ("Everything falls apart!" if alarmed else "All is calm."), orders


_POLICIES: dict[Temperament, _Policy] = {
    "value": _value,
    "momentum": _momentum,
    "maker": _maker,
    "hoarder": _hoarder,
    "panic": _panic,
}

TEMPERAMENT_SUMMARIES: dict[Temperament, str] = {
    name: " ".join((policy.__doc__ or "").split()) for name, policy in _POLICIES.items()
}


def _gossip(view: _View) -> str:
    """Returns one line about the good that moved most."""
    if not view.goods:
        return ""
    good = max(view.goods.values(), key=lambda g: (abs(g.change), g.unmet_bids + g.unmet_asks, g.name))
    if good.change or good.unmet_bids != good.unmet_asks:
        way = "rise" if (good.change or good.unmet_bids - good.unmet_asks) > 0 else "fall"
        return f"{good.name} will {way}, mark my words"
    return f"quiet days for {good.name}"


_PATIENCE: dict[Temperament, tuple[int, dict[str, Any]]] = {
    "value": (4, {"price": 150, "need": True}),
    "momentum": (2, {"price": 40, "need": True}),
    "maker": (4, {"price": 60, "need": True}),
    "hoarder": (4, {"price": 200, "need": True}),
    "panic": (2, {"price": 80, "message": True, "need": True}),
}
"""For how many quarters of the longest time a temperament's orders stand, and what wakes it meanwhile."""


def answer(temperament: Temperament, text: str, seed: int, schema: dict[str, Any]) -> str:
    """Returns the reply of a scripted policy to a prompt's text: JSON by the decision's `schema`."""
    wanted = schema["properties"]["orders"]
    bounds = wanted["items"]["properties"]
    view = _read(text)
    # Two throws of 16 bits: the only chance that a policy has.
    view.dice = (seed & 0xFFFF, seed >> 16 & 0xFFFF)
    thought, wishes = _POLICIES[temperament](view)
    # Wishes become orders: within the bounds, and within the purse, which each bid reserves a part of.
    purse = view.purse
    orders: list[dict[str, Any]] = []
    for side, good, wished_price, wished_quantity in wishes:
        price = min(max(wished_price, 1), bounds["price"]["maximum"])
        affordable = purse // price if side == "buy" else wished_quantity
        quantity = min(wished_quantity, affordable, bounds["quantity"]["maximum"])
        if side == "buy":
            purse -= price * quantity
        if quantity > 0 and len(orders) < wanted["maxItems"]:
            orders.append({"side": side, "good": good.name, "price": price, "quantity": quantity})
    decision: dict[str, Any] = {"thought": thought, "orders": orders, "gossip": _gossip(view)}
    if "stand" in schema["properties"]:
        share, wake = _PATIENCE[temperament]
        most: int = schema["properties"]["stand"]["maximum"]
        # Who is alarmed, or sees nothing to do, looks again at once.
        decision |= {"stand": 0 if view.alarm or not orders else -(-most * share // 4), "wake": wake}
    return json.dumps(decision)


def _fits(schema: dict[str, Any]) -> bool:
    return "orders" in schema.get("properties", {})


def _reply(temperament: Temperament, messages: Sequence[Message], seed: int, schema: dict[str, Any]) -> str:
    return answer(temperament, messages[-1].content, seed, schema)


POLICY = Policy("orders", _fits, _reply, TEMPERAMENT_SUMMARIES)
