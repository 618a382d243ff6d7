"""The party `patron`: a seat outside the market with a purse, which lends, tips, sells short, bribes and allies.

It does what its script says, works a gambit again and again, or does what a model chooses from a menu of deeds. Whether
a tip is made up stands in its section of the config alone: its acts, which are all that a journal and traders have, do
not say.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from pydantic import Field

from swarm.errors import ConfigError
from swarm.market.ledger import CASH, ISSUE
from swarm.market.orders import Int64
from swarm.scenarios.protocol import Setting, TakesShocks
from swarm.schema import StrictModel
from swarm.seeding import draw, draw_some
from swarm.simulation.adviser import Adviser
from swarm.simulation.dealings import ESCROW, PURSE, Dealings
from swarm.simulation.deeds import CENTS, DEEDS, Deed, Doer, Ground, Short, Tip, posting, read
from swarm.simulation.joint import JointSetting
from swarm.simulation.parties import PartyPlugin
from swarm.simulation.party import Act, MarketView, Party, Reprice, RoundView, Say
from swarm.simulation.patron_menu import RULES, choices, chosen, question, schema
from swarm.simulation.tips import TOLD, believers, tip_of

THOUGHT = "chooses to "
"""How a patron's line begins that says to nobody what its model chose."""


class Gambit(StrictModel):
    """A trick that is played again and again: tip that a good will rise, sell it short once it has, buy it back."""

    good: str
    """The good."""

    first_round: int = Field(default=4, ge=1, le=1_000_000)
    """After which round it is played first."""

    every_rounds: int = Field(default=8, ge=3, le=1_000_000)
    """From one time to the next."""

    hearers: int = Field(default=6, ge=1, le=10_000)
    """How many traders are told; who, the seed says, each time anew."""

    lots: int = Field(default=20, ge=1, le=1_000_000)
    """How much is sold short in the round after."""

    rounds: int = Field(default=4, ge=1, le=1_000_000)
    """After how many rounds it is bought back."""


class PatronConfig(StrictModel):
    """A patron, by its purse, its aim and what it does."""

    purse_pebbles: int = Field(default=2_000, ge=0, le=1_000_000_000)
    """What it begins with."""

    objective_pebbles: int = Field(default=2_500, ge=0, le=1_000_000_000)
    """What it wants to have in the end."""

    script: tuple[dict[str, Any], ...] = Field(default=(), max_length=1_000)
    """What it does: each entry has `round`, after which it is done, `deed`, and the deed's own fields."""

    model: str | None = Field(default=None, min_length=1, max_length=40)
    """The model, of those under `models`, that chooses a deed from a menu after every round; null: none."""

    gambit: Gambit | None = None
    """A trick that it plays again and again; null: none."""

    sway_permille: int = Field(default=0, ge=0, le=200)
    """What each trader that believes a tip adds to the good's reference price at settlement, the way that the tip says,
    in 1/1000; 0: only what trading does to it."""


class Patron:
    """Plays in the first market of a run. What it has open, it knows from what parties did before."""

    def __init__(self, name: str, config: PatronConfig, seed: int) -> None:
        self.name, self.config = name, config
        self._seed = seed
        self._script = scripted(name, config.script)
        self._dealings: Dealings | None = None
        self._prices: Int64 | None = None
        self.adviser: Adviser | None = None

    def act(self, view: RoundView) -> Sequence[Act]:
        """Returns its purse after the first round, what follows from its dealings, then what it does anew."""
        dealings, market = self._learned(view), view.markets[0]
        acts: list[Act] = []
        if view.round == 1:
            acts.append(posting("purse", ISSUE, PURSE, CASH, self.config.purse_pebbles * CENTS, 0))
        acts += self._swayed(market)
        acts += dealings.due(view)
        for deed in (*self._script.get(view.round, ()), *self._gambit(view)):
            acts += dealings.acts(deed, view)
        # Nobody hears what it thought; it is journalled, so that a replay asks no model.
        if self.adviser is not None and view.round > 1 and not view.is_last:
            thought, deeds = self._advised(self.adviser, view, dealings)
            acts.append(Say(self.name, np.empty(0, dtype=np.int64), thought))
            acts += [act for deed in deeds for act in dealings.acts(deed, view)]
        self._prices = market.state.reference_ticks
        return acts

    def _advised(self, adviser: Adviser, view: RoundView, dealings: Dealings) -> tuple[str, Sequence[Deed]]:
        """Returns what a model chose, in words, and the deeds that it comes to; none where it chose nothing."""
        market = view.markets[0]
        before = market.state.reference_ticks if self._prices is None else self._prices
        offered = choices(market, before, self._seed, view.round)
        asked = question(market, before, dealings, self.config.objective_pebbles, offered)
        seed = int(draw(self._seed, f"asks {self.name}", view.round)[0]) >> 1
        advice = adviser.ask(RULES, asked, schema(offered), seed, adviser.entry.max_completion_tokens)
        if (choice := chosen(advice.text, offered)) is None:
            why = "that is no deed" if advice.text else "no answer"
            return f"{THOUGHT}nothing, {why}; {advice.told}", ()
        return f"{THOUGHT}{choice.line}; {advice.told}", choice.deeds

    def saw(self, view: RoundView) -> None:
        """Takes in a round after which it does again what the journal says."""
        self._learned(view)
        self._prices = view.markets[0].state.reference_ticks

    def succeed(self, before: Party) -> None:
        """Takes over the dealings of the patron before a fork."""
        if isinstance(before, Patron):
            self._dealings, self._prices = before._dealings, before._prices

    def _learned(self, view: RoundView) -> Dealings:
        market = view.markets[0]
        if self._dealings is None:
            self._dealings = _dealings(self.name, market.goods, len(market.staying), tuple(market.named))
        for party, act, refused in market.done:
            if party == self.name:
                self._dealings.learn(act, 0, refused)
        return self._dealings

    def _gambit(self, view: RoundView) -> list[Deed]:
        """Returns the deeds of the gambit after a round."""
        if (gambit := self.config.gambit) is None or view.round < gambit.first_round:
            return []
        time, since = divmod(view.round - gambit.first_round, gambit.every_rounds)
        if since == 0:
            there = np.flatnonzero(view.markets[0].staying)
            hearers = there[draw_some(gambit.hearers, self._seed, f"gambit {self.name}", time, there)]
            return [Tip(trader=trader, good=gambit.good, direction="rise", planted=True) for trader in hearers.tolist()]
        return [Short(good=gambit.good, lots=gambit.lots, rounds=gambit.rounds)] if since == 1 else []

    def _swayed(self, market: MarketView) -> list[Act]:
        """Returns what those who believe the last tips add to prices: a consequence that is authored, not traded."""
        if not self.config.sway_permille or market.evidence is None:
            return []
        # By good: how many deal as they were told, less those who were told the other way.
        swayed: dict[int, int] = {}
        for party, act, refused in market.done:
            if party == self.name and not refused and (tip := tip_of(act, market.goods)) is not None:
                count = int(believers(market.evidence, tip).sum())
                swayed[tip.good] = swayed.get(tip.good, 0) + tip.side * count
        return [
            Reprice(f"{TOLD} {market.goods[good]}", good, max(1_000 + count * self.config.sway_permille, 1))
            for good, count in swayed.items()
            if count
        ]


def _dealings(
    name: str, goods: tuple[str, ...], traders: int, accounts: tuple[str, ...], kinds: tuple[str, ...] | None = None
) -> Dealings:
    # In one market a trader's number is its seat. Without `kinds` the market says which shocks it has.
    on = Ground(goods, ("",), kinds, traders, lambda trader: (0, trader), accounts=accounts)
    return Dealings(Doer(name, PURSE), on)


def scripted(name: str, script: Sequence[Mapping[str, Any]], dealings: Dealings | None = None) -> dict[int, list[Deed]]:
    """Returns the deeds of a script by the round after which they are done; ConfigError names the first wrong key.

    With `dealings`, a deed that they cannot do is wrong, too.
    """
    found: dict[int, list[Deed]] = {}
    for number, entry in enumerate(script):
        key, fields = f"parties.{name}.script.{number}", dict(entry)
        round_ = fields.pop("round", None)
        if type(round_) is not int or round_ < 1:
            raise ConfigError(f"{key}.round", f"expected the number of a round, got {round_!r}")
        with _keyed(key):
            deed = read(fields.pop("deed", None), fields)
            if dealings is not None:
                dealings.check(deed)
        found.setdefault(round_, []).append(deed)
    return found


@contextmanager
def _keyed(key: str) -> Iterator[None]:
    """Puts a key before that of a ConfigError."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{key}.{error.key}", str(error).removeprefix(f"{error.key}: ")) from None


def _check(name: str, config: PatronConfig, goods: tuple[str, ...]) -> None:
    """ConfigError where a deed of the script, or the gambit, names what there is not."""
    dealings = _dealings(name, goods, 0, (PURSE, ESCROW))
    scripted(name, config.script, dealings)
    if config.gambit:
        with _keyed(f"parties.{name}.gambit"):
            dealings.on.good(config.gambit.good)


def _suits(name: str, config: PatronConfig, scenario: Setting) -> None:
    """ConfigError where a deed of the script is about a trader, a shock or a pledge that there is not."""
    # It plays in the first market, and counts the traders of that one.
    traders = len(scenario.number_of[0] if isinstance(scenario, JointSetting) else scenario.trader_kind)
    kinds = scenario.shock_kinds if isinstance(scenario, JointSetting | TakesShocks) else ()
    scripted(name, config.script, _dealings(name, scenario.goods, traders, (PURSE, ESCROW), kinds))
    for number, entry in enumerate(config.script):
        key = f"parties.{name}.script.{number}"
        if entry.get("trader", 0) >= traders:
            raise ConfigError(f"{key}.trader", f"there is no trader {entry['trader']}", f"use 0 to {traders - 1}")
        if entry["deed"] == "loan" and entry.get("good") and not entry.get("lots"):
            remedy = "say how many are pledged, or leave `good` out"
            raise ConfigError(f"{key}.lots", f"no lots of {entry['good']} are pledged", remedy)


def _begins(config: PatronConfig) -> dict[str, list[int]]:
    played = [] if config.gambit is None else [config.gambit.first_round]
    return {"script": [entry["round"] for entry in config.script], "gambit.first_round": played}


PARTY = PartyPlugin(
    name="patron",
    summary=f"Has a purse, and does deeds by a script ({', '.join(DEEDS)}); a visitor of the live page plays from it.",
    Config=PatronConfig,
    build=Patron,
    accounts=(PURSE, ESCROW),
    purse=PURSE,
    check=_check,
    asks=lambda section: ("model", section.model) if section.model else None,
    suits=_suits,
    begins=_begins,
    entries={"script": DEEDS},
)
