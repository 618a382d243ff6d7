"""Measures what a model is worth as a patron: beside a scripted gambit, deeds drawn by lot and none, on the same seeds.

The creatures are rules in every run, listeners among them, who remember who misled them. What counts is what a patron
has in the end, in its purse and at stake, less what it began with.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from swarm.bench.form import Result
from swarm.bench.kept import Kept, digests
from swarm.config_file import load, resolve
from swarm.coordination.intervals import paired_over
from swarm.errors import ConfigError, suggest
from swarm.figures import figure
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.simulation.dealings import ESCROW, PURSE, Dealings
from swarm.simulation.deeds import CENTS, Doer, Ground
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.parties.patron import THOUGHT
from swarm.simulation.party import Say

ROUNDS, TRADERS, PURSE_PEBBLES, AIM_PEBBLES, FIRST_SEED = 14, 30, 2_000, 2_500, 62_000
"""It is asked after each round but the first and the last: twelve times a run."""

LOT, NOTHING, GAMBIT = "by_lot", "nothing", "gambit"
POLICIES = {LOT: {"name": LOT, "temperament": "momentum"}, NOTHING: {"name": NOTHING, "temperament": "panic"}}
"""Scripted policies that answer the menu: with any letter, and with that of doing nothing."""

TRICK = {"good": "honey", "first_round": 3, "every_rounds": 5, "hearers": 6, "lots": 10, "rounds": 4}
"""The gambit in the sizes that the menu has, begun again once its short is over."""

_THOUGHT = re.compile(re.escape(THOUGHT) + r"(do nothing|nothing, [a-z ]+|sell|tell|lend|bribe|ally)\b.*")


class Books:
    """A watcher that keeps a patron's accounts, what it is owed, and what it chose."""

    def __init__(self) -> None:
        self.chosen: Counter[str] = Counter()
        self._dealings: Dealings | None = None

    def started(self, *_: object) -> None:
        """Takes no note of how a run begins."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Takes in a round's acts, and what is in the accounts after it."""
        names, plan = outcome.plan.market.named_accounts, outcome.plan
        if self._dealings is None:
            on = Ground(plan.scenario.goods, ("",), None, TRADERS, lambda trader: (0, trader), accounts=names)
            self._dealings = Dealings(Doer("patron", PURSE), on)
        for acted in (one for one in outcome.acted if one.party == "patron"):
            refused = dict(acted.refused)
            for number, act in enumerate(acted.acts):
                self._dealings.learn(act, 0, refused.get(number, ""))
                if isinstance(act, Say) and (found := _THOUGHT.fullmatch(act.text)):
                    self.chosen[found[1]] += 1
        self.purse, self.staked = (int(outcome.named_balances[names.index(name)][0]) for name in (PURSE, ESCROW))
        self.owed = sum(loan.left_cents for loan in self._dealings.loans.values())


def measure(
    seeds: int, narrator: Narrator, config: Path | None = None, only: Sequence[str] = (), keep: Path | None = None
) -> list[Result]:
    """Returns what each patron ends with more than it began with, and how much more than those beside it.

    The models are those of a config, or those of them that are named. What was played is kept in the file `keep`.
    """
    entries = _asked(config, only)
    arms: dict[str, Mapping[str, Any]] = {**POLICIES, GAMBIT: {}, **{entry["name"]: entry for entry in entries}}
    kept, found = Kept(keep), {}
    for name, entry in arms.items():
        runs = []
        for number in range(seeds):
            narrator.phase(f"the patron {name}, seed {number + 1} of {seeds}")
            runs.append(_played(name, entry, FIRST_SEED + number, kept))
        found[name] = runs
    results = []
    for name, runs in found.items():
        others = [other for other in (NOTHING, LOT, GAMBIT) if other != name]
        # A rule is held against nothing alone, and a model against each of them.
        beside = others if name not in (NOTHING, LOT, GAMBIT) else [other for other in others if other == NOTHING]
        results.append(_result(name, runs, {other: found[other] for other in beside}))
    return results


def _asked(path: Path | None, only: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the entries of a config's models, or those that are named; ConfigError where there is none."""
    if path is None:
        if only:
            raise ConfigError(f"--model {only[0]}", "expected a config that has it", "name the config by --config")
        return []
    entries = [model.model_dump(mode="json", exclude_unset=True) for model in load(path).models]
    names = [str(entry["name"]) for entry in entries]
    if not names:
        raise ConfigError(f"--config {path}", "expected models that play, got a config without any", "add one to it")
    for name in only:
        if name not in names:
            raise ConfigError(f"--model {name}", f"{path} has no such model{suggest(name, names)}", ", ".join(names))
    if taken := sorted({LOT, NOTHING, GAMBIT} & set(names)):
        raise ConfigError(f"--config {path}", f"{taken[0]!r} is a name of this benchmark", "call the model otherwise")
    return [entry for entry in entries if not only or entry["name"] in only]


def _played(name: str, entry: Mapping[str, Any], seed: int, kept: Kept) -> dict[str, Any]:
    """Returns the figures of one run, which is played where it is not kept."""
    config = played_by(name, entry, seed)
    key = {"patron": config, "files": digests(entry)}
    if (told := kept.get(key)) is None:
        books = Books()
        play(resolve(config), books)
        told = {"purse": books.purse, "staked": books.staked, "owed": books.owed, "chosen": dict(books.chosen)}
        kept.put(key, told)
    figures: dict[str, Any] = told
    return figures


def played_by(name: str, entry: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Returns the config of a run whose patron a model plays, or the gambit where there is no entry."""
    plays = {"model": name} if entry else {"gambit": TRICK}
    purse = {"purse_pebbles": PURSE_PEBBLES, "objective_pebbles": AIM_PEBBLES}
    return {
        "seed": seed,
        "rounds": ROUNDS,
        "population": TRADERS,
        "models": [dict(entry)] if entry else [],
        "traders": {
            "hears": 0,
            "memory": {"others": 6, "judge_rounds": 4},
            "define": {"listener": {"mind": "listener", "sways_permille": 300}},
            "minds": {"listener": 2, "truthful": 1, "zip": 1},
        },
        "parties": {"patron": {"party": "patron", **purse, **plays}},
    }


def _result(name: str, runs: Sequence[Mapping[str, Any]], beside: Mapping[str, Sequence[Mapping[str, Any]]]) -> Result:
    """Returns what a patron gained, with its differences to others on the same seeds."""
    gains = [_gain(run) for run in runs]
    told = [
        f"over {other} {_paired([one - _gain(run) for one, run in zip(gains, theirs, strict=True)])}"
        for other, theirs in beside.items()
    ]
    chosen: Counter[str] = Counter()
    for run in runs:
        chosen.update(run["chosen"])
    deeds = ", ".join(f"{deed} {count}" for deed, count in chosen.most_common())
    # A loan that is not due is neither in the purse nor at stake: what debtors still owe, at its face value.
    owed = mean(run["owed"] / CENTS for run in runs)
    note = "; ".join(filter(None, (f"chose {deeds}" if deeds else "", f"{owed:.0f} pebbles still owed to it")))
    bound = "; ".join([*told, f"{len(runs)} seeds, {ROUNDS} rounds"])
    return Result(f"patron_{name}", round(mean(gains), 2), "pebbles", "higher", None, tuple(gains), bound, note=note)


def _gain(run: Mapping[str, Any]) -> float:
    """Returns what is in the purse and at stake less what the purse began with, in pebbles."""
    cents: int = run["purse"] + run["staked"]
    return round(cents / CENTS - PURSE_PEBBLES, 2)


def _paired(differences: Sequence[float]) -> str:
    """Returns the mean difference with its 95% interval, by a bootstrap over seeds."""
    found = paired_over(np.arange(len(differences)), np.array(differences, dtype=np.float64))
    # Pebbles are cents, so none of the three is no number.
    middle, low, high = (float(value or 0.0) for value in found)
    none = ", which is none" if low <= 0 <= high else ""
    told = [figure(value, form="+,") for value in (middle, low, high)]
    return f"{told[0]} pebbles ({told[1]} to {told[2]}){none}"
