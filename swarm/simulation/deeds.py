"""Owns deeds: what a person, or a party for one, can do to a run between two rounds, as typed values of a few fields.

What follows from loans, shorts, bribes and alliances in later rounds is the matter of `swarm.simulation.dealings`. A
deed becomes acts (`swarm.simulation.party`), which are judged, journalled and replayed as those of any party. Wrong
fields are refused before; what only the ledger or the scenario knows to be impossible is journalled as refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

from swarm.errors import ConfigError, suggest
from swarm.market.ledger import CASH, ISSUE
from swarm.scenarios.protocol import Int64, TakesShocks, papers_of
from swarm.schema import StrictModel, checked, short
from swarm.simulation.joint import JointSetting
from swarm.simulation.party import Account, Act, Announce, Move, Say, Strike
from swarm.simulation.plan import RunPlan

MAX_LINE_CHARS = 280
MAX_AMOUNT = 1_000_000_000
CENTS = 100
"""The cents of a pebble."""

PEBBLES = "pebbles"


@dataclass(frozen=True, slots=True)
class Doer:
    """Whoever does deeds: its name in the journal, and the account that it gives from and takes into."""

    name: str
    account: str = ISSUE


@dataclass(frozen=True, slots=True)
class Ground:
    """The run that deeds are done to: its goods, its markets by name, its shocks, and where each trader sits.

    `papers` are the goods that nobody but the scenario moves, and `accounts` those that have a name.
    Where `shock_kinds` is null, whoever judges acts says which shocks there are.
    `seat_of` gives the market and the seat in it of a trader of the run, at home; of nobody, a seat that there is not.
    """

    goods: tuple[str, ...]
    markets: tuple[str, ...]
    shock_kinds: tuple[str, ...] | None
    traders: int
    seat_of: Callable[[int], tuple[int, int]]
    papers: frozenset[str] = frozenset()
    accounts: tuple[str, ...] = ()

    @classmethod
    def of(cls, plan: RunPlan) -> "Ground":
        """Returns the ground of a run's plan, as watchers are given it."""
        setting = plan.scenario
        if not isinstance(setting, JointSetting):
            kinds = setting.shock_kinds if isinstance(setting, TakesShocks) else ()
            accounts = plan.market.named_accounts
            return cls(setting.goods, ("",), kinds, plan.traders, _at_home, papers_of(setting), accounts)

        def seat_of(trader: int) -> tuple[int, int]:
            # No market has as many seats as the run has traders, so nobody sits at such a number.
            return next(iter(setting.seats_of(trader)), (0, trader))

        accounts = plan.market.named_accounts
        return cls(
            setting.goods, setting.config.all_names, setting.shock_kinds, plan.traders, seat_of, accounts=accounts
        )

    def asset(self, name: str) -> int:
        """Returns the number of pebbles, which are cash, or of a good; ConfigError where there is no such thing."""
        # As the ledger numbers them: cash first, then goods.
        names = (PEBBLES, *(good for good in self.goods if good not in self.papers))
        if name not in names:
            raise ConfigError(
                "asset", f"there is no {short(name)}{suggest(name, names)}", f"there are {', '.join(names)}"
            )
        return CASH if name == PEBBLES else 1 + self.goods.index(name)

    def good(self, name: str) -> int:
        """Returns the number of a good; ConfigError where there is no such good."""
        names = tuple(good for good in self.goods if good not in self.papers)
        if name not in names:
            known = f"there are {', '.join(names)}"
            raise ConfigError("good", f"there is no good {short(name)}{suggest(name, names)}", known)
        return self.goods.index(name)

    def among(self, region: str) -> tuple[int, ...]:
        """Returns the markets of a region's name, all of them where it is empty; ConfigError where there is none."""
        if not region:
            return tuple(range(len(self.markets)))
        if region not in self.markets:
            known = ", ".join(filter(None, self.markets)) or "there are none to name here, so leave it out"
            raise ConfigError("region", f"there is no region {short(region)}{suggest(region, self.markets)}", known)
        # As all markets of a run are: by index.
        return (self.markets.index(region),)


def _at_home(trader: int) -> tuple[int, int]:
    """Returns the seat of a trader where there is one market: its number."""
    return 0, trader


def _printable(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("expected a line of text that prints")
    return text


Line = Annotated[str, Field(min_length=1, max_length=MAX_LINE_CHARS), AfterValidator(_printable)]
Trader = Annotated[int, Field(ge=0, le=MAX_AMOUNT)]


class News(StrictModel):
    """Tell everybody something, as news of the next round."""

    text: Line
    """What the news is."""

    region: str = ""
    """Where it is told; everywhere if empty."""

    def acts(self, by: Doer, on: Ground) -> list[Act]:
        """Returns an announcement in each market."""
        return [Announce(self.text, market) for market in on.among(self.region)]


class Message(StrictModel):
    """Say something to one trader, who hears it in the next round before all gossip."""

    trader: Trader
    """Who hears it."""

    text: Line
    """What it is told."""

    def acts(self, by: Doer, on: Ground) -> list[Act]:
        """Returns the line."""
        return [said(by, on, self.trader, self.text)]


class Question(StrictModel):
    """Ask one trader something; what it says in the next round, if its model is asked, is its answer."""

    trader: Trader
    """Who is asked."""

    text: Line
    """The question."""

    def acts(self, by: Doer, on: Ground) -> list[Act]:
        """Returns the question as a line that the trader hears."""
        return [said(by, on, self.trader, f"asks: {self.text}")]


class Tip(StrictModel):
    """Whisper to one trader which way a price will go, true or not."""

    trader: Trader
    """Who hears it."""

    good: str
    """The good."""

    direction: Literal["rise", "fall"] = "rise"
    """Which way."""

    planted: bool = False
    """Whether it is made up. This is for your own ledger: nobody is told, and no journal has it."""

    @property
    def line(self) -> str:
        """The tip in words, the same whether it is made up or not."""
        return f"{self.good} will {self.direction}"

    def acts(self, by: Doer, on: Ground) -> list[Act]:
        """Returns the tip as a line that the trader hears."""
        on.good(self.good)
        return [said(by, on, self.trader, self.line)]


class Gift(StrictModel):
    """Give one trader pebbles, or lots of a good."""

    trader: Trader
    """Who gets it."""

    amount: int = Field(default=50, ge=1, le=MAX_AMOUNT)
    """How much."""

    asset: str = PEBBLES
    """Of what: pebbles, or a good."""

    def acts(self, by: Doer, on: Ground) -> list[Act]:
        """Returns the posting and a word on it."""
        given = moved("gift", by, on, self.trader, on.asset(self.asset), self.amount, to_trader=True)
        return [given, said(by, on, self.trader, f"I give you {self.amount} {self.asset}", if_done=True)]


class Fine(StrictModel):
    """Take pebbles, or lots of a good, from one trader."""

    trader: Trader
    """Who pays."""

    amount: int = Field(default=50, ge=1, le=MAX_AMOUNT)
    """How much."""

    asset: str = PEBBLES
    """Of what: pebbles, or a good."""

    def acts(self, by: Doer, on: Ground) -> list[Act]:
        """Returns the posting and a word on it."""
        taken = moved("fine", by, on, self.trader, on.asset(self.asset), self.amount, to_trader=False)
        return [taken, said(by, on, self.trader, f"I fine you {self.amount} {self.asset}", if_done=True)]


class Loan(StrictModel):
    """Lend one trader pebbles, which are taken back with interest once they are due, as far as it has them."""

    trader: Trader
    """Who borrows."""

    pebbles: int = Field(default=100, ge=1, le=MAX_AMOUNT)
    """How much it gets."""

    interest_permille: int = Field(default=100, ge=0, le=10_000)
    """What it owes more than it got, in 1/1000, for the whole time."""

    rounds: int = Field(default=10, ge=1, le=1_000_000)
    """After how many rounds it is due."""

    lots: int = Field(default=0, ge=0, le=MAX_AMOUNT)
    """How many lots are pledged for it, which are kept for the lender where it is not paid back; 0 for none."""

    good: str = ""
    """The good that is pledged."""

    @property
    def owed_cents(self) -> int:
        """What is due, odd cents rounded up."""
        return -(-self.pebbles * CENTS * (1_000 + self.interest_permille) // 1_000)


class Short(StrictModel):
    """Bet that a good's reference price will fall: sold now and bought back later, against the world outside."""

    good: str
    """The good."""

    lots: int = Field(default=10, ge=1, le=MAX_AMOUNT)
    """How much."""

    rounds: int = Field(default=4, ge=1, le=1_000_000)
    """After how many rounds it is bought back."""


class Bribe(StrictModel):
    """Promise one trader pebbles for what it puts in as orders in the next round; they are paid if it does."""

    trader: Trader
    """Who is bribed."""

    good: str
    """The good."""

    side: Literal["buy", "sell"] = "buy"
    """What it is to do."""

    lots: int = Field(default=1, ge=1, le=MAX_AMOUNT)
    """Of how many lots, at the least."""

    pebbles: int = Field(default=20, ge=1, le=MAX_AMOUNT)
    """What it gets."""


class Ally(StrictModel):
    """Win one trader over: it is paid, hears all that you tip, and has a share of what your shorts gain."""

    trader: Trader
    """Who it is."""

    pebbles: int = Field(default=20, ge=1, le=MAX_AMOUNT)
    """What it gets at once."""

    share_permille: int = Field(default=100, ge=0, le=1_000)
    """Its share of each gain, in 1/1000."""

    rounds: int = Field(default=10, ge=1, le=1_000_000)
    """For how many rounds."""


class Shock(StrictModel):
    """Let a shock of the scenario begin in the next round."""

    kind: str
    """Which one."""

    good: str
    """The good that it concerns."""

    rounds: int = Field(default=4, ge=1, le=1_000_000)
    """How long it lasts."""

    size_permille: int = Field(default=400, ge=1, le=1_000)
    """How hard it hits, in 1/1000."""

    region: str = ""
    """Where; everywhere if empty."""

    def acts(self, by: Doer, on: Ground) -> list[Act]:
        """Returns the shock in each market."""
        if on.shock_kinds is not None and self.kind not in on.shock_kinds:
            known = ", ".join(on.shock_kinds) or "none in this scenario"
            raise ConfigError(
                "kind", f"there is no shock {short(self.kind)}{suggest(self.kind, on.shock_kinds)}", known
            )
        good = on.good(self.good)
        return [Strike(self.kind, good, self.rounds, self.size_permille, m) for m in on.among(self.region)]


Lasting = Loan | Short | Bribe | Ally
"""Deeds that something follows from in later rounds."""

Deed = News | Message | Question | Tip | Gift | Fine | Shock | Lasting

DEEDS: Mapping[str, type[Deed]] = {
    kind.__name__.lower(): kind for kind in (News, Message, Question, Tip, Gift, Fine, Loan, Short, Bribe, Ally, Shock)
}
"""The deeds by name."""

STAKED = (Short, Bribe)
"""Those whose stakes somebody must keep, which is done where a run has a patron."""


def read(name: object, fields: Mapping[str, Any]) -> Deed:
    """Returns the deed of a name with these fields; ConfigError names the first that is wrong."""
    if not isinstance(name, str) or name not in DEEDS:
        raise ConfigError(
            "deed", f"there is no {short(name)}{suggest(str(name), list(DEEDS))}", f"known: {', '.join(DEEDS)}"
        )
    found: Deed = checked(DEEDS[name], fields, "", f"known: {', '.join(DEEDS[name].model_fields)}")
    return found


def posting(cause: str, source: Account, target: Account, asset: int, amount: int, market: int) -> Move:
    """Returns a move of one row."""
    return Move(cause, source, target, one_row(asset), one_row(amount), market)


def moved(cause: str, by: Doer, on: Ground, trader: int, asset: int, amount: int, *, to_trader: bool) -> Move:
    """Returns a posting between who does it and a trader; `amount` is in pebbles or lots."""
    market, seat = on.seat_of(trader)
    # The ledger has cash in cents, and goods in lots.
    amount *= CENTS if asset == CASH else 1
    source, target = (by.account, one_row(seat)) if to_trader else (one_row(seat), by.account)
    return posting(cause, source, target, asset, amount, market)


def said(by: Doer, on: Ground, trader: int, text: str, *, if_done: bool = False) -> Say:
    """Returns a line that a trader hears."""
    market, seat = on.seat_of(trader)
    return said_at(by, market, seat, text, if_done=if_done)


def said_at(by: Doer, market: int, seat: int, text: str, *, if_done: bool = False) -> Say:
    """Returns a line that is heard at a seat of a market."""
    return Say(by.name, one_row(seat), text, if_done, market)


def one_row(number: int) -> Int64:
    """Returns a column of one number."""
    return np.array([number], dtype=np.int64)
