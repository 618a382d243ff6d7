"""The protocol of a scenario: a setting's goods, rules and mechanics. Write one file with these and it runs.

A scenario owns what its creatures are and need; the market owns what they have. It never touches a balance: it returns
`Movement`s and `ReferenceMove`s, which the round loop turns into commands. It may draw from the seed with
`swarm.seeding`, and from nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from swarm.agents.forms.protocol import FormPlugin
from swarm.agents.observation import Barter, Observation, PrivateViews, PublicView
from swarm.agents.plan import OwnRule
from swarm.market.config import MarketConfig
from swarm.market.events import RoundCleared
from swarm.market.ledger import CASH, add_at
from swarm.market.orders import Orders
from swarm.schema import StrictModel

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Movement:
    """A posting of `amount` of `asset` from `source` to `target`, row by row; an account is a trader or a name."""

    cause: str
    source: Int64 | str  # [rows] traders, or one named account for all rows
    target: Int64 | str  # as source
    asset: Int64
    amount: Int64


@dataclass(frozen=True, slots=True)
class ReferenceMove:
    """A change of a good's reference price, which is multiplied by `permille` / 1000."""

    cause: str
    good: int
    permille: int


@dataclass(frozen=True, slots=True, eq=False)
class Restriction:
    """A change of what traders may do: frozen through a round, or owning no more lots of a good; -1 leaves, 0 lifts."""

    cause: str
    trader: Int64
    frozen_through_round: int = -1
    cap_lots: int = -1


Consequence = Movement | ReferenceMove | Restriction


@dataclass(frozen=True, slots=True, eq=False)
class MarketState:
    """The market as a scenario sees it between commands: `balances` is [traders, assets], asset 0 is cash in cents.

    `owed` has the same shape and says what traders owe where they may borrow; None where nobody may. `previous_ticks`
    are the reference prices at which the last round began; None before the second. `held` has the shape of `balances`
    and is what orders that rest have on hold; None where nothing is. `frozen_through_round` is [traders], the last
    round in which an authority has each of them do nothing; None where nobody was ever frozen.
    """

    balances: Int64
    reference_ticks: Int64  # [goods]
    owed: Int64 | None = None
    previous_ticks: Int64 | None = None
    held: Int64 | None = None
    frozen_through_round: Int64 | None = None

    def frozen(self, round_: int) -> npt.NDArray[np.bool_]:
        """Returns who may do nothing in a round, [traders]."""
        if self.frozen_through_round is None:
            return np.zeros(len(self.balances), dtype=np.bool_)
        return self.frozen_through_round >= round_

    @property
    def change_ticks(self) -> Int64:
        """The ticks by which reference prices have moved since the last round began, [goods]."""
        before = self.reference_ticks if self.previous_ticks is None else self.previous_ticks
        return self.reference_ticks - before


def fills_of(last: RoundCleared | None, traders: int, goods: int) -> tuple[Int64, Int64]:
    """Returns the lots that each of the scenario's traders bought, and sold, in the last round, [traders, goods].

    A round's trades may name traders from `traders` on: guests from another region, of whom no scenario knows.
    """
    bought, sold = np.zeros((traders, goods), dtype=np.int64), np.zeros((traders, goods), dtype=np.int64)
    if last is not None:
        for lots, side in ((bought, last.trades.buyer), (sold, last.trades.seller)):
            own = side < traders
            add_at(lots, side[own], last.trades.good[own], last.trades.quantity_lots[own])
    return bought, sold


def public_view(
    round_: int, rounds: int, season: str, news: tuple[str, ...], market: MarketState, last: RoundCleared | None
) -> PublicView:
    """Returns what everybody knows in a round of what the market did in the last one."""
    nothing = np.zeros(len(market.reference_ticks), dtype=np.int64)
    return PublicView(
        round=round_,
        rounds=rounds,
        season=season,
        news=news,
        reference_ticks=market.reference_ticks,
        change_ticks=market.change_ticks,
        clearing_ticks=last.clearing_ticks if last else nothing,
        volume_lots=last.volume_lots if last else nothing,
        unfilled_buy_lots=last.unfilled_buy_lots if last else nothing,
        unfilled_sell_lots=last.unfilled_sell_lots if last else nothing,
    )


def private_views(
    market: MarketState,
    last: RoundCleared | None,
    facts: tuple[str, ...],
    barter: Barter | None = None,
    columns: Mapping[str, Int64] | None = None,
) -> PrivateViews:
    """Returns what each trader knows of what it has and of its own fills; `facts` has a line for each."""
    traders, goods = len(facts), market.balances.shape[1] - 1
    bought, sold = fills_of(last, traders, goods)
    return PrivateViews(
        trader=np.arange(traders),
        cash_cents=market.balances[:, CASH],
        have=market.balances[:, 1:],
        bought_lots=bought,
        sold_lots=sold,
        facts=facts,
        heard=((),) * traders,
        barter=barter,
        columns=columns or {},
    )


@dataclass(frozen=True, slots=True)
class ShockMark:
    """A shock as a chart shows it: from `first_round` to `last_round`."""

    title: str
    first_round: int
    last_round: int
    good: str


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """The decisions of a round: `orders` of those whose form asks for orders, standing ones included.

    `chosen[i]` is what `trader[i]` chose in another form, traders ascending; who spoilt its turn has no row.
    """

    trader: Int64
    chosen: tuple[Any, ...]
    orders: Orders


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """The outcome of choices: orders for the market, and what happens once these are cleared."""

    orders: Orders
    consequences: tuple[Consequence, ...] = ()


class Setting(Protocol):
    """The names of a run's setting; `kinds[trader_kind[t]]` names what trader t is."""

    goods: tuple[str, ...]
    kinds: tuple[str, ...]
    trader_kind: Int64
    named_accounts: tuple[str, ...]
    opening_reference_ticks: Int64
    shocks: tuple[ShockMark, ...]


class Scenario(Setting, Protocol):
    """One run's setting and decision, with the state of its creatures."""

    def forms(self) -> Mapping[str, FormPlugin]:
        """Returns by name the forms in which its traders can be asked; a model's config names one of several.

        A scenario of a market offers those of `swarm.agents.forms.of_markets`, and any of its own beside them.
        """
        ...

    def resolve(self, round_: int, choices: Choices, market: MarketState) -> Resolved:
        """Returns what the choices come to; pure. A scenario of a market returns the orders as they are."""
        ...

    def rules_text(self) -> str:
        """Returns the setting in a few sentences, the first bytes of every prompt."""
        ...

    def opening(self) -> list[Consequence]:
        """Returns what the traders begin with."""
        ...

    def observe(self, round_: int, market: MarketState, last: RoundCleared | None) -> Observation:
        """Returns what all traders are shown in a round; pure. The loop adds what each has heard."""
        ...

    def after_clearing(self, round_: int, market: MarketState, cleared: RoundCleared) -> list[Consequence]:
        """Returns what happens once a round's trades are settled, in order."""
        ...

    def snapshot(self) -> dict[str, Int64]:
        """Returns the creatures' own state between rounds: all that later rounds depend on besides config and seed."""
        ...

    def restore(self, snapshot: dict[str, Int64]) -> None:
        """Goes on from a snapshot of the same creatures, which may have lived under another config."""
        ...

    def trader_columns(self) -> dict[str, Int64]:
        """Returns columns of the creatures' own state for the run's tables, one entry per trader."""
        ...


def lacking(scenario: object) -> list[str]:
    """Returns what a scenario must have and this one has not, by name."""
    members = [*Setting.__annotations__, *(name for name in vars(Scenario) if not name.startswith("_"))]
    return [name for name in members if not hasattr(scenario, name)]


@runtime_checkable
class Barters(Protocol):
    """A scenario whose private views have the columns of a barter; `makes` is the good that a trader makes or -1."""

    makes: Int64


@runtime_checkable
class HearsPrices(Protocol):
    """A scenario that shows traders the prices of other markets, by name, as they were quoted last."""

    elsewhere: tuple[tuple[str, tuple[int, ...]], ...]


@runtime_checkable
class KeepsPapers(Protocol):
    """A scenario some of whose goods are papers: it alone issues them and takes them back, as records of its own.

    Nobody else may move them, and they are worth nothing.
    """

    papers: frozenset[str]


def papers_of(scenario: Setting) -> frozenset[str]:
    """Returns the goods of a scenario that are papers."""
    return scenario.papers if isinstance(scenario, KeepsPapers) else frozenset()


@runtime_checkable
class TakesShocks(Protocol):
    """A scenario that a shock can befall which no config foresaw; `shock_kinds` are those that it knows."""

    @property
    def shock_kinds(self) -> tuple[str, ...]:
        """The kinds, none where there are no shocks."""
        ...

    def shock_refusal(self, kind: str, good: int, rounds: int, size_permille: int) -> str:
        """Returns why there can be no such shock; empty where there can."""
        ...

    def strike(self, round_: int, kind: str, good: int, rounds: int, size_permille: int) -> None:
        """Lets a shock begin in a round that has not been observed yet."""
        ...


@runtime_checkable
class KnowsValues(Protocol):
    """A scenario that knows what each trade is worth to both sides, so that the gains from trade can be told."""

    @property
    def efficiency(self) -> float:
        """The realised over the largest possible gains from trade, so far."""
        ...


@runtime_checkable
class PostsPrices(Protocol):
    """A scenario whose sellers post prices, and which knows what these would be in competition and in a cartel."""

    def concerted_permille(self) -> Int64:
        """Returns [traders] the index of collusion of the last prices in a trader's market, in 1/1000.

        It is 0 where some seller of the market could have earned no more in that round by another price.
        """
        ...


@runtime_checkable
class BearsNoSentences(Protocol):
    """A scenario in which some sentences would restrict nobody, since what its traders decide is no order.

    `idle_sentences` has by name (`freeze`, `cap`, `exile`) why each of them would do nothing.
    """

    idle_sentences: Mapping[str, str]


def idle_sentences(scenario: object) -> Mapping[str, str]:
    """Returns the sentences that would restrict nobody in a scenario, and why; mostly none."""
    return scenario.idle_sentences if isinstance(scenario, BearsNoSentences) else {}


@runtime_checkable
class TellsRounds(Protocol):
    """A scenario whose rounds come to something else than prices and trades."""

    def told(self) -> Mapping[str, str]:
        """Returns what the rounds so far came to in a few figures by name, for whoever looks on; {} before any."""
        ...


def told_by(scenario: Setting) -> Mapping[str, str]:
    """Returns what the rounds of a scenario came to, if it tells more than a market does."""
    return scenario.told() if isinstance(scenario, TellsRounds) else {}


@runtime_checkable
class BringsRules(Protocol):
    """A scenario with rules of its own, for traders whose mind is of the kind `own`."""

    def own_rules(self) -> Mapping[str, OwnRule]:
        """Returns the rules by name. `resolve` gets their orders among those of `choices`, and says what they mean."""
        ...


@runtime_checkable
class FillsSeats(Protocol):
    """A scenario some of whose seats are its own, whatever minds the config shares among the others.

    `own_seats` has the rule of `own_rules` that decides for each of these traders.
    """

    own_seats: Mapping[int, str]


def own_seats(scenario: Setting) -> Mapping[int, str]:
    """Returns the rules of the seats that a scenario fills itself, by trader; mostly none."""
    return scenario.own_seats if isinstance(scenario, FillsSeats) else {}


@runtime_checkable
class KnowsMinds(Protocol):
    """A scenario to which it matters which mind decides for whom."""

    def seated(self, minds: tuple[str, ...]) -> None:
        """Takes note, before the first round, of each trader's mind by name."""
        ...


@dataclass(frozen=True, slots=True)
class ScenarioPlugin:
    """The one export of a scenario's file.

    `build(config, seed, traders, rounds, market)` makes the scenario of a run; `config` is an instance of `Config`.
    `tilted(config, seed, permille)`, where there is one, is the config of a region in which, as the seed draws, goods
    are up to `permille` / 1000 dearer and scarcer than in `config`, or cheaper and more plentiful. `begins(config)`
    has, by the key of each list of things that happen, the round in which each of them begins. `files` are keys that
    name files, as only a user's own config may, seen from its folder; `settled(config)` is it with these read in.
    """

    name: str
    summary: str
    Config: type[StrictModel]
    build: Callable[[Any, int, int, int, MarketConfig], Scenario]
    tilted: Callable[[Any, int, int], StrictModel] | None = None
    begins: Callable[[Any], Mapping[str, Sequence[int]]] = lambda _: {}
    files: tuple[str, ...] = ()
    settled: Callable[[Any], StrictModel] = lambda section: section


def with_debts(facts: tuple[str, ...], state: MarketState, goods: tuple[str, ...], tick_cents: int) -> tuple[str, ...]:
    """Returns the facts of all traders, with a line on what each owes where there is something; cash is rounded up."""
    if state.owed is None or not state.owed.any():
        return facts
    lines = list(facts)
    for trader in np.flatnonzero(state.owed.any(axis=1)).tolist():
        cash, *lots = state.owed[trader].tolist()
        owed = [f"{-(-cash // tick_cents)} pebbles"] if cash else []
        owed += [f"{n} {good}" for n, good in zip(lots, goods, strict=True) if n]
        lines[trader] = "\n".join(filter(None, (lines[trader], f"YOU OWE {', '.join(owed)}")))
    return tuple(lines)
