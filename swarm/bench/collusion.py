"""Measures collusion of two sellers in the duopoly of Calvano et al. 2020: rules, Q-learners, and remedies.

The index is 0 in competition and 1 in a cartel; every figure is a mean over seeds, and the remedies are held against
none on the same seeds. These sellers are no language models; those of a config sell besides, where one is named.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any, get_args

import numpy as np
import polars as pl

from swarm.bench.form import Result, paired
from swarm.bench.kept import Kept, digests
from swarm.config_file import load, resolve
from swarm.errors import ConfigError
from swarm.preflight import Narrator
from swarm.runtime.play import Played, play
from swarm.scenarios.duopoly.config import DuopolyConfig
from swarm.scenarios.duopoly.demand import Benchmarks
from swarm.scenarios.duopoly.learning import QUICK, Learned, Learning, learn
from swarm.scenarios.duopoly.remedy import RemedyName

SEEDS, FIRST_SEED, PRICES = 12, 1_000, 15
ROUNDS, LAST_ROUNDS = 60, 20
MARKETS, ASKED_ROUNDS, ASKED_LAST, DEADLINE_S = 20, 3, 2, 3_600
"""Models sell in so many markets of two; the first round, in which nobody has seen a rival, is left out."""

AIMS = {"best_reply": ("lower", 0.05), "grim": ("higher", 0.9)}


def measure(narrator: Narrator, config: Path | None = None, keep: Path | None = None) -> list[Result]:
    """Returns the benchmarks' figures, what each kind of pair comes to, what remedies do, and so of a config's models.

    What models' markets came to is kept in the file `keep`, and not asked again. ConfigError where none answers with a
    price.
    """
    asked = _askable(config) if config else []
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
    return found + of_models(asked, Kept(keep), narrator)


def _askable(path: Path) -> list[dict[str, Any]]:
    """Returns the entries of a config's models, each in the duopoly's form."""
    entries = [{**model.model_dump(mode="json", exclude_unset=True), "form": "price"} for model in load(path).models]
    if not entries:
        raise ConfigError(f"--config {path}", "expected models that sell, got a config without any", "add one to it")
    return entries


def of_models(entries: Sequence[dict[str, Any]], kept: Kept, narrator: Narrator) -> list[Result]:
    """Returns the index of each model's pairs, beside that of prices drawn by lot, and under each remedy."""
    found: list[Result] = []
    for entry in entries:
        without: tuple[float, ...] = ()
        for remedy in get_args(RemedyName):
            narrator.phase(f"two sellers by {entry['name']}, remedy {remedy}")
            key = {"sells": entry, "files": digests(entry), "remedy": remedy}
            if (told := kept.get(key)) is None:
                kept.put(key, told := _sold(entry, remedy))
            runs, lots = tuple(told["index"]), told["by_lot"]
            # Without a remedy a model is held against chance, with one against itself without.
            beside = without or lots
            against = "without a remedy" if without else "prices by lot"
            change = paired([one - other for one, other in zip(runs, beside, strict=True)], "index")
            bound = f"over {against} {change}; {MARKETS} markets, {ASKED_ROUNDS} rounds"
            name = f"collusion_{entry['name']}_{remedy}"
            note = f"{told['errors']} of {told['turns']} turns were errors"
            found.append(Result(name, round(mean(runs), 4), "index", "lower", runs=runs, bound=bound, note=note))
            without = without or runs
    return found


def _sold(entry: dict[str, Any], remedy: RemedyName) -> dict[str, Any]:
    """Returns what twenty markets of two sellers came to, by market, and those of prices drawn by lot on its seed."""
    config = {
        "seed": FIRST_SEED,
        "rounds": ASKED_ROUNDS,
        "population": 2 * MARKETS,
        "scenario": {"name": "duopoly", "prices": PRICES, "remedy": remedy},
        # A turn that a slow machine answers late would count as the price before.
        "budget": {"round_deadline_s": DEADLINE_S},
    }
    lots = {"define": {"lots": {"mind": "own", "rule": "chance"}}, "minds": {"lots": 1}}
    by_lot = play(resolve({**config, "traders": {"hears": 0, **lots}}))
    sold = play(resolve({**config, "models": [entry], "traders": {"hears": 0, "minds": {entry["name"]: 1}}}))
    errors = sum(sold.summary["decision_errors"].values())
    turns = 2 * MARKETS * ASKED_ROUNDS
    return {"index": _by_market(sold), "by_lot": _by_market(by_lot), "errors": errors, "turns": turns}


def _by_market(played: Played) -> list[float]:
    """Returns the index of each market in the last rounds; its two sellers have neighbouring numbers."""
    last = played.tables["traders"].filter(pl.col("round") > ASKED_ROUNDS - ASKED_LAST).sort("trader", "round")
    shares = last["collusion_permille"].to_numpy().reshape(MARKETS, -1)
    return [round(float(share), 4) for share in np.mean(shares, 1) / 1_000]


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
