"""The party `magistrate`: it watches a market by typed evidence, and sentences whom honest runs do not explain.

A case is opened by a statistic and nothing else; no text that anybody wrote decides. Each sentence names its case, the
figures that led to it, and how often its rule accuses the honest. Sentences are acts, and so replay without it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from swarm.errors import ConfigError
from swarm.figures import figure
from swarm.llm.protocol import PROSE
from swarm.market.calibration import AllOf, Calibration, Ground, Rule, accused
from swarm.market.config import Mechanism
from swarm.market.evidence import Float64, traces
from swarm.market.ledger import CASH
from swarm.market.surveillance import (
    ABUSES,
    LOOKED_AT_EVERY,
    SIGNS,
    Abuse,
    Surveillance,
)
from swarm.scenarios.protocol import Setting, idle_sentences
from swarm.schema import StrictModel
from swarm.simulation.adviser import Adviser
from swarm.simulation.parties import PartyPlugin
from swarm.simulation.party import Act, Announce, Cap, Exile, Freeze, MarketView, Move, Pardon, Party, RoundView, Say

CASE = "case "
"""What every line of a case begins with."""

WORDS = " in the words of "
"""What stands before the name of the model that has put a case into words."""

SCRIBE = (
    "You are the clerk of a market's court. Say in one plain sentence what the trader did and what it is sentenced to. "
    "Add nothing that is not in the record."
)
SCRIBE_TOKENS, SCRIBE_CHARS = 80, 280

_SPOKEN = re.compile(r"case (\d{1,9}): (\w+) by trader (\d{1,10}), .*; score ([^,]+), reached by (.+); (\w+)")

TREASURY = "treasury"
"""The account that fines are paid to."""

Step = Literal["warn", "fine", "freeze", "cap", "exile"]


class MagistrateConfig(StrictModel):
    """A party that watches and sentences."""

    closing_rounds: int = Field(default=5, ge=2, le=1_000)
    """Each round whose number divides by this is a closing one, by whose price others go."""

    accuse_rate: float = Field(default=0.001, gt=0.0, le=0.5)
    """Nobody is accused whose score this share of honest traders reaches, or more."""

    exile_rate: float = Field(default=0.0001, gt=0.0, le=0.5)
    """Nobody is exiled whose score this share of honest traders reaches, or more; nobody at all while fewer were
    watched than it takes to tell that share."""

    false_share: float = Field(default=0.05, gt=0.0, le=0.5)
    """The share of accusations at one look that may be false (Benjamini and Hochberg)."""

    ladder: tuple[Step, ...] = Field(default=("warn", "fine", "freeze"), min_length=1, max_length=8)
    """What a trader is sentenced to, case by case; the last one again and again."""

    fine_permille: int = Field(default=200, ge=1, le=1_000)
    """A fine, in 1/1000 of the cash that its trader can spare."""

    freeze_rounds: int = Field(default=10, ge=1, le=100_000)
    """For how many rounds a trader is frozen, and after how many its case is looked at again on appeal."""

    amnesty: bool = False
    """Whether a fork of the run is a new chapter, in which whoever was exiled before may return."""

    scribe: str | None = Field(default=None, min_length=1, max_length=40)
    """The model, of those under `models`, that puts each case into a sentence once it is decided; null: none."""

    cap_lots: int = Field(default=20, ge=1, le=1_000_000)
    """With `cap`: the most lots of a good that a trader may come to own."""


@dataclass(slots=True)
class Case:
    """One case: whom it is about, by which rule, and the figures it rests on."""

    number: int
    round: int
    trader: int
    abuse: Abuse
    score: float
    honest: str
    step: Step
    appealed: bool = False
    pardoned: bool = False

    @property
    def cause(self) -> str:
        """The case in one line, as it stands with each of its acts."""
        figures = f"score {figure(self.score)}, reached by {self.honest}"
        return f"{CASE}{self.number}: {self.abuse} by trader {self.trader}, {SIGNS[self.abuse]}; {figures}"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A case as its announcement tells it."""

    number: int
    abuse: Abuse
    trader: int
    score: str
    honest: str
    sentence: str


def spoken(text: str) -> Spoken | None:
    """Returns the case that an announcement opens; None where it opens none."""
    if not (found := _SPOKEN.fullmatch(text)) or found[2] not in SIGNS:
        return None
    number, abuse, trader, score, honest, sentence = found.groups()
    return Spoken(int(number), cast(Abuse, abuse), int(trader), score, honest, sentence)


_TOLD: Mapping[Ground, str] = {
    "call": "markets of calls",
    "continuous": "continuous markets",
    "margin": "markets whose accounts may borrow",
}


def rule_told(section: Mapping[str, Any], mechanisms: Sequence[Mechanism] = ("call",), *, borrows: bool = False) -> str:
    """Returns how often the rule of a magistrate with this section is wrong, in words, in a market of these goods.

    Accounts that may borrow are a market of their own, as far as it `borrows`.
    """
    rate, grounds = section.get("accuse_rate", MagistrateConfig().accuse_rate), grounds_of(mechanisms, borrows)
    known = rule_of(grounds).traders.values()
    told = f"is set to accuse at most {rate:.2%} of honest traders by all statistics together"
    told = f"{told}, as {min(known):,} to {max(known):,} of them scored"
    if len(grounds) > 1:
        either = " or in ".join(_TOLD[ground] for ground in grounds)
        return f"{told} in {either}; of a market that is both there is no calibration"
    return told if grounds == ("call",) else f"{told} in {_TOLD[grounds[0]]}"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a look at everybody finds: scores by abuse, [windows, traders], and who stands out, [abuses, traders]."""

    scores: Sequence[Float64]
    p_values: Float64
    guilty: npt.NDArray[np.bool_]


@dataclass(slots=True)
class Court:
    """One market's surveillance and cases, and what honest traders come to in such a market."""

    surveillance: Surveillance
    rule: Rule
    cases: list[Case] = field(default_factory=list)


class Magistrate:
    """Watches each market by itself. What honest traders come to, it knows from runs before this one."""

    def __init__(self, name: str, config: MagistrateConfig) -> None:
        self.name, self.config = name, config
        self._courts: dict[int, Court] = {}
        self.adviser: Adviser | None = None
        self._new_chapter = False

    def act(self, view: RoundView) -> Sequence[Act]:
        """Returns the sentences of a round, in all markets, and at the beginning of a chapter who may return."""
        acts: list[Act] = [*self._returns()] if self._new_chapter else []
        self._new_chapter = False
        for number, market in enumerate(view.markets):
            if market.evidence is None:
                continue
            rule = rule_of(grounds_of(market.mechanisms, market.rules.margin is not None))
            court = self._courts.setdefault(number, Court(Surveillance(self.config.closing_rounds), rule))
            # A fork may have goods matched in another way.
            court.rule = rule
            court.surveillance.see(traces(market.evidence, market.mechanisms, market.rules))
            if view.round % LOOKED_AT_EVERY == 0:
                acts += self._appeals(court, view.round, number)
                for case in self._opened(court, view.round, market):
                    court.cases.append(case)
                    acts += self._sentenced(case, market, number)
        return acts

    def saw(self, view: RoundView) -> None:
        """Watches a round whose sentences are recorded: from the same evidence it comes to the same cases."""
        self.act(view)

    def succeed(self, before: Party) -> None:
        """Takes over the cases and what was watched before a fork."""
        if isinstance(before, Magistrate):
            self._courts = before._courts
            self._new_chapter = self.config.amnesty

    def _returns(self) -> Iterator[Act]:
        """Yields a pardon for whoever is in exile; its cases stay, and the next one goes on with the ladder."""
        for number, court in self._courts.items():
            for case in court.cases:
                if case.step == "exile" and not case.pardoned:
                    case.pardoned = True
                    yield Pardon(f"{CASE}{case.number} in a new chapter", np.array([case.trader]), number)

    def _opened(self, court: Court, round_: int, market: MarketView) -> Iterator[Case]:
        """Yields a case for each trader who stands out, by the statistic in which it does so most."""
        found = self._found(court)
        # [abuses, traders]: a trader has one case at a look, for what it stands out by most.
        for trader in np.flatnonzero(found.guilty.any(axis=0) & market.staying).tolist():
            past, by = [case for case in court.cases if case.trader == trader], found
            if past:
                # One case at a time, and nothing is held against a trader twice.
                if round_ - past[-1].round < self.config.freeze_rounds:
                    continue
                by = self._found(court, past[-1].round)
                if not by.guilty[:, trader].any():
                    continue
            which = int(np.argmin(np.where(by.guilty[:, trader], by.p_values[:, trader], 2.0)))
            abuse, p_value = ABUSES[which], float(by.p_values[which, trader])
            step = self.config.ladder[min(len(past), len(self.config.ladder) - 1)]
            known = court.rule.traders[abuse]
            if step == "exile" and not self._may_exile(known, p_value):
                step = "freeze"
            score = float(by.scores[which][:, trader].max())
            yield Case(len(court.cases) + 1, round_, trader, abuse, score, _honest(known, p_value), step)

    def _found(self, court: Court, after: int | None = None) -> Found:
        """Returns who stands out now, or by what has happened after a round."""
        watched = court.surveillance
        since = None if after is None else watched.since(after)
        scores = [watched.now(abuse) if since is None else since[abuse] for abuse in ABUSES]
        return Found(scores, *standing_out(court.rule, scores, self.config))

    def _may_exile(self, known: int, p_value: float) -> bool:
        """Says whether so many honest traders were enough to tell so small a share, and whether this is below it."""
        return p_value <= self.config.exile_rate and known * self.config.exile_rate >= 1.0

    def _sentenced(self, case: Case, market: MarketView, number: int) -> Iterator[Act]:
        trader = np.array([case.trader])
        match case.step:
            case "warn":
                yield Say(self.name, trader, f"you are warned: {case.abuse}", market=number)
            case "fine":
                cents = market.movable_cents[trader] * self.config.fine_permille // 1_000
                yield Move(case.cause, trader, TREASURY, np.array([CASH]), cents, number)
            case "freeze":
                yield Freeze(case.cause, trader, self.config.freeze_rounds, number)
            case "cap":
                yield Cap(case.cause, trader, self.config.cap_lots, number)
            case "exile":
                yield Exile(case.cause, trader, number)
        # Public, so that the case is in the record whatever the sentence was.
        yield Announce(f"{case.cause}; {case.step}", number)
        if self.adviser is not None:
            # Written once it is decided, and said to nobody: a model has the words, and no part in the verdict.
            yield Say(self.name, np.empty(0, dtype=np.int64), self._in_words(self.adviser, case), market=number)

    def _in_words(self, adviser: Adviser, case: Case) -> str:
        advice = adviser.ask(SCRIBE, f"{case.cause}; sentence: {case.step}", {}, case.number, SCRIBE_TOKENS)
        words = "".join(c for c in " ".join(advice.text.split()) if c.isprintable())[:SCRIBE_CHARS]
        return f"{CASE}{case.number}{WORDS}{adviser.entry.name}: {words or advice.told}"

    def _appeals(self, court: Court, round_: int, number: int) -> Iterator[Act]:
        """Yields a pardon for whoever no longer stands out, once, after the time of a freeze."""
        for case in court.cases:
            # Who is in exile does nothing by which it could be judged anew: it waits for a new chapter.
            lasts = case.step in ("freeze", "cap")
            if case.appealed or not lasts or round_ - case.round < self.config.freeze_rounds:
                continue
            # By what it has done since: what it did before is what it was sentenced for.
            case.appealed = True
            now = court.rule.p_values(case.abuse, court.surveillance.since(case.round)[case.abuse])
            if now[case.trader] * len(ABUSES) > self.config.accuse_rate:
                case.pardoned = True
                yield Pardon(f"{CASE}{case.number} on appeal", np.array([case.trader]), number)


def _honest(known: int, p_value: float) -> str:
    """Returns in words how many of so many honest traders come to a score; a share that few cannot tell is none."""
    return f"none of {known} honest traders" if p_value * known < 1.0 else f"{p_value:.2%} of honest traders"


def standing_out(
    rule: Rule, scores: Sequence[Float64], config: MagistrateConfig
) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Returns the p-values of all traders' scores and who is accused by them, both [abuses, traders].

    A p-value is that of all statistics together (Bonferroni), so that the rates of the config are those of a trader.
    """
    p_values = np.stack([rule.p_values(abuse, own) for abuse, own in zip(ABUSES, scores, strict=True)])
    p_values = np.minimum(p_values * len(ABUSES), 1.0)
    guilty = np.stack([accused(row, config.false_share) for row in p_values])
    return p_values, guilty & (p_values <= config.accuse_rate)


def _suits(name: str, config: MagistrateConfig, scenario: Setting) -> None:
    """ConfigError where a step of the ladder would restrict nobody in this scenario."""
    idle = idle_sentences(scenario)
    for step in config.ladder:
        if step in idle:
            fit = ", ".join(known for known in get_args(Step) if known not in idle)
            raise ConfigError(f"parties.{name}.ladder", f"`{step}` restricts nobody: {idle[step]}", f"use {fit}")


@cache
def shipped(ground: Ground = "call") -> Calibration:
    """Returns the calibration by the honest runs of `swarm bench abuse --calibrate` in markets of this kind."""
    data = json.loads((files("swarm.simulation.parties") / "honest.json").read_text(encoding="utf-8"))
    # Prices that are posted are not matched at all, so that collusion is calibrated once.
    of = {abuse: data["call" if abuse == "collusion" else ground] for abuse in ABUSES}
    scores = {abuse: np.array(own["scores"][abuse]) for abuse, own in of.items()}
    return Calibration(scores, {abuse: own["traders"][abuse] for abuse, own in of.items()})


@cache
def rule_of(grounds: tuple[Ground, ...]) -> Rule:
    """Returns what honest traders come to in a market that is all of these."""
    return shipped(grounds[0]) if len(grounds) == 1 else AllOf([shipped(ground) for ground in grounds])


def grounds_of(mechanisms: Sequence[Mechanism], borrows: bool) -> tuple[Ground, ...]:
    """Returns which calibrations are of a market: by how its goods are matched, and whether its accounts may borrow."""
    found: set[Ground] = {*mechanisms} or {"call"}
    if borrows:
        # Accounts that borrow were watched in calls.
        found = found - {"call"} | {"margin"}
    return tuple(sorted(found))


PARTY = PartyPlugin(
    name="magistrate",
    summary="Watches orders, trades and tips; warns, fines, freezes, caps or exiles whom honest runs do not explain.",
    Config=MagistrateConfig,
    build=lambda name, section, seed: Magistrate(name, section),
    accounts=(TREASURY,),
    asks=lambda section: ("scribe", section.scribe) if section.scribe else None,
    asks_for=PROSE,
    suits=_suits,
)
