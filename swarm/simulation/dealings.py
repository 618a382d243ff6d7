"""Owns dealings: what somebody has lent, sold short, promised and won over, and what becomes of it round by round.

All of it is read from the causes of postings that hold, so that a run that is gone on with, or forked, knows it again.
A stake lies in the account ESCROW until its dealing is over; shorts gain from, and lose to, the world outside.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from swarm.errors import ConfigError
from swarm.figures import figure
from swarm.market.evidence import asked_lots
from swarm.market.ledger import CASH, ISSUE
from swarm.market.orders import BUY, SELL
from swarm.simulation.dealt import Allied, Bribed, Lent, Pledged, Shorted
from swarm.simulation.deeds import (
    CENTS,
    STAKED,
    Ally,
    Bribe,
    Deed,
    Doer,
    Ground,
    Lasting,
    Loan,
    Short,
    Tip,
    moved,
    one_row,
    posting,
    said,
    said_at,
)
from swarm.simulation.party import Act, MarketView, Move, RoundView, Say

PURSE, ESCROW = "patron", "escrow"
"""The accounts of a run with a patron: what it has, and what is at stake in its dealings."""

MARGIN_PERMILLE = 500
"""What a short is backed by when it is made, in 1/1000 of what it was sold for."""

CALLED_PERMILLE = 500
"""What of that must be left after losses, in 1/1000; below it the margin is called."""

_LOAN = re.compile(r"loan (\d{1,9}): (\d{1,18}) cents due after round (\d{1,9})")
_PLEDGE = re.compile(r"pledge (\d{1,9}) for (\d{1,18}) cents: (\d{1,18}) due after round (\d{1,9})")
_SHORT = re.compile(r"short (\d{1,9}): (\d{1,10}) (.+) at (\d{1,9}) ticks until after round (\d{1,9})")
_BRIBE = re.compile(r"bribe (\d{1,9}): trader (\d{1,10}) (buys|sells) (\d{1,10}) (.+) in round (\d{1,9})")
_ALLIANCE = re.compile(r"alliance (\d{1,9}): a share of (\d{1,4}) permille until after round (\d{1,9})")
_REPAID = re.compile(r"repayment of loan (\d{1,9})")
_KEPT = re.compile(r"default of loan (\d{1,9}): (\d{1,18}) cents")
_CALLED = re.compile(r"margin call of short (\d{1,9})")
_OVER = re.compile(r"(?:end of (short|bribe)|return of (pledge)) (\d{1,9}).*")
_ANY = re.compile(r"(?:loan|pledge|short|bribe|alliance) (\d{1,9})\b.*")


class Dealings:
    """The dealings of one doer, by number; what is over is in the journal alone."""

    def __init__(self, by: Doer, on: Ground) -> None:
        self.by, self.on = by, on
        self.loans: dict[int, Lent] = {}
        self.pledges: dict[int, Pledged] = {}
        self.shorts: dict[int, Shorted] = {}
        self.bribes: dict[int, Bribed] = {}
        self.allies: dict[int, Allied] = {}
        self._last = 0

    def check(self, deed: Deed) -> None:
        """ConfigError where the run has no such good, region or shock, or nobody to keep a stake."""
        if not isinstance(deed, Lasting):
            deed.acts(self.by, self.on)
            return
        staked = isinstance(deed, STAKED) or (isinstance(deed, Loan) and deed.lots)
        if staked and ESCROW not in self.on.accounts:
            raise ConfigError("deed", "expected a run with a patron, who has stakes kept", "name a party `patron`")
        if not isinstance(deed, Ally) and (staked or deed.good):
            self.on.good(deed.good)

    def acts(self, deed: Deed, view: RoundView) -> list[Act]:
        """Returns the acts of a deed after a round; allies hear what is tipped to others."""
        if isinstance(deed, Lasting):
            return self._begun(deed, view)
        acts = deed.acts(self.by, self.on)
        if isinstance(deed, Tip):
            heard = {self.on.seat_of(deed.trader)}
            others = [ally for ally in self.allied(view.round) if (ally.market, ally.seat) not in heard]
            # Whoever is an ally twice hears it once.
            for market, seat in dict.fromkeys((ally.market, ally.seat) for ally in others):
                acts.append(said_at(self.by, market, seat, deed.line))
        return acts

    def _begun(self, deed: Lasting, view: RoundView) -> list[Act]:
        # The causes of these acts say all that a replay needs of the deed.
        self._last += 1
        match deed:
            case Loan() if deed.lots:
                return self._pledge(deed, view.round)
            case Loan():
                return self._loan(deed, view.round)
            case Short():
                return self._short(deed, view)
            case Bribe():
                return self._bribe(deed, view.round)
            case Ally():
                cause = f"alliance {self._last}: a share of {deed.share_permille} permille "
                cause += f"until after round {view.round + deed.rounds}"
                paid = moved(cause, self.by, self.on, deed.trader, CASH, deed.pebbles, to_trader=True)
                word = f"we are allies for {deed.rounds} rounds; here are {deed.pebbles} pebbles"
                return [paid, said(self.by, self.on, deed.trader, word, if_done=True)]

    def _loan(self, loan: Loan, round_: int) -> list[Act]:
        due = round_ + loan.rounds
        cause = f"loan {self._last}: {loan.owed_cents} cents due after round {due}"
        lent = moved(cause, self.by, self.on, loan.trader, CASH, loan.pebbles, to_trader=True)
        told = f"I lend you {loan.pebbles} pebbles; {-(-loan.owed_cents // CENTS)} are due after round {due}"
        return [lent, said(self.by, self.on, loan.trader, told, if_done=True)]

    def _pledge(self, loan: Loan, round_: int) -> list[Act]:
        # The money follows once the pledge is there, so that no loan is made without.
        due = round_ + loan.rounds
        cause = f"pledge {self._last} for {loan.pebbles * CENTS} cents: {loan.owed_cents} due after round {due}"
        market, seat = self.on.seat_of(loan.trader)
        asset = 1 + self.on.good(loan.good)
        pledged = posting(cause, one_row(seat), ESCROW, asset, loan.lots, market)
        told = f"your {loan.lots} {loan.good} are pledged; {loan.pebbles} pebbles follow"
        return [pledged, said(self.by, self.on, loan.trader, told, if_done=True)]

    def _short(self, short: Short, view: RoundView) -> list[Act]:
        ticks = int(view.markets[0].state.reference_ticks[self.on.good(short.good)])
        worth = ticks * short.lots * view.markets[0].rules.tick_cents
        until = f"until after round {view.round + short.rounds}"
        cause = f"short {self._last}: {short.lots} {short.good} at {ticks} ticks {until}"
        return [posting(cause, self.by.account, ESCROW, CASH, -(-worth * MARGIN_PERMILLE // 1_000), 0)]

    def _bribe(self, bribe: Bribe, round_: int) -> list[Act]:
        cause = (
            f"bribe {self._last}: trader {bribe.trader} {bribe.side}s {bribe.lots} {bribe.good} in round {round_ + 1}"
        )
        market, _ = self.on.seat_of(bribe.trader)
        staked = posting(cause, self.by.account, ESCROW, CASH, bribe.pebbles * CENTS, market)
        told = f"{bribe.pebbles} pebbles are yours if you {bribe.side} {bribe.lots} {bribe.good} or more now"
        return [staked, said(self.by, self.on, bribe.trader, told, if_done=True)]

    def due(self, view: RoundView) -> list[Act]:
        """Returns what follows after a round from all that is open, oldest first in each kind."""
        acts: list[Act] = []
        # By debtor, in cents: of two loans of one debtor, the older one has the first call on its purse.
        taken: dict[tuple[int, int], int] = {}
        for loan in self.loans.values():
            acts += self._collected(loan, view, taken)
        # By market, in cents: what is left of the purse, on which several draw.
        named = (market.named.get(self.by.account) for market in view.markets)
        purses = {market: int(own[CASH]) for market, own in enumerate(named) if own is not None}
        for pledge in self.pledges.values():
            acts += self._lent_on(pledge, view, purses)
        for short in self.shorts.values():
            acts += self._marked(short, view, purses)
        for bribe in self.bribes.values():
            if bribe.round <= view.round:
                acts.append(self._settled(bribe, view.markets[bribe.market]))
        return acts

    def _collected(self, loan: Lent, view: RoundView, taken: dict[tuple[int, int], int]) -> Iterator[Act]:
        """Yields what a debtor can pay of a loan that is due or called, and what its pledge is kept for."""
        market, debtor = view.markets[loan.market], one_row(loan.seat)
        price = int(market.state.reference_ticks[loan.good]) * market.rules.tick_cents
        called = loan.lots > 0 and loan.lots * price < loan.left_cents
        there = _stays(market, loan.seat)
        if not (called or loan.due_round <= view.round) or not (there or loan.lots):
            return
        seat = loan.market, loan.seat
        spare = int(market.movable_cents[loan.seat]) - taken.get(seat, 0) if there else 0
        cents = max(min(loan.left_cents, spare), 0)
        taken[seat] = taken.get(seat, 0) + cents
        why = "margin call: " if called and loan.due_round > view.round else ""
        if cents:
            yield posting(f"repayment of loan {loan.number}", debtor, self.by.account, CASH, cents, loan.market)
            told = f"{why}I take back {_pebbles(cents)} of the {_pebbles(loan.left_cents)} pebbles that you owe me"
            yield Say(self.by.name, debtor, told, True, loan.market)
        if not loan.lots:
            return
        # What is still owed is paid in lots at the reference price, no more of them than it takes.
        left = loan.left_cents - cents
        kept = min(loan.lots, -(-left // price)) if there else loan.lots
        if kept:
            cause = f"default of loan {loan.number}: {min(kept * price, left)} cents"
            taking = posting(cause, ESCROW, self.by.account, 1 + loan.good, kept, loan.market)
            yield replace(taking, if_done=bool(cents))
        if there:
            # Somebody else may take in the same round what the debtor pays with: then the pledge stays where it is.
            over = f"return of pledge {loan.number}"
            back = posting(over, ESCROW, debtor, 1 + loan.good, loan.lots - kept, loan.market)
            yield replace(back, if_done=bool(cents))

    def _lent_on(self, pledge: Pledged, view: RoundView, purses: dict[int, int]) -> Iterator[Act]:
        """Yields the money for a pledge that is there; the pledge itself where the lender has no more."""
        debtor, purse = one_row(pledge.seat), purses.get(pledge.market, 0)
        if self.by.account != ISSUE and purse < pledge.lent_cents:
            # Who has gone has left its pledge.
            back = debtor if _stays(view.markets[pledge.market], pledge.seat) else self.by.account
            over = f"return of pledge {pledge.number}"
            yield posting(over, ESCROW, back, 1 + pledge.good, pledge.lots, pledge.market)
            return
        purses[pledge.market] = purse - pledge.lent_cents
        cause = f"loan {pledge.number}: {pledge.owed_cents} cents due after round {pledge.due_round}"
        yield posting(cause, self.by.account, debtor, CASH, pledge.lent_cents, pledge.market)
        told = f"I lend you {pledge.lent_cents // CENTS} pebbles; {-(-pledge.owed_cents // CENTS)} are due"
        yield Say(self.by.name, debtor, f"{told} after round {pledge.due_round}", True, pledge.market)

    def _marked(self, short: Shorted, view: RoundView, purses: dict[int, int]) -> Iterator[Act]:
        """Yields what a short comes to at the prices of now, where it is over or its margin is called."""
        market, number = view.markets[short.market], short.market
        ticks = int(market.state.reference_ticks[short.good])
        loss = (ticks - short.ticks) * short.lots * market.rules.tick_cents
        left = short.margin_cents - loss
        if short.due_round > view.round and not view.is_last:
            if left * 1_000 >= CALLED_PERMILLE * short.first_cents:
                return
            # Who can fills the margin up again; who cannot has to buy back at once.
            if purses[number] >= (missing := short.first_cents - left):
                purses[number] -= missing
                yield posting(f"margin call of short {short.number}", self.by.account, ESCROW, CASH, missing, number)
                return
        told = f"end of short {short.number}: bought back at {ticks} ticks"
        if loss > 0:
            from_margin = min(loss, short.margin_cents)
            yield posting(f"loss of short {short.number}", ESCROW, ISSUE, CASH, from_margin, number)
            yield posting(told, ESCROW, self.by.account, CASH, short.margin_cents - from_margin, number)
            # A loss beyond the margin is paid as far as the purse goes.
            owed = min(loss - from_margin, purses[number])
            purses[number] += short.margin_cents - from_margin - owed
            yield posting(f"loss of short {short.number}", self.by.account, ISSUE, CASH, owed, number)
            return
        yield posting(told, ESCROW, self.by.account, CASH, short.margin_cents, number)
        yield posting(f"gain of short {short.number}", ISSUE, self.by.account, CASH, -loss, number)
        purses[number] += left
        for ally in self.allied(view.round):
            share = -loss * ally.share_permille // 1_000
            if share and ally.market == number and _stays(market, ally.seat):
                cause = f"share of alliance {ally.number}"
                yield posting(cause, self.by.account, one_row(ally.seat), CASH, share, number)
                purses[number] -= share

    def _settled(self, bribe: Bribed, market: MarketView) -> Move:
        asked = asked_lots(market.evidence, bribe.seat, bribe.good, bribe.side) if market.evidence else 0
        kept = _stays(market, bribe.seat) and asked >= bribe.lots
        over = f"end of bribe {bribe.number}: " + ("it is paid" if kept else "it came to nothing")
        target = one_row(bribe.seat) if kept else self.by.account
        return posting(over, ESCROW, target, CASH, bribe.cents, bribe.market)

    def allied(self, round_: int) -> tuple[Allied, ...]:
        """Returns the alliances that hold in a round."""
        return tuple(ally for ally in self.allies.values() if ally.due_round >= round_)

    def learn(self, act: Act, market: int, refused: str = "") -> None:
        """Takes in an act of the doer's, and why it was refused, if it was."""
        if not isinstance(act, Move):
            return
        # A number is given once, also to what was refused.
        if found := _ANY.fullmatch(act.cause):
            self._last = max(self._last, int(found[1]))
        if not refused and len(act.amount):
            for pattern, take in self._takers():
                if found := pattern.fullmatch(act.cause):
                    take(found, act, market)

    def _takers(self) -> Sequence[tuple[re.Pattern[str], Callable[[re.Match[str], Move, int], None]]]:
        return (
            (_LOAN, self._take_loan),
            (_PLEDGE, self._take_pledge),
            (_SHORT, self._take_short),
            (_BRIBE, self._take_bribe),
            (_ALLIANCE, self._take_alliance),
            (_REPAID, lambda found, act, _: self._pay_off(int(found[1]), int(np.sum(act.amount)), 0)),
            (_KEPT, lambda found, act, _: self._pay_off(int(found[1]), int(found[2]), int(np.sum(act.amount)))),
            (_CALLED, self._take_margin),
            (_OVER, self._take_end),
        )

    def _take_loan(self, found: re.Match[str], act: Move, market: int) -> None:
        number, owed, due = map(int, found.groups())
        pledge = self.pledges.pop(number, None)
        good, lots = (pledge.good, pledge.lots) if pledge else (0, 0)
        self.loans[number] = Lent(number, market, _seat(act.target), owed, due, good, lots)

    def _take_pledge(self, found: re.Match[str], act: Move, market: int) -> None:
        number, lent, owed, due = map(int, found.groups())
        seat, good, lots = _seat(act.source), int(act.asset[0]) - 1, int(act.amount[0])
        self.pledges[number] = Pledged(number, market, seat, lent, owed, due, good, lots)

    def _take_short(self, found: re.Match[str], act: Move, market: int) -> None:
        number, lots, good, ticks, due = found.groups()
        margin = int(act.amount[0])
        self.shorts[int(number)] = Shorted(
            int(number), market, self.on.good(good), int(lots), int(ticks), int(due), margin, margin
        )

    def _take_bribe(self, found: re.Match[str], act: Move, market: int) -> None:
        number, trader, does, lots, good, round_ = found.groups()
        seat, side = self.on.seat_of(int(trader))[1], BUY if does == "buys" else SELL
        self.bribes[int(number)] = Bribed(
            int(number), market, seat, side, int(lots), self.on.good(good), int(round_), int(act.amount[0])
        )

    def _take_alliance(self, found: re.Match[str], act: Move, market: int) -> None:
        number, share, due = map(int, found.groups())
        self.allies[number] = Allied(number, market, _seat(act.target), share, due)

    def _take_margin(self, found: re.Match[str], act: Move, market: int) -> None:
        if short := self.shorts.get(int(found[1])):
            self.shorts[short.number] = replace(short, margin_cents=short.margin_cents + int(act.amount[0]))

    def _take_end(self, found: re.Match[str], act: Move, market: int) -> None:
        number = int(found[3])
        if found[2]:
            self.pledges.pop(number, None)
            if loan := self.loans.get(number):
                self.loans[number] = replace(loan, lots=0)
        else:
            (self.shorts if found[1] == "short" else self.bribes).pop(number, None)

    def _pay_off(self, number: int, cents: int, lots: int) -> None:
        if loan := self.loans.get(number):
            self.loans[number] = replace(loan, left_cents=loan.left_cents - cents, lots=loan.lots - lots)
            if loan.left_cents <= cents:
                del self.loans[number]


def _pebbles(cents: int) -> str:
    return figure(cents / CENTS, 6)


def _seat(account: object) -> int:
    return int(np.asarray(account)[0]) if not isinstance(account, str) else -1


def _stays(market: MarketView, seat: int) -> bool:
    """Tells whether a creature is there and stays; a script may name one that there is not."""
    return seat < len(market.staying) and bool(market.staying[seat])
