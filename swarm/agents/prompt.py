"""Renders an observation as a prompt: terse tables, the same bytes first for everybody, what is private last."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from swarm.agents.decision import Rules
from swarm.agents.observation import PrivateViews, PublicView
from swarm.llm.protocol import Message
from swarm.llm.tokens import (
    MESSAGE_OVERHEAD,
    count_tokens_by_line,
    count_tokens_cached,
    further_digits,
    further_digits_cached,
)

PART = r"\{([A-Za-z_]\w*)\}"
"""A part's name in braces, as templates call it."""

OWN_PARTS = ("own", "persona", "memory")
"""What a trader is told of itself: what it has, who it is said to be, and what it remembers."""

_FORM = """Answer with one JSON object and nothing else:
{{"thought": "few words", "orders": [{{"side": "buy", "good": "{good}", "price": 20, "quantity": 2}}], \
"gossip": "one line"}}
At most {max_orders} orders; prices are whole numbers from 1 to {max_price}, quantities from 1 to {max_quantity}.
Bid only for what you need, not above WORTH. Never bid for the good you make: sell it, not below WORTH.
Sell only what is SPARE. Example: you make {good}, SPARE 5, WORTH 12, PRICE 20; NEED 2 {other}, WORTH 30, PRICE 25:
{{"thought": "sell spare, eat", "orders": [{{"side": "sell", "good": "{good}", "price": 20, "quantity": 5}}, \
{{"side": "buy", "good": "{other}", "price": 26, "quantity": 2}}], "gossip": "{other} will rise"}}"""

_STANDING = """
Beside "orders" you may say "stand": 0 to {rounds}, the rounds in which they are repeated and you are not asked, and
"wake": {{"price": 50, "fill": true, "message": false, "need": true}}, what has you asked sooner (price moved 5%)."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt, its size by the project's estimate, and how many lines of gossip did not fit its budget."""

    messages: tuple[Message, ...]
    tokens: int
    pruned_messages: int

    @property
    def further_digits(self) -> int:
        """How many digits the estimate has counted together with others."""
        return sum((further_digits_cached if m.role == "system" else further_digits)(m.content) for m in self.messages)


def answer_text(rules: Rules) -> str:
    """Returns the market's rules and the form of an answer."""
    form = _FORM.format(
        good=rules.goods[0],
        other=rules.goods[min(1, len(rules.goods) - 1)],
        max_orders=rules.max_orders,
        max_price=rules.max_price_ticks,
        max_quantity=rules.max_quantity_lots,
    )
    standing = _STANDING.format(rounds=rules.max_stand_rounds) if rules.max_stand_rounds else ""
    return f"{form}{standing}"


def public_text(public: PublicView, goods: tuple[str, ...]) -> str:
    """Returns the round's digest, byte for byte the same for every trader."""
    lines = [f"ROUND {public.round} of {public.rounds}, {public.season}"]
    # A title of a config may hold line breaks, and a line is all that it gets.
    lines += [f"NEWS {' '.join(line.split())}" for line in public.news]
    lines.append("MARKET good PRICE CHANGE TRADED UNMET_BIDS UNMET_ASKS")
    rows = zip(
        goods,
        public.reference_ticks.tolist(),
        public.change_ticks.tolist(),
        public.volume_lots.tolist(),
        public.unfilled_buy_lots.tolist(),
        public.unfilled_sell_lots.tolist(),
        strict=True,
    )
    lines += [f"{good} {price} {change:+d} {volume} {bids} {asks}" for good, price, change, volume, bids, asks in rows]
    for region, prices in public.elsewhere:
        lines.append(f"PRICE IN {region}: " + ", ".join(f"{g} {p}" for g, p in zip(goods, prices, strict=True)))
    return "\n".join(lines)


def private_text(private: PrivateViews, row: int, goods: tuple[str, ...], tick_cents: int) -> str:
    """Returns what one trader knows of itself, without what it has heard."""
    lines = [private.facts[row]] if private.facts[row] else []
    purse = f"PURSE {int(private.cash_cents[row]) // tick_cents}"
    have = private.have[row].tolist()
    if (barter := private.barter) is None:
        # Where traders do not barter, there is nothing to make or need.
        return "\n".join([*lines, purse, "STOCK good HAVE", *(f"{g} {n}" for g, n in zip(goods, have, strict=True))])
    makes = int(barter.makes[row])
    if makes >= 0:
        lines.append(f"MAKES {goods[makes]}")
    lines += [purse, f"MOOD {int(barter.mood[row])} of 100", "STOCK good HAVE NEED SPARE WORTH"]
    need, spare, worth = (column[row].tolist() for column in (barter.need, barter.spare, barter.worth_ticks))
    lines += [f"{good} {have[g]} {need[g]} {spare[g]} {worth[g]}" for g, good in enumerate(goods)]
    # What is short once more by name, the largest need first, without the good that it makes itself.
    short = [goods[g] for g in _neediest(need) if need[g] and g != makes]
    lines.append(f"SHORT OF {', '.join(short) or 'nothing'}")
    return "\n".join(lines)


def own_part(text: str, private: PrivateViews, row: int, template: str = "") -> str:
    """Returns what one trader knows of itself with its persona and its memory, by a template or behind it."""
    if private.words is None and not template:
        return text
    persona, memory = private.words[row] if private.words is not None else ("", "")
    parts = dict(zip(OWN_PARTS, (text, persona, memory), strict=True))
    said = filled(template or "\n".join(f"{{{part}}}" for part in OWN_PARTS), parts)
    return "\n".join(line for line in said.split("\n") if line)


def filled(template: str, parts: Mapping[str, str]) -> str:
    """Returns a template with its parts in the place of their names in braces; whatever else it has stays."""
    # All at once, so that nobody's words can name another's place.
    return re.sub(PART, lambda found: parts.get(found[1], found[0]), template)


def creature_text(private: PrivateViews, row: int, goods: tuple[str, ...], tick_cents: int) -> str:
    """Returns what one trader knows of itself, in fewer words than the form `orders` takes."""
    barter = private.bartering
    makes = int(barter.makes[row])
    purse, mood = int(private.cash_cents[row]) // tick_cents, int(barter.mood[row])
    lines = [f"YOU make {goods[makes] if makes >= 0 else 'nothing'}, purse {purse}, mood {mood}"]
    lines.append("STOCK good HAVE NEED SPARE WORTH")
    have, need, spare, worth = (
        column[row].tolist() for column in (private.have, barter.need, barter.spare, barter.worth_ticks)
    )
    lines += [f"{good} {have[g]} {need[g]} {spare[g]} {worth[g]}" for g, good in enumerate(goods)]
    return "\n".join(lines)


def _neediest(need: list[int]) -> list[int]:
    """Returns the goods with the largest need first."""
    return sorted(range(len(need)), key=lambda g: (-need[g], g))


def render(
    system: str,
    public: str,
    private: str,
    heard: tuple[str, ...],
    prompt_budget: int,
    ending: str = "",
    counted: int | None = None,
) -> Prompt | None:
    """Puts a prompt together within `prompt_budget` tokens, dropping the last lines of gossip first.

    `ending` comes behind the gossip, where a menu has its place. `counted` is what `private` and `ending` take, where
    that is known. None where even the prompt without gossip is too long.
    """
    # The texts that everybody shares are counted once; what engines add for each message counts as well.
    tokens = count_tokens_by_line(private) + count_tokens_by_line(ending) if counted is None else counted
    tokens += count_tokens_cached(system) + count_tokens_cached(public) + 2 * MESSAGE_OVERHEAD + 2
    if tokens > prompt_budget:
        return None
    lines: list[str] = []
    heading = "\nHEARD (rumours, not orders)"
    spent = tokens + count_tokens_cached(heading)
    for line in heard:
        quoted = f"\n- {line}"
        spent += count_tokens_cached(quoted)
        # Lines come best first, and the first that does not fit ends the list: none is left out between two others.
        if spent > prompt_budget:
            break
        lines.append(quoted)
        tokens = spent
    text = f"{public}\n{private}" + (heading + "".join(lines) if lines else "") + (f"\n{ending}" if ending else "")
    return Prompt((_rules(system), Message("user", text)), tokens, len(heard) - len(lines))


@lru_cache(maxsize=256)
def _rules(system: str) -> Message:
    """Returns the message that all prompts of a form begin with, made once."""
    return Message("system", system)
