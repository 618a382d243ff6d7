"""Keeps what is said of each trader in its own prompt: its persona, and what it remembers of others.

A regard is a whole number from -9 to 9, kept for each ordered pair that has met. It follows from recorded trades and
tips alone, so that a replay comes to the same; nothing of what was said is kept, and no raw history reaches a prompt.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from swarm.agents.config import MemoryConfig, TradersConfig
from swarm.agents.forms.protocol import SYSTEM_PARTS, TEMPLATED
from swarm.agents.observation import Int64, Observation
from swarm.agents.prompt import OWN_PARTS, PART
from swarm.coordination.messages import subject
from swarm.coordination.router import Delivery
from swarm.errors import ConfigError, suggest
from swarm.market.events import Trades
from swarm.scenarios.protocol import Setting
from swarm.simulation.plan import RunPlan

MOST = 9
TRADED, CAME_TRUE, CAME_TO_NOTHING = 1, 2, -2

Tip = tuple[int, int, int, int]
"""Who heard it from whom, of which good, and in which direction its price would go."""


class Acquaintance:
    """What one market's traders remember of one another, from round to round."""

    def __init__(self, plan: RunPlan) -> None:
        # {trader: {other: regard}}
        self._regard: dict[int, dict[int, int]] = defaultdict(dict)
        self._tips: list[Tip] = []
        self._shown: Int64 | None = None
        self.under(plan)

    def under(self, plan: RunPlan) -> None:
        """Goes by this plan from now on; what is remembered stays."""
        config = plan.shard.traders
        self._memory: MemoryConfig | None = config.memory
        self._goods, self._traders = plan.scenario.goods, plan.traders
        self._personas = personas(plan)

    def shown(self, seen: Observation, delivery: Delivery) -> Observation:
        """Returns the same with each trader's persona and memory, and with the names of those whom it hears."""
        heard = seen.private.heard
        if self._memory is not None:
            self._judge(seen.public.reference_ticks)
            self._forget(seen.public.round)
            heard = tuple(self._named(delivery, heard))
        if self._memory is None and not any(self._personas):
            return seen
        words = tuple((self._personas[trader], self.line(trader)) for trader in range(self._traders))
        return Observation(seen.public, replace(seen.private, words=words, heard=heard))

    def line(self, trader: int) -> str:
        """Returns what a trader remembers in one line; empty where it regards nobody."""
        known = [(other, regard) for other, regard in self._regard.get(trader, {}).items() if regard]
        if self._memory is None or not known:
            return ""
        # Those first whom it regards most, well or ill; of equals, the lower number.
        known.sort(key=lambda one: (-abs(one[1]), one[0]))
        return "REGARD " + ", ".join(f"trader {other} {regard:+d}" for other, regard in known[: self._memory.others])

    def learn(self, trades: Trades) -> None:
        """Takes in a round's trades: whoever dealt with whom thinks better of it, once a round."""
        if self._memory is None:
            return
        pairs = np.unique(np.stack([trades.buyer, trades.seller], axis=1), axis=0)
        for buyer, seller in pairs.tolist():
            # Lenders trade, too, with numbers beyond the traders'.
            if buyer != seller and buyer < self._traders and seller < self._traders:
                self._move(buyer, seller, TRADED)
                self._move(seller, buyer, TRADED)

    def _named(self, delivery: Delivery, heard: tuple[tuple[str, ...], ...]) -> Iterator[tuple[str, ...]]:
        """Yields what each trader hears, with who said it, and keeps the tips among it to be judged."""
        self._tips, at = [], 0
        senders = delivery.sender.tolist()
        for trader, lines in enumerate(heard):
            named = []
            # A line that came by another way than the router has no sender, and stands behind those that have one.
            own = lines[: len(delivery.heard[trader])]
            for line in own:
                good, side = subject(line, self._goods)
                if side:
                    self._tips.append((trader, senders[at], good, side))
                named.append(f"trader {senders[at]}: {line}")
                at += 1
            yield (*named, *lines[len(own) :])

    def _judge(self, reference_ticks: Int64) -> None:
        """Holds the last tips against what prices have done since; one that did not move counts against a tip."""
        if self._shown is not None:
            moved = np.sign(reference_ticks - self._shown).tolist()
            for trader, sender, good, side in self._tips:
                self._move(trader, sender, CAME_TRUE if moved[good] == side else CAME_TO_NOTHING)
        self._shown = reference_ticks

    def _forget(self, round_: int) -> None:
        if self._memory is None or round_ % self._memory.forget_rounds:
            return
        for known in self._regard.values():
            for other, regard in known.items():
                known[other] = regard - (regard > 0) + (regard < 0)

    def _move(self, trader: int, other: int, by: int) -> None:
        known = self._regard[trader]
        known[other] = max(-MOST, min(MOST, known.get(other, 0) + by))


def personas(plan: RunPlan) -> tuple[str, ...]:
    """Returns each trader's persona as a line of its prompt: by its number, else by its kind, else none."""
    said, setting = plan.shard.traders.personas, plan.scenario
    kinds = [setting.kinds[kind] for kind in setting.trader_kind.tolist()]
    found = (said.get(str(trader), said.get(kind, "")) for trader, kind in enumerate(kinds))
    return tuple(f"PERSONA {words}" if words else "" for words in found)


def longest_regard(plan: RunPlan) -> str:
    """Returns a memory that takes as many tokens as any of the run may; empty where nothing is remembered."""
    if (memory := plan.shard.traders.memory) is None:
        return ""
    return "REGARD " + ", ".join([f"trader {plan.traders - 1} -{MOST}"] * memory.others)


def must_be_for_somebody(traders: TradersConfig, setting: Setting, numbered: int | None) -> None:
    """Raises ConfigError where words of the user's own are for nobody: no such kind, trader, or part of a prompt.

    `numbered` is how many traders there are, None where they have no numbers of their own.
    """
    for name in traders.personas:
        if not name.isdigit() and name not in setting.kinds:
            what = f"there is no such kind of trader{suggest(name, setting.kinds)}"
            known = f"known: {', '.join(setting.kinds)}; or a trader's number"
            raise ConfigError(f"traders.personas.{name}", what, known)
        if name.isdigit() and (numbered is None or int(name) >= numbered):
            what = "in several regions a trader has no number of its own"
            what = what if numbered is None else f"traders have the numbers 0 to {numbered - 1}"
            raise ConfigError(f"traders.personas.{name}", what, "name a kind of trader")
    # Files of a folder are named by what they stand in the place of.
    known_parts = ["own", *(f"{form}.system" for form in TEMPLATED)]
    for name in traders.templates:
        if name not in known_parts:
            what = f"no prompt has such a part{suggest(name, known_parts)}"
            raise ConfigError(f"traders.templates.{name}", what, f"known: {', '.join(known_parts)}")
        _must_have_its_parts(name, traders)


def _must_have_its_parts(name: str, traders: TradersConfig) -> None:
    """Raises ConfigError where a template lacks what a trader must see, or names a part that there is not."""
    # A persona or a memory that nobody has need not be shown.
    absent = {part for part, has in (("persona", traders.personas), ("memory", traders.memory)) if not has}
    key, parts = f"traders.templates.{name}", OWN_PARTS if name == "own" else SYSTEM_PARTS
    named = re.findall(PART, traders.templates[name])
    for part in named:
        if part not in parts:
            known = ", ".join(f"{{{one}}}" for one in parts)
            raise ConfigError(key, f"no prompt has a part {{{part}}}{suggest(part, parts)}", f"known: {known}")
    for part in parts:
        if part not in {*named, *absent}:
            raise ConfigError(
                key, f"{{{part}}} is missing, so a trader would not see it", "put it where it is to stand"
            )
