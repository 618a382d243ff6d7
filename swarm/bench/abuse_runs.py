"""Plays the runs that the magistrate is measured on: honest ones, and ones with a scripted abuser whom only it knows.

All traders here are rules and scripted policies, no language models. The labels stay with whoever scores.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.agents.tactics import AbuseName
from swarm.bench.abuse_kept import Ran
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.market.calibration import Ground
from swarm.market.evidence import Float64, Traces, traces
from swarm.market.orders import Int64
from swarm.market.surveillance import ABUSES, LOOKED_AT_EVERY, Surveillance
from swarm.runtime.play import play
from swarm.scenarios.protocol import MarketState
from swarm.simulation.evidence import of_round
from swarm.simulation.facets.traders import wealth_cents
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.parties.magistrate import Step
from swarm.simulation.plan import RunPlan

TRADERS, ROUNDS = 20, 30
GOOD = "honey"
NEWS_ROUNDS = (12, 18, 24)
FIRST_ROUND, TURNED_ROUND = 6, 15
MARKETS: Mapping[Ground, dict[str, Any]] = {
    "call": {},
    "continuous": {"mechanism": "continuous", "rest_rounds": 4},
    # Much may be borrowed for little, and whoever is called is liquidated at once.
    "margin": {"margin": {"initial_permille": 200, "maintenance_permille": 150, "grace_rounds": 0}},
}
"""The section `market` of a run's config."""

BEARS = 4
"""How many of the honest sell short where accounts may borrow."""

NAME = "newcomer"
"""What the abusers' mind is called in a config: nothing that says what it is."""

CREWS: dict[str, tuple[int, ...]] = {"wash": (2, 3, 4, 5), "sybil": (3, 6, 9)}
"""How many work together, in turn from seed to seed."""

HONEST = ("zi_c", "zip", "truthful", "listener", "zi_c", "zip", "truthful", "maker", "teller", "zip")
"""Who sits in the other seats, in turn: rules, some of which believe tips, makers who quote on both sides, and tellers,
scripted policies that say what they take a price to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A run: by look the scores of everybody, [looks, abuses, windows, traders], the labels, and wealth at the end."""

    looks: tuple[int, ...]
    scores: Float64
    planted: npt.NDArray[np.bool_]  # [traders]
    wealth_cents: Int64
    surveillance: Surveillance
    market: Ground = "call"


class Watch:
    """A watcher that keeps the traces of a run, and its last state."""

    def __init__(self) -> None:
        self.past: list[Traces] = []

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes no note of how a run begins."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Looks at a round."""
        seen, market = of_round(outcome), outcome.plan.market
        self.state, self.plan = outcome.state, outcome.plan
        if seen is not None:
            self.past.append(traces(seen, market.mechanisms, market.config))


def scored(ran: Ran, market: Ground = "call") -> Watched:
    """Returns what surveillance makes of the traces of a run with such a market."""
    past, planted, wealth = ran
    surveillance, looks, scores = Surveillance(), [], []
    for one in past:
        surveillance.see(one)
        if one.round % LOOKED_AT_EVERY == 0:
            looks.append(one.round)
            scores.append(np.stack([surveillance.now(abuse) for abuse in ABUSES]))
    return Watched(tuple(looks), np.stack(scores), planted, wealth, surveillance, market)


def config(
    seed: int,
    abuse: AbuseName | None,
    evasion: int = 0,
    honest_seats: bool = False,
    court: Sequence[Step] = (),
    market: Ground = "call",
) -> RunConfig:
    """Returns the config of a run; with `honest_seats`, a truthful rule sits where the abusers would.

    `court` is the ladder of a magistrate, which there is none without. In a continuous `market` orders rest; where
    accounts may borrow, some of the honest sell short.
    """
    define: dict[str, Any] = {"listener": {"mind": "listener"}}
    crew = CREWS.get(abuse or "", (1,))
    abusers = crew[seed % len(crew)] if abuse else 0
    minds = Counter(HONEST[seat % len(HONEST)] for seat in range(TRADERS - abusers))
    if market == "margin":
        for seat in range(BEARS):
            minds[HONEST[seat]] -= 1
        define["bear"], minds["bear"] = {"mind": "short_seller", "lots": 15, "most_lots": 60}, BEARS
    if abuse is not None:
        # An abuser is told no more than its kind needs to know.
        abuser: dict[str, Any] = {
            "mind": "abuser",
            "abuse": abuse,
            "evasion": evasion,
            "good": GOOD,
            "first_round": FIRST_ROUND,
        }
        if abuse == "floor":
            # Where the price began, so that it holds something up.
            abuser["price_ticks"] = 34
        if abuse == "turned":
            # Of nobody without a past can be told that it has changed.
            abuser["first_round"] = TURNED_ROUND
        if abuse == "insider":
            abuser["news_rounds"] = list(NEWS_ROUNDS)
        define[NAME] = {"mind": "rule", "rule": "truthful"} if honest_seats else abuser
        minds[NAME] = abusers
    # News that lifts a price comes in every run, or only runs with insiders would have any.
    shocks = [{"kind": "mania", "round": round_, "good": GOOD} for round_ in NEWS_ROUNDS]
    return resolve(
        {
            "seed": seed,
            "rounds": ROUNDS,
            "population": TRADERS,
            "models": [
                {"name": "maker", "temperament": "maker", "form": "menu"},
                {"name": "teller", "temperament": "momentum", "form": "orders"},
            ],
            "traders": {"minds": dict(minds), "define": define, "hears": 3},
            "scenario": {"name": "wood", "shocks": shocks},
            "market": MARKETS[market],
            "parties": {"magistrate": {"party": "magistrate", "ladder": [*court]}} if court else {},
        }
    )


def named(
    seed: int,
    abuse: AbuseName | None = None,
    evasion: int = 0,
    honest_seats: bool = False,
    court: Sequence[Step] = (),
    market: Ground = "call",
) -> tuple[str, Callable[[], Ran]]:
    """Returns a run by a name of its own, and a function that plays it."""
    parts = [str(seed), abuse or "honest", str(evasion), *(["honest-seats"] if honest_seats else []), *court]
    parts += [market] if market != "call" else []

    def play_it() -> Ran:
        watch = Watch()
        play(config(seed, abuse, evasion, honest_seats, court, market), watch)
        planted = np.array([mind == NAME for mind in watch.plan.shard.minds])
        return watch.past, planted, wealth_cents(watch.plan, watch.state)

    return "-".join(parts), play_it
