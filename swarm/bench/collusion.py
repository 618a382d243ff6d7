"""Measures collusion of two sellers in the duopoly of Calvano et al. 2020: rules, Q-learners, and remedies.

None of the sellers here is a language model. The index is 0 in competition and 1 in a cartel; every figure is a mean
over seeds, and the remedies are held against none on the same seeds.
"""

from collections.abc import Sequence
from statistics import mean

import polars as pl

from swarm.bench.form import Result, paired
from swarm.config_file import resolve
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.scenarios.duopoly.config import DuopolyConfig
from swarm.scenarios.duopoly.demand import Benchmarks
from swarm.scenarios.duopoly.learning import QUICK, Learned, Learning, learn
from swarm.scenarios.duopoly.remedy import RemedyName

SEEDS, FIRST_SEED, PRICES = 12, 1_000, 15
ROUNDS, LAST_ROUNDS = 60, 20

AIMS = {"best_reply": ("lower", 0.05), "grim": ("higher", 0.9)}


def measure(narrator: Narrator) -> list[Result]:
    """Returns the benchmarks' figures, then what each kind of pair comes to, then what remedies do."""
    marks = Benchmarks.of_two()
    found = [
        Result("competitive_price", round(marks.competitive_price, 4), "costs", "higher", bound="published: 1.4729"),
        Result("cartel_price", round(marks.cartel_price, 4), "costs", "higher", bound="published: 1.9250"),
    ]
    # Rules are played in the market itself, so that what is measured has gone through the ledger.
    for rule in ("best_reply", "grim", "chance"):
        narrator.phase(f"two sellers by the rule {rule}")
        found.append(_of_pair(rule, [in_the_market(rule, seed) for seed in range(5)]))
    narrator.phase(f"{SEEDS} pairs of Q-learners")
    found.append(_of_learners("q_learners", _sessions(Learning()), "published: 0.85 and 0.78 +- 0.10"))
    quick = _sessions(QUICK)
    found.append(_of_learners("q_learners_quick", quick, "chance choices fade ten times as fast"))
    for name in ("warning", "damages", "entrant"):
        narrator.phase(f"Q-learners under the remedy {name}")
        found.append(_of_remedy(name, quick))
    return found


def in_the_market(rule: str, seed: int) -> float:
    """Returns the index of collusion in the last rounds of a run in which both sellers of each market use a rule."""
    config = resolve(
        {
            "seed": seed,
            "rounds": ROUNDS,
            "population": 4,
            "scenario": {"name": "duopoly", "prices": PRICES},
            "traders": {"hears": 0, "define": {"pair": {"mind": "own", "rule": rule}}, "minds": {"pair": 1}},
        }
    )
    last = play(config).tables["traders"].filter(pl.col("round") > ROUNDS - LAST_ROUNDS)
    return float(last["collusion_permille"].to_numpy().mean()) / 1_000


def _sessions(learning: Learning, remedy: RemedyName = "none") -> list[Learned]:
    figures = DuopolyConfig(prices=PRICES, remedy=remedy).figures
    return [learn(FIRST_SEED + number, PRICES, learning, figures) for number in range(SEEDS)]


def _of_pair(rule: str, indices: Sequence[float]) -> Result:
    better, aim = AIMS.get(rule, ("lower", None))
    runs = tuple(round(index, 4) for index in indices)
    name = f"collusion_{rule}"
    return Result(name, round(mean(runs), 4), "index", "higher" if better == "higher" else "lower", aim, runs)


def _of_learners(name: str, sessions: Sequence[Learned], bound: str) -> Result:
    runs = tuple(round(session.collusion, 4) for session in sessions)
    settled = sum(session.settled for session in sessions)
    rounds = mean(session.rounds for session in sessions)
    note = f"{settled} of {len(sessions)} settled, after {rounds:,.0f} rounds on average"
    return Result(f"collusion_{name}", round(mean(runs), 4), "index", "lower", runs=runs, bound=bound, note=note)


def _of_remedy(name: RemedyName, without: Sequence[Learned]) -> Result:
    """Returns what quick learners come to under a remedy; the aim is a third of what they come to without."""
    sessions = _sessions(QUICK, name)
    change = [one.collusion - other.collusion for one, other in zip(sessions, without, strict=True)]
    # Two thirds of the collusion are to be gone.
    aim = None if name == "warning" else round(mean(one.collusion for one in without) / 3.0, 4)
    told = "a warning changes no profit, and nobody here reads" if name == "warning" else paired(change, "index")
    runs = tuple(round(session.collusion, 4) for session in sessions)
    return Result(f"collusion_{name}", round(mean(runs), 4), "index", "lower", aim, runs, bound=told)
