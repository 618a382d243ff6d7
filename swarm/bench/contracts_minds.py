"""Measures minds that are models as reviewers: on cases that others have labelled, beside the screener and the rules.

Each mind of a config reads all cases alone, as it would in a seat of a desk. A mind that is right no more often than
whoever always gives the commonest verdict is said to be at chance.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np
import numpy.typing as npt

from swarm.bench.contracts_reviewed import TAUGHT, Tokens, as_files, labels_of, views
from swarm.bench.form import Result, share
from swarm.config_file import load
from swarm.errors import ConfigError
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.scenarios.contract import SCENARIO
from swarm.scenarios.contract.desk import ContractDesk
from swarm.scenarios.contract.rule_sets import named
from swarm.scenarios.contract.screener import Screener, save
from swarm.scenarios.contract.verdicts import BY_REFERENCE, MET, NAMES, NOT_CHECKED
from swarm.training import labelled_contracts as labelled

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

DRAWS = 2_000
"""Times that agreements are drawn anew for an interval."""


def measure(narrator: Narrator, data: Path, screener: Screener | None, config: Path, most: int) -> list[Result]:
    """Returns what each mind of a config is right on, of at most so many cases, and what all others are on the same."""
    if labelled.NLI not in labelled.had(data) or screener is None or screener.stances is None:
        return [Result("contracts_cases", None, "share", "higher", note=f"there is no {data / labelled.NLI}")]
    asked = [rule for rule in named("nda").rules if rule.topic in screener.stances.topics]
    _, agreements = labelled.nli(data)
    # Spread evenly over the test, whole agreements.
    some = agreements[:: max(1, -(-len(agreements) * len(asked) // most))]
    with as_files(some, asked) as (texts, rules):
        kept = rules.with_name("screener.npz")
        save(kept, screener)
        overrides = (
            f"scenario.contract={texts}",
            f"scenario.screener={kept}",
            f'scenario.rule_sets=["{rules}"]',
            "scenario.tries=1",
            "rounds=8",
            f"population={-(-len(some) * len(asked) // 6)}",
        )
        read = {}
        for name in _minds(config):
            narrator.phase(f"{name} reads {len(some) * len(asked)} cases")
            read[name] = _read(config, (*overrides, f'traders.minds={{"{name}": 1}}'))
        cases = next(iter(read.values()))[0].cases
        # [cases, reviewers in code, verdict and how sure]
        beside = np.array(views(cases, TAUGHT))
    of, truth = (np.array(own) for own in labels_of(cases, some))
    commonest = Counter(truth.tolist()).most_common(1)[0][0]
    always = truth == commonest
    told = f"always {NAMES[commonest]}; {len(asked)} rules, {len(set(of.tolist()))} test agreements of ContractNLI"
    results = [share(f"contracts_{len(truth)}_cases_commonest", int(always.sum()), len(truth), None, told)]
    for name, (desk, tokens, cpu_s) in read.items():
        said, sure = desk.reviews.verdict[:, 0], desk.reviews.sure[:, 0] / 1_000
        unread = f"{int((said == NOT_CHECKED).sum())} not answered, {tokens / len(truth):.0f} tokens"
        results += _told(name, said, sure, truth, always, of, f"{unread}, {cpu_s / len(truth):.2f} CPU-s a case")
    for at, name in enumerate(TAUGHT):
        said, sure = beside[:, at, 0], beside[:, at, 1] / 1_000
        results += _told(name, said, sure, truth, always, of, "a rule in code, no language model")
    return results


def _minds(config: Path) -> list[str]:
    """Returns the minds of a config that ask models; ConfigError where it is no contract desk, or has none."""
    found = load(config, own=True)
    if found.scenario["name"] != SCENARIO.name:
        raise ConfigError("--config", f"{config}: expected a scenario of name contract, whose minds can review")
    own = {name for name, section in found.traders.define.items() if section.get("mind") == "own"}
    if not (names := [name for name in found.traders.minds if name not in own]):
        raise ConfigError("--config", f"{config}: expected a mind that asks a model", "name it under traders.minds")
    return names


def _read(config: Path, overrides: Sequence[str]) -> tuple[ContractDesk, int, float]:
    """Returns the desk of a run in which one mind has read all cases, its tokens, and its CPU seconds."""
    began, tokens = process_time(), Tokens()
    desk = play(load(config, tuple(overrides), own=True), tokens).plan.run.scenario
    if not isinstance(desk, ContractDesk):
        raise TypeError("the scenario of a review is a contract desk")
    return desk, tokens.tokens, process_time() - began


def _told(name: str, said: Int64, sure: Float64, truth: Int64, always: Mask, of: Int64, told: str) -> list[Result]:
    """Returns the share that is right, beside the commonest verdict's, and the Brier score of a reviewer."""
    # A reference to another document counts as met, since the labels know no such verdict.
    right = np.where(said == BY_REFERENCE, MET, said) == truth
    each = [right[truth == one].mean() for one in np.unique(truth)]
    low, high = _more(right, always, of)
    chance = "above chance" if low > 0 else "at chance" if high >= 0 else "below chance"
    beyond = f"{right.mean() - always.mean():+.3f} over it ({low:+.3f} to {high:+.3f}), {chance}"
    told = f"{beyond}; mean over verdicts {np.mean(each):.3f}; {told}"
    called = f"contracts_{len(truth)}_cases"
    brier = float(np.mean((np.where(said == NOT_CHECKED, 0.0, sure) - right) ** 2))
    return [
        share(f"{called}_right_{name}", int(right.sum()), len(truth), None, told),
        Result(f"{called}_brier_{name}", round(brier, 4), "", "lower", bound="how sure it says it is"),
    ]


def _more(right: Mask, always: Mask, of: Int64) -> tuple[float, float]:
    """Returns the 95% interval of how much more is right, by a bootstrap over agreements."""
    agreements = np.unique(of)
    more = np.array([(right[of == one].astype(int) - always[of == one]).mean() for one in agreements])
    drawn = np.random.default_rng(0).integers(0, len(agreements), (DRAWS, len(agreements)))
    low, high = np.quantile(more[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
