"""Judges acts in one market: which hold, what they move, and what traders are told of them in the next round.

An act that the ledger would refuse is refused by name before anything is journalled, so that no party breaks a run. It
knows accounts, prices and texts; the party, and why it acts, it does not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from swarm.agents.observation import Observation
from swarm.market.ledger import CASH, ISSUE, ROAD
from swarm.scenarios.protocol import (
    Consequence,
    Int64,
    MarketState,
    Movement,
    ReferenceMove,
    Scenario,
    TakesShocks,
    idle_sentences,
    papers_of,
)
from swarm.simulation.entries import Acted
from swarm.simulation.party import (
    MAX_TEXT_CHARS,
    Account,
    Act,
    Announce,
    Cap,
    Exile,
    Freeze,
    Move,
    Pardon,
    Quote,
    Reprice,
    Say,
    Strike,
)
from swarm.simulation.population import Mask
from swarm.simulation.sentences import Sentence, Sentences

MAX_MOVED = 1 << 50
"""The largest amount that a row of a move has, so that no sum of a round's rows leaves 64 bits."""

MAX_ROWS = 1 << 12
"""Rows of the largest amount that still sum up within 64 bits; a longer move has smaller amounts."""

MAX_PERMILLE = 1_000_000
MAX_FROZEN_ROUNDS = MAX_CAP_LOTS = 1_000_000
MAX_SPEAKER_CHARS = 40


_HANGS: Mapping[type[Act], str] = {Say: "what it tells of was refused", Move: "what it comes after was refused"}
"""Why an act with `if_done` is refused."""

PartyActs = tuple[str, Sequence[Act]]
"""A party, by name, and what it does in one market after a round."""


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """The words for traders in the round after: lines by trader, news for all, and the prices of other markets.

    `said` has the lines once more, as who hears it, who says it, and what.
    """

    heard: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    news: tuple[str, ...] = ()
    quotes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    said: tuple[tuple[int, str, str], ...] = ()

    def shown(self, seen: Observation) -> Observation:
        """Returns the observation with what parties let traders know, before all else that they hear."""
        if not (self.heard or self.news):
            return seen
        public, private = seen.public, seen.private
        if self.news:
            public = replace(public, news=(*public.news, *self.news))
        if self.heard:
            # In front, so that a prompt that is cut loses gossip before it loses this.
            heard = tuple(self.heard.get(i, ()) + lines for i, lines in enumerate(private.heard))
            private = replace(private, heard=heard)
        return Observation(public, private)


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """The acts of a party in one market: the entry that is journalled, what it moves, and what it tells."""

    acted: Acted
    consequences: tuple[Consequence, ...]
    told: tuple[Act, ...]

    @property
    def done(self) -> tuple[Act, ...]:
        """The acts that hold."""
        refused = {index for index, _ in self.acted.refused}
        return tuple(act for index, act in enumerate(self.acted.acts) if index not in refused)


class Judge:
    """A judge who says of one act after another whether it holds, given what accounts have and all acts before it."""

    def __init__(
        self,
        state: MarketState,
        named: Int64,
        names: Sequence[str],
        most_ticks: int,
        there: Mask | None = None,
        scenario: Scenario | None = None,
        sentences: Sentences | None = None,
    ) -> None:
        """`named` has the balances of the accounts `names`, and `there` says who is there, by number.

        `sentences` are those that parties spoke before, and take in what holds now.

        Whether a shock can be is asked of the `scenario`, which also says what its goods are called and which of them
        are papers.
        """
        self._scenario = scenario
        self._sentences = Sentences() if sentences is None else sentences
        self._goods = scenario.goods if scenario else ()
        papers = papers_of(scenario) if scenario else frozenset()
        self._papers = [1 + number for number, good in enumerate(self._goods) if good in papers]
        self._traders, self._assets = state.balances.shape
        self._there = np.ones(self._traders, dtype=np.bool_) if there is None else there
        # [traders and named accounts, assets], in the order in which the market numbers accounts.
        self._balances = np.concatenate([state.balances, named])
        self._number = {name: self._traders + i for i, name in enumerate(names)}
        self._most_ticks = most_ticks
        # These stand for the world outside and may be below zero, as in the ledger.
        self._may_owe = [self._number[name] for name in (ISSUE, ROAD) if name in self._number]

    def hold(self, party: str, round_: int, acts: Sequence[Act]) -> Held:
        """Returns what comes of a party's acts after a round."""
        refused: list[tuple[int, str]] = []
        consequences: list[Consequence] = []
        told: list[Act] = []
        for index, act in enumerate(acts):
            # What a line tells of, or what a move comes after, did not happen.
            hangs = isinstance(act, Say | Move) and act.if_done and bool(refused) and refused[-1][0] == index - 1
            # A move is tried when it is judged, so that one which hangs on another must not be.
            tried = "" if hangs and isinstance(act, Move) else self._refusal(act)
            if why := tried or (_HANGS[type(act)] if hangs else ""):
                refused.append((index, why))
            elif isinstance(act, Move):
                consequences.append(Movement(act.cause, act.source, act.target, act.asset, act.amount))
            elif isinstance(act, Reprice):
                consequences.append(ReferenceMove(act.cause, act.good, act.permille))
            elif isinstance(act, Sentence):
                consequences += self._sentences.after(party, act, round_)
            else:
                told.append(act)
        return Held(Acted(round_, party, tuple(acts), tuple(refused)), tuple(consequences), tuple(told))

    def _refusal(self, act: Act) -> str:
        """Returns why an act does not hold, or nothing; a move that holds is done here."""
        match act:
            case Move():
                return self._refused_move(act)
            case Reprice():
                if not 0 <= act.good < self._assets - 1:
                    return f"there is no good {act.good}"
                return "" if 0 <= act.permille <= MAX_PERMILLE else f"{act.permille} permille is out of range"
            case Say():
                if wrong := self._unknown(np.asarray(act.to)):
                    return wrong
                return _wrong_text(act.text) or ("" if _is_name(act.speaker) else "the speaker has no printable name")
            case Announce():
                return _wrong_text(act.text)
            case Quote():
                ticks = np.asarray(act.prices_ticks)
                if ticks.shape != (self._assets - 1,):
                    return f"expected {self._assets - 1} prices, got {ticks.size}"
                return "" if 1 <= ticks.min() <= ticks.max() <= self._most_ticks else "a price is out of range"
            case Freeze() | Cap() | Exile() | Pardon():
                return self._unknown(np.asarray(act.trader)) or _wrong_bound(act) or self._idle(act)
            case Strike():
                if not isinstance(self._scenario, TakesShocks) or not self._scenario.shock_kinds:
                    return "this scenario has no shocks"
                return self._scenario.shock_refusal(act.kind, act.good, act.rounds, act.size_permille)

    def _refused_move(self, move: Move) -> str:
        source, target = self._accounts(move.source, move), self._accounts(move.target, move)
        if isinstance(source, str):
            return source
        if isinstance(target, str):
            return target
        asset, amount = np.asarray(move.asset), np.asarray(move.amount)
        if len({len(column) for column in (source, target, asset, amount)}) > 1:
            return "the columns of the move differ in length"
        if not len(amount):
            return ""
        if not 0 <= asset.min() <= asset.max() < self._assets:
            return f"there is no asset {int(asset[(asset < 0) | (asset >= self._assets)][0])}"
        if len(of_scenario := asset[np.isin(asset, self._papers)]):
            return f"{self._asset(int(of_scenario[0]))} is a paper that only the scenario moves"
        # The longer the move, the smaller its rows must be for their sum to stay within 64 bits.
        if amount.min() < 0 or amount.max() > MAX_MOVED * MAX_ROWS // max(len(amount), MAX_ROWS):
            return "an amount is negative or too large"
        # Tried on a copy: a move holds as a whole or not at all.
        after = self._balances.copy()
        np.subtract.at(after, (source, asset), amount)
        np.add.at(after, (target, asset), amount)
        below = after < 0
        below[self._may_owe] = False
        if below.any():
            account, short = (int(column[0]) for column in np.nonzero(below))
            has = f"{int(self._balances[account, short])} {self._asset(short)}"
            return f"{self._named(account)} has {has}, and lacks more"
        self._balances = after
        return ""

    def _accounts(self, side: Account, move: Move) -> "Int64 | str":
        """Returns the numbers of the accounts of one side of a move, or what is wrong with them."""
        if isinstance(side, str):
            number = self._number.get(side)
            return f"there is no account {side[:40]!r}" if number is None else np.full(len(move.amount), number)
        return self._unknown(np.asarray(side)) or np.asarray(side)

    def _idle(self, act: Sentence) -> str:
        """Returns why a sentence would restrict nobody in this scenario, or nothing."""
        name = type(act).__name__.lower()
        why = idle_sentences(self._scenario).get(name)
        return f"a {name} restricts nobody here: {why}" if why else ""

    def _unknown(self, traders: Int64) -> str:
        known = (traders >= 0) & (traders < self._traders)
        # Who has gone is as unknown as who never was.
        wrong = traders[~known | ~self._there[np.where(known, traders, 0)]]
        return f"there is no trader {int(wrong[0])}" if len(wrong) else ""

    def _asset(self, number: int) -> str:
        if number == CASH:
            return "cents"
        return self._goods[number - 1] if number <= len(self._goods) else f"of asset {number}"

    def _named(self, account: int) -> str:
        if account < self._traders:
            return f"trader {account}"
        return next(name for name, number in self._number.items() if number == account)


def told(acts: Sequence[Act]) -> Told:
    """Returns what traders are told of acts that hold, in the order of the acts."""
    heard: dict[int, tuple[str, ...]] = {}
    lines = [(n, act.speaker, act.text) for act in acts if isinstance(act, Say) for n in np.asarray(act.to).tolist()]
    for trader, speaker, text in lines:
        heard[trader] = (*heard.get(trader, ()), f"{speaker}: {text}")
    news = tuple(act.text for act in acts if isinstance(act, Announce))
    quotes = tuple((act.of, tuple(np.asarray(act.prices_ticks).tolist())) for act in acts if isinstance(act, Quote))
    return Told(heard, news, quotes, tuple(lines))


def _wrong_bound(act: Sentence) -> str:
    """Returns what is wrong with the bound of a sentence, or nothing."""
    if isinstance(act, Freeze) and not 1 <= act.rounds <= MAX_FROZEN_ROUNDS:
        return f"expected 1 to {MAX_FROZEN_ROUNDS} rounds, got {act.rounds}"
    if isinstance(act, Cap) and not 1 <= act.lots <= MAX_CAP_LOTS:
        return f"expected 1 to {MAX_CAP_LOTS} lots, got {act.lots}"
    return ""


def _wrong_text(text: str) -> str:
    if not text or len(text) > MAX_TEXT_CHARS:
        return f"expected a text of 1 to {MAX_TEXT_CHARS} characters, got {len(text)}"
    return "" if text.isprintable() else "the text has characters that do not print"


def _is_name(name: str) -> bool:
    return 0 < len(name) <= MAX_SPEAKER_CHARS and name.isprintable()
