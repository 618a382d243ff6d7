"""Measures whether memory wears out a trick: a patron's gambit over five chapters, with sentiment and without.

Everybody is a rule here, no language model. A chapter is a stretch of a run, as a fork that changes nothing would be.
The edge of a gambit is what its short gains more than the same short without tips, on the same seed.
"""

import re
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, Literal

from swarm.bench.form import Result, paired
from swarm.config_file import resolve
from swarm.experiments.statistics import interval
from swarm.market.ledger import ISSUE
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.simulation.deeds import CENTS
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.party import Move

CHAPTERS, ROUNDS = 5, 12
FIRST_SEED = 60_000
TRADERS, GOOD, LOTS, HELD_ROUNDS, FIRST_ROUND = 60, "berries", 10, 4, 4
MEMORY = {"others": 4, "judge_rounds": 4, "forget_rounds": 50}
"""What sentiment is here: longer than a chapter, so that it lasts from one to the next."""

_OUTCOME = re.compile(r"(gain|loss) of short \d+")


class Shorts:
    """A watcher that keeps what shorts come to, by chapter, in cents."""

    def __init__(self) -> None:
        self.cents = [0] * CHAPTERS

    def started(self, *_: object) -> None:
        """Takes no note of how a run begins."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Adds up what a round's acts say."""
        for act in (act for acted in outcome.acted for act in acted.acts):
            if isinstance(act, Move) and (found := _OUTCOME.fullmatch(act.cause)):
                sign = 1 if found[1] == "gain" and act.source == ISSUE else -1
                self.cents[(outcome.round - 1) // ROUNDS] += sign * int(act.amount.sum())


def gains(seed: int, tips: bool, remembers: bool) -> list[float]:
    """Returns what the short of each chapter gains, in pebbles."""
    patron: dict[str, Any] = {"party": "patron", "purse_pebbles": 100_000}
    firsts = [FIRST_ROUND + ROUNDS * chapter for chapter in range(CHAPTERS)]
    if tips:
        patron["gambit"] = {"good": GOOD, "first_round": FIRST_ROUND, "every_rounds": ROUNDS, "hearers": TRADERS}
        patron["gambit"] |= {"lots": LOTS, "rounds": HELD_ROUNDS}
    else:
        short = {"deed": "short", "good": GOOD, "lots": LOTS, "rounds": HELD_ROUNDS}
        patron["script"] = [{"round": first + 1, **short} for first in firsts]
    config = {
        "seed": seed,
        "rounds": CHAPTERS * ROUNDS,
        "population": TRADERS,
        "models": [],
        "traders": {
            "hears": 0,
            "memory": MEMORY if remembers else None,
            "define": {"listener": {"mind": "listener", "sways_permille": 500}},
            "minds": {"listener": 3, "zip": 1},
        },
        "parties": {"patron": patron},
    }
    shorts = Shorts()
    play(resolve(config), shorts)
    return [cents / CENTS for cents in shorts.cents]


def measure(seeds: int, narrator: Narrator) -> list[Result]:
    """Returns the edge of the gambit by chapter in both arms, and what is left of it in the last one."""
    # By arm: [seeds][chapters] pebbles.
    edges: Mapping[str, list[list[float]]] = {"with_sentiment": [], "without_sentiment": []}
    for number in range(seeds):
        narrator.phase(f"seed {number + 1} of {seeds}")
        # Without tips nobody has anything to remember that a listener goes by, so both arms share this one.
        plain = gains(FIRST_SEED + number, tips=False, remembers=False)
        for name, arm in edges.items():
            told = gains(FIRST_SEED + number, tips=True, remembers=name == "with_sentiment")
            arm.append([one - other for one, other in zip(told, plain, strict=True)])
    found = [_by_chapter(name, arm) for name, arm in edges.items()]
    # On the same seeds: what sentiment takes from the edge of the last chapter.
    taken = [off[-1] - on[-1] for off, on in zip(edges["without_sentiment"], edges["with_sentiment"], strict=True)]
    note = f"edge of chapter {CHAPTERS} without sentiment less that with it: {paired(taken, 'pebbles')}; rules alone"
    runs = tuple(round(one, 2) for one in taken)
    return [*found, Result("chapters_taken_by_sentiment", round(mean(taken), 2), "pebbles", "higher", None, runs, note)]


def _by_chapter(name: str, arm: Sequence[Sequence[float]]) -> Result:
    """Returns the edge of the last chapter, with the means and 95% intervals of all as its note."""
    told, means = [], []
    for chapter in range(CHAPTERS):
        middle, half = interval([run[chapter] for run in arm])
        means.append(round(middle, 2))
        told.append(f"{chapter + 1}: {middle:+.0f} ({middle - half:+.0f} to {middle + half:+.0f})")
    note = f"edge by chapter in pebbles, mean of {len(arm)} seeds with 95% intervals: {', '.join(told)}"
    better: Literal["lower", "higher"] = "lower" if name == "with_sentiment" else "higher"
    return Result(f"chapters_{name}", means[-1], "pebbles", better, runs=tuple(means), bound=note)
