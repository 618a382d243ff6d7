"""Keeps what is said of each trader in its own prompt: its persona, and what it remembers of others.

A regard is a whole number from -9 to 9, kept for each ordered pair that has met; parties are known by their names. It
follows from recorded trades, tips and payments alone, so that a replay comes to the same; nothing of what was said is
kept, and no raw history reaches a prompt.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from swarm.agents.config import MemoryConfig, TradersConfig
from swarm.agents.forms.protocol import SYSTEM_PARTS, TEMPLATED
from swarm.agents.observation import Int64, Observation, PublicView
from swarm.agents.prompt import OWN_PARTS, PART
from swarm.coordination.messages import subject
from swarm.coordination.router import Delivery
from swarm.errors import ConfigError, suggest
from swarm.market.events import Trades
from swarm.market.ledger import ROAD
from swarm.scenarios.protocol import Setting
from swarm.simulation.acting import Told
from swarm.simulation.party import Act, Move
from swarm.simulation.plan import RunPlan

MOST = 9
TRADED, PAID, CAME_TRUE, CAME_TO_NOTHING = 1, 1, 2, -2

Other = int | str
"""A trader by number, or a party by name."""


class Tip(NamedTuple):
    """Who heard it from whom, of which good, in which direction its price would go, and when that is judged by what."""

    trader: int
    sender: Other
    good: int
    side: int
    due_round: int
    ticks: int


class Acquaintance:
    """What one market's traders remember of one another, from round to round."""

    def __init__(self, plan: RunPlan) -> None:
        # {trader: {other: regard}}
        self._regard: dict[int, dict[Other, int]] = defaultdict(dict)
        self._tips: list[Tip] = []
        self.under(plan)

    def under(self, plan: RunPlan) -> None:
        """Goes by this plan from now on; what is remembered stays."""
        config = plan.shard.traders
        self._memory: MemoryConfig | None = config.memory
        self._goods, self._traders = plan.scenario.goods, plan.traders
        self._personas = personas(plan)

    def shown(self, seen: Observation, delivery: Delivery, told: Told) -> Observation:
        """Returns the same with each trader's persona and memory, and with the names of those whom it hears.

        What parties have `told` is kept to be judged; it is not shown here.
        """
        heard = seen.private.heard
        if self._memory is not None:
            self._judge(seen.public)
            self._forget(seen.public.round)
            heard = tuple(self._named(delivery, heard, seen.public))
            for trader, party, text in told.said:
                self._keep(text, trader, party, seen.public)
        if self._memory is None and not any(self._personas):
            return seen
        words = tuple((self._personas[trader], self.line(trader)) for trader in range(self._traders))
        return Observation(seen.public, replace(seen.private, words=words, heard=heard))

    def line(self, trader: int) -> str:
        """Returns what a trader remembers in one line; empty where it regards nobody."""
        known = [(other, regard) for other, regard in self._regard.get(trader, {}).items() if regard]
        if self._memory is None or not known:
            return ""
        # Parties first, then those whom it regards most, well or ill; of equals, the lower number.
        known.sort(key=lambda one: (isinstance(one[0], int), -abs(one[1]), one[0]))
        named = ((other if isinstance(other, str) else f"trader {other}", regard) for other, regard in known)
        return "REGARD " + ", ".join(f"{other} {regard:+d}" for other, regard in list(named)[: self._memory.others])

    def regards(self, other: Other) -> Int64:
        """Returns each trader's regard for somebody, [traders]; 0 where nothing is remembered."""
        if self._memory is None:
            return np.zeros(self._traders, dtype=np.int64)
        return np.array([self._regard.get(trader, {}).get(other, 0) for trader in range(self._traders)])

    def paid(self, party: str, acts: Sequence[Act]) -> None:
        """Takes in what a party did after a round: whoever was paid by it thinks better of it, once a round."""
        # The road brings traders what is theirs.
        if self._memory is None or party == ROAD:
            return
        to = [act.target for act in acts if isinstance(act, Move) and isinstance(act.source, str)]
        for trader in sorted({n for one in to if not isinstance(one, str) for n in np.asarray(one).tolist()}):
            self._move(trader, party, PAID)

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

    def _named(
        self, delivery: Delivery, heard: tuple[tuple[str, ...], ...], public: PublicView
    ) -> Iterator[tuple[str, ...]]:
        """Yields what each trader hears, with who said it, and keeps the tips among it to be judged."""
        at = 0
        senders = delivery.sender.tolist()
        for trader, lines in enumerate(heard):
            named = []
            # A line that came by another way than the router has no sender, and stands behind those that have one.
            own = lines[: len(delivery.heard[trader])]
            for line in own:
                self._keep(line, trader, senders[at], public)
                named.append(f"trader {senders[at]}: {line}")
                at += 1
            yield (*named, *lines[len(own) :])

    def _keep(self, line: str, trader: int, sender: Other, public: PublicView) -> None:
        """Keeps a line to be judged, where it is a tip."""
        good, side = subject(line, self._goods)
        if side and self._memory is not None:
            due = public.round + self._memory.judge_rounds
            self._tips.append(Tip(trader, sender, good, side, due, int(public.reference_ticks[good])))

    def _judge(self, public: PublicView) -> None:
        """Holds tips that are due against what prices have done since; one that did not move counts against a tip."""
        waiting = []
        for tip in self._tips:
            if tip.due_round > public.round:
                waiting.append(tip)
                continue
            moved = int(np.sign(public.reference_ticks[tip.good] - tip.ticks))
            self._move(tip.trader, tip.sender, CAME_TRUE if moved == tip.side else CAME_TO_NOTHING)
        self._tips = waiting

    def _forget(self, round_: int) -> None:
        if self._memory is None or round_ % self._memory.forget_rounds:
            return
        for known in self._regard.values():
            for other, regard in known.items():
                known[other] = regard - (regard > 0) + (regard < 0)

    def _move(self, trader: int, other: Other, by: int) -> None:
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
    # Parties stand there by their names, which may be longer.
    names = (f"trader {plan.traders - 1}", *plan.config_record.get("parties", {}))
    return "REGARD " + ", ".join([f"{max(names, key=len)} -{MOST}"] * memory.others)


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
