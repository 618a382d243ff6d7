"""The scenario of a fraud desk: each round is a day, and its watchers buy slots of the analyst's time for payments.

Trader 0 is the desk, which sells; the watchers come behind it, one seat each. A payment whose slot was bought is held
by a hold on the payer's money until the analyst knows, some rounds later; all others are released at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from swarm.agents.forms.protocol import FormPlugin
from swarm.agents.observation import Observation
from swarm.agents.plan import OwnRule
from swarm.errors import ConfigError, ScenarioError
from swarm.market.config import MarketConfig
from swarm.market.events import RoundCleared
from swarm.market.ledger import CASH
from swarm.scenarios.fraud import ballot, books, form, learned
from swarm.scenarios.fraud.alerts import FALSE, FRAUD, OPEN, Alerts
from swarm.scenarios.fraud.bank import Bank
from swarm.scenarios.fraud.config import FraudConfig
from swarm.scenarios.fraud.engine import MOST_BIDS, READER, Day, Engine, Feed, Fit, check_watchers, payments_of
from swarm.scenarios.fraud.features import AccountShard, Movements, SpreadStream
from swarm.scenarios.fraud.market import Bids, Candidates, bids_of, offered, worth_ticks
from swarm.scenarios.fraud.payments import Int64, Payments
from swarm.scenarios.fraud.rules import WATCHER, WORTH, all_rules
from swarm.scenarios.fraud.settling import Settled, bought, settle, strongest
from swarm.scenarios.fraud.told import case_told
from swarm.scenarios.protocol import (
    Choices,
    Consequence,
    MarketState,
    Resolved,
    ShockMark,
    fills_of,
    private_views,
    public_view,
)
from swarm.scenarios.spreading import Take

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class DeskRound:
    """What a round came to, for facets and tests."""

    round: int
    day: Day
    bids: Bids
    filed: Alerts
    settled: Settled
    offered: tuple[int, int]
    sold: tuple[int, int]


class FraudDesk:
    """The desk and its watchers; what they know lies in the engine, and what was filed in the alerts."""

    def __init__(self, config: FraudConfig, seed: int, traders: int, rounds: int, market: MarketConfig) -> None:
        _check(config, traders, market)
        self.config, self.seed, self.rounds, self.market = config, seed, rounds, market
        self.titles: tuple[str, ...] = tuple(one.title for one in config.watchers)
        self.goods: tuple[str, ...] = books.GOODS
        self.papers = books.PAPERS
        self.kinds: tuple[str, ...] = ("desk", *self.titles)
        self.trader_kind: Int64 = np.arange(traders)
        self.named_accounts: tuple[str, ...] = books.ACCOUNTS
        self.opening_reference_ticks: Int64 = np.array([config.reserve_ticks, config.reserve_ticks, 1])
        self.shocks: tuple[ShockMark, ...] = ()
        # Readers' seats are for minds of the config; all others have the rule, whatever minds there are.
        readers = [one.watch == READER for one in config.watchers]
        self.own_seats: Mapping[int, str] = dict.fromkeys(
            [books.DESK, *(i + 1 for i, reads in enumerate(readers) if not reads)], WATCHER
        )
        self.last: DeskRound | None = None
        self.alerts, self.doubled = Alerts.none(), 0
        # A benchmark that plays the same payments again gives their figures and fits; else they are made day by day.
        self.feed: Feed | None = None
        self.fit: Fit = learned.fit
        self._read = payments_of(config, seed, rounds) if config.payments_file else None
        self._readers = [number for number, reads in enumerate(readers) if reads]
        self._today: tuple[Day, Candidates] | None = None
        self._bids: tuple[int, Bids, Mapping[int, int]] | None = None

    def given(self, payments: Payments, feed: Feed, fit: Fit) -> None:
        """Takes payments that are there already, with their figures; before the first round."""
        self.__dict__["payments"] = payments
        self.feed, self.fit = feed, fit

    def parts(self, count: int) -> list[AccountShard]:
        """Returns the figures' work in so many parts, each of which has some of the accounts."""
        movements = Movements.of(self.payments)
        return [AccountShard(movements, number, count) for number in range(count)]

    def spread(self, take: Take) -> None:
        """Has figures computed by the parts."""
        self.feed = SpreadStream(take)

    @cached_property
    def payments(self) -> Payments:
        """The payments of the run, made when they are first looked at."""
        return self._read if self._read is not None else payments_of(self.config, self.seed, self.rounds)

    @cached_property
    def engine(self) -> Engine:
        """The watchers, calibrated when they are first asked."""
        return Engine(self.config, self.payments, self.feed, self.fit)

    @cached_property
    def bank(self) -> Bank:
        """The bank's books; what lies before the first round has been paid."""
        bank = Bank(self.payments)
        bank.pay(self.payments.rows_of(0, self.config.days_before).stop, np.empty(0, dtype=np.int64))
        return bank

    def forms(self) -> Mapping[str, FormPlugin]:
        """Returns the form of a case."""
        return {form.NAME: ballot.FORM}

    def own_rules(self) -> Mapping[str, OwnRule]:
        """Returns the rule of watchers that no model decides for."""
        return all_rules()

    def rules_text(self) -> str:
        """Returns the setting in a few sentences."""
        return (
            "You watch the payments of a bank for fraud. The analyst can look at a few payments a day. You see one "
            "case: what was paid, what is usual, and who finds it suspicious. If a payment that you have looked at is "
            "fraud, you earn a share of what is saved; if it is lawful, you pay for the analyst's time."
        )

    def opening(self) -> list[Consequence]:
        """Returns purses, and the slots of the first round."""
        return books.opened(self.config, len(self.titles))

    def observe(self, round_: int, market: MarketState, last: RoundCleared | None) -> Observation:
        """Returns what each watcher would have looked at and what that is worth; a reader sees its case in words."""
        day, candidates = self._day(round_)
        worth = np.concatenate([np.zeros((1, candidates.worth.shape[1]), dtype=np.int64), candidates.worth])
        # Text is made for readers alone; rules look at the columns.
        facts = ["The desk sells slots."]
        for number, one in enumerate(self.config.watchers):
            row = int(candidates.row[number, 0])
            reads = one.watch == READER and row >= 0
            facts.append(case_told(self.engine, day, row) if reads else form.NO_CASE)
        public = public_view(round_, self.rounds, f"day {round_}", (), market, last)
        private = private_views(market, last, tuple(facts), columns={WORTH: worth})
        wanted = np.array(worth.any(axis=1))
        return Observation(public, private.calling(wanted))

    def resolve(self, round_: int, choices: Choices, market: MarketState) -> Resolved:
        """Returns the bids and the desk's offers; pure, so that asking twice sells no slot twice."""
        day, candidates = self._day(round_)
        watcher, row, ticks = self._wishes(day, candidates, choices)
        # Who is frozen speaks for no payment, so that another may bid for what it would have named.
        free = ~market.frozen(round_)[watcher + 1]
        watcher, row, ticks = watcher[free], row[free], ticks[free]
        # Nobody bids more than it has; the dearest bids come first.
        order = np.lexsort((-ticks, watcher))
        watcher, row, ticks = watcher[order], row[order], ticks[order]
        spent = np.zeros(len(ticks), dtype=np.int64)
        for one in np.unique(watcher).tolist():
            spent[watcher == one] = np.cumsum(ticks[watcher == one])
        able = spent * self.market.tick_cents <= market.balances[watcher + 1, CASH]
        watcher, row, ticks = watcher[able], row[able], ticks[able]
        rarity = day.rarity[watcher, row - day.rows.start]
        first = strongest(self.engine, self.alerts, len(self.titles))
        bids = bids_of(self.config, watcher, row, ticks, rarity, first)
        named = {who - 1: one.kind for who, one in zip(choices.trader.tolist(), choices.chosen, strict=True)}
        self._bids = round_, bids, named
        return Resolved(books.orders(self.config, bids))

    def after_clearing(self, round_: int, market: MarketState, cleared: RoundCleared) -> list[Consequence]:
        """Files what was bought, holds its money, and settles what the analyst knows by now."""
        if self._bids is None or self._bids[0] != round_:
            raise ScenarioError(f"scenario fraud: round {round_} is over before it was resolved")
        (day, _), (_, bids, named) = self._day(round_), self._bids
        # [traders, goods] lots; the desk itself buys none.
        lots, _ = fills_of(cleared, len(self.titles) + 1, len(self.goods))
        more = bought(self.config, self.seed, day, bids, lots[1:], cleared.clearing_ticks, named)
        before = len(self.alerts)
        self.alerts, doubled = self.alerts.filed(more)
        self.doubled += doubled
        filed = self.alerts.take(np.arange(before, len(self.alerts)))
        self.bank.pay(day.rows.stop, filed.row)
        settled = settle(self.config, self.payments, self.alerts, round_, market.balances[1:, CASH])
        self.alerts = self.alerts.decided(settled.at, settled.verdict, settled.earned_cents)
        self.bank.decide(settled.row, settled.seized)
        self._learn(settled.at)
        sold = (int(lots[:, 0].sum()), int(lots[:, 1].sum()))
        self.last = DeskRound(round_, day, bids, filed, settled, offered(self.config, bids), sold)
        self._today = None
        # Unsold slots go back, and the desk gets new ones while there is another round.
        more_rounds = round_ < self.rounds
        held = self.payments.cents[filed.row]
        count = day.rows.stop - day.rows.start
        return books.closed(self.config, market, lots, count, held, settled, more_rounds)

    def snapshot(self) -> dict[str, Int64]:
        """Returns the alerts, from which what watchers have learned follows, and which payments these are."""
        done = self.last.round if self.last else 0
        return {f"alerts.{name}": column.copy() for name, column in self.alerts.columns().items()} | {
            "now": np.array([done, self.doubled, int(self.payments.digest[:15], 16), len(self.titles)]),
        }

    def restore(self, snapshot: dict[str, Int64]) -> None:
        """Goes on from a snapshot; ScenarioError where its payments or watchers were others."""
        done, doubled, digest, watchers = snapshot["now"].tolist()
        if digest != int(self.payments.digest[:15], 16) or watchers != len(self.titles):
            raise ScenarioError("scenario fraud: a fork keeps its payments and the number of watchers")
        self.alerts = Alerts(**{name: snapshot[f"alerts.{name}"].copy() for name in Alerts.none().columns()})
        # Figures, tails and cases follow from the payments, odds from the alerts: the days are gone through once more.
        for round_ in range(1, done + 1):
            self.engine.day(round_)
            self._learn(np.flatnonzero((self.alerts.due == round_) & (self.alerts.verdict != OPEN)))
        self.doubled = doubled
        last = self.payments.rows_of(0, self.config.days_before + done).stop
        self.bank.pay(last, self.alerts.row)
        known = np.flatnonzero(self.alerts.verdict != OPEN)
        self.bank.decide(self.alerts.row[known], self.alerts.verdict[known] == FRAUD)

    def _learn(self, at: Int64) -> None:
        """Has watchers learn from the alerts at these rows, which were confirmed; what has no label teaches nothing."""
        for i in at[np.isin(self.alerts.verdict[at], (FRAUD, FALSE))].tolist():
            rarity, fraud = float(self.alerts.rarity_milli[i]) / 1_000, bool(self.alerts.verdict[i] == FRAUD)
            self.engine.confirmed(int(self.alerts.watcher[i]), rarity, int(self.alerts.agreed[i]), fraud)

    def trader_columns(self) -> dict[str, Int64]:
        """Returns for each trader its alerts, those that were fraud, the false ones, and what they have earned."""
        traders = len(self.titles) + 1
        by = self.alerts.watcher + 1

        def count(mask: np.ndarray) -> Int64:
            return np.bincount(by[mask], minlength=traders).astype(np.int64)

        earned = np.bincount(by, weights=self.alerts.earned_cents, minlength=traders)
        return {
            "alerts": count(np.ones(len(by), dtype=np.bool_)),
            "alerts_fraud": count(self.alerts.verdict == FRAUD),
            "alerts_false": count(self.alerts.verdict == FALSE),
            "alerts_earned_cents": np.rint(earned).astype(np.int64),
        }

    def told(self) -> Mapping[str, str]:
        """Returns how many slots were sold, and what was found of the fraud so far."""
        if self.last is None:
            return {}
        # The days before the first round are no part of what could be found.
        days = (self.config.days_before, self.config.days_before + self.last.round)
        fraud = int(self.payments.fraud[self.payments.rows_of(*days)].sum())
        found = int(self.payments.fraud[self.alerts.row].sum())
        share = {"recall": f"{found / fraud:.1%}"} if fraud else {}
        return {"looked at": f"{sum(self.last.sold)} of {sum(self.last.offered)}", **share}

    def _day(self, round_: int) -> tuple[Day, Candidates]:
        """Returns a round's day; computed once, as the engine goes through the days in order."""
        if self._today is None or self._today[0].round != round_:
            day = self.engine.day(round_)
            most = min(MOST_BIDS, self.market.max_orders_per_round)
            slots, least, ticks = self.config.slots, self.config.reserve_ticks, self.market.tick_cents
            candidates = Candidates.of(self.config, self.payments, day, ticks, most, least)
            # Each reader has a case of its own, of those that are not bought without it, whatever they are worth.
            if self._readers:
                wide = slots + len(self._readers)
                unbought = Candidates.of(self.config, self.payments, day, ticks, wide, -self.config.false_cents)
                candidates = candidates.read_by(self._readers, unbought, slots, least)
            self._today = day, candidates
        return self._today

    def _wishes(self, day: Day, candidates: Candidates, choices: Choices) -> tuple[Int64, Int64, Int64]:
        """Returns [wishes] watchers, rows and ticks: what rules ordered, and what readers' letters come to."""
        # A rule's order names its candidate by its quantity, whatever it is in goods.
        orders = choices.orders
        number, seat = orders.quantity_lots - 1, orders.trader - 1
        fit = (seat >= 0) & (number >= 0) & (number < candidates.row.shape[1])
        row = np.where(fit, candidates.row[np.maximum(seat, 0), np.clip(number, 0, candidates.row.shape[1] - 1)], -1)
        fit &= row >= 0
        watcher, rows, ticks = [seat[fit]], [row[fit]], [orders.limit_ticks[fit]]
        for trader, verdict in zip(choices.trader.tolist(), choices.chosen, strict=True):
            target = int(candidates.row[trader - 1, 0]) if trader else -1
            if target < 0 or not verdict.odds:
                continue
            # A letter multiplies the odds, and the price follows from them.
            before = float(day.probability[trader - 1, target - day.rows.start])
            odds = verdict.odds * before / max(1.0 - before, 1e-9)
            one = np.array([target])
            worth = worth_ticks(
                self.config, self.payments, one, np.array([odds / (1.0 + odds)]), self.market.tick_cents
            )
            if worth[0] >= self.config.reserve_ticks:
                watcher.append(np.array([trader - 1]))
                rows.append(one)
                ticks.append(worth)
        return np.concatenate(watcher), np.concatenate(rows), np.concatenate(ticks)


def _check(config: FraudConfig, traders: int, market: MarketConfig) -> None:
    """Raises ConfigError where seats, prices or watchers do not fit."""
    check_watchers(config.watchers)
    seats = len(config.watchers) + 1
    if traders != seats:
        raise ConfigError(
            "population",
            f"a desk and {len(config.watchers)} watchers have {seats} seats, and there are {traders} traders",
            f"use {seats}",
        )
    most = config.most_value_cents * config.share_permille // 1_000 // market.tick_cents
    if most > market.max_price_ticks:
        raise ConfigError(
            "market.max_price_ticks", f"a slot may be worth {most} ticks, and {market.max_price_ticks} is the highest"
        )
    if config.reserve_ticks > most:
        raise ConfigError("scenario.reserve_ticks", f"no slot is worth more than {most} ticks", "give less")
    if market.mechanism != "call" or market.mechanisms:
        raise ConfigError("market.mechanism", "slots are sold in a call auction", "leave it out")
    if config.slots > market.max_quantity_lots:
        raise ConfigError("market.max_quantity_lots", f"{config.slots} slots are offered at once", "give as many")
