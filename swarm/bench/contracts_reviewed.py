"""Reviews contracts by a desk and by each family alone: who is right, how sure each may be, and who errs alike.

Agreements that others have labelled come from the user's copy of ContractNLI, on those of our rules that ask what one
of its statements says.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
import yaml

from swarm.agents.policies.review import answer
from swarm.bench.form import Result, share
from swarm.config_file import resolve
from swarm.coordination.failing_alike import failing_alike
from swarm.runtime.play import play
from swarm.scenarios.contract.cases import Cases
from swarm.scenarios.contract.desk import ContractDesk
from swarm.scenarios.contract.form import ReviewForm
from swarm.scenarios.contract.rule_sets import Rule, RuleSet, named
from swarm.scenarios.contract.rules import by_nearest, by_screener
from swarm.scenarios.contract.screener import Screener, save
from swarm.scenarios.contract.verdicts import (
    BY_REFERENCE,
    CANT_TELL,
    LETTERS,
    MET,
    NAMES,
    Opinion,
    by_patterns,
)
from swarm.simulation.loop import RoundOutcome
from swarm.training import labelled_contracts as labelled

FAMILIES = ("patterns", "nearest", "words")
TAUGHT = (*FAMILIES, "screener")
BIDS: Mapping[str, Mapping[str, Any]] = {
    "words": {"cents_per_1000_tokens": 1, "claim_permille": 800},
    "patterns": {"claim_permille": 900},
    "screener": {"claim_permille": 850, "reads": "topics"},
}
ASKED = "nda"
"""The set of ours whose rules ask what statements of ContractNLI say, as their topics name them."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A contract's review: its desk, and what the run took."""

    desk: ContractDesk
    tokens: int
    cpu_s: float

    def verdicts(self, set_id: str) -> dict[str, str]:
        """Returns the verdict of each rule of a set that applies."""
        cases = self.desk.cases
        return {
            cases.rule(case).id: NAMES[int(self.desk.reviews.final[case])]
            for case in np.flatnonzero(cases.applies).tolist()
            if cases.set_for(case).id == set_id
        }


class Tokens:
    """A watcher that counts the tokens of all calls."""

    def __init__(self) -> None:
        self.tokens = 0

    def started(self, *_: object) -> None:
        """Begins with none."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Adds a round's."""
        calls = outcome.gathered.turns.calls
        self.tokens += int(calls.prompt_tokens.sum() + calls.completion_tokens.sum())


def review(
    path: Path, sets: Sequence[str] = (), rounds: int = 16, population: int = 30, screener: Path | None = None
) -> Reviewed:
    """Returns the review of a contract by the families of configs/contract.yaml, and by a screener if there is one."""
    # From the file to the last verdict, in this process alone.
    began, tokens = process_time(), Tokens()
    families = TAUGHT if screener else FAMILIES
    own: dict[str, Any] = {name: {"mind": "own", "rule": name} for name in families if name != "words"}
    minds = dict.fromkeys(families, 1)
    config = resolve(
        {
            "name": "contract",
            "rounds": rounds,
            "population": population,
            "scenario": {
                "name": "contract",
                "contract": str(path),
                "rule_sets": list(sets),
                "screener": str(screener or ""),
                "reviewers": {name: dict(BIDS[name]) for name in families if name in BIDS},
            },
            "models": [{"name": "words", "engine": "scripted", "temperament": "value"}],
            "traders": {"hears": 0, "define": own, "minds": minds, "standing": {"max_rounds": 1_000}},
        }
    )
    desk = play(config, tokens).plan.run.scenario
    if not isinstance(desk, ContractDesk):
        raise TypeError("the scenario of a review is a contract desk")
    return Reviewed(desk, tokens.tokens, process_time() - began)


def alone(
    name: str,
    families: Sequence[str],
    said: Sequence[Sequence[int]],
    truth: Sequence[int],
    how_sure: Sequence[Sequence[float]],
    contract: Sequence[int],
) -> list[Result]:
    """Returns each family's share of right verdicts and its Brier score, and how many independent votes they are."""
    answers, sure = np.array(said), np.array(how_sure)
    # [rules, families]
    right = answers == np.array(truth)[:, None]
    results = []
    for family, own in enumerate(families):
        brier = float(np.mean((sure[:, family] - right[:, family]) ** 2))
        kind = "a rule in code, no language model"
        results.append(share(f"contracts_{name}_right_{own}", int(right[:, family].sum()), len(truth), None, kind))
        results.append(
            Result(f"contracts_{name}_brier_{own}", round(brier, 4), "", "lower", bound="how sure it says it is")
        )
    alike = failing_alike(answers, right, len(LETTERS), np.array(contract))
    n_eff = None if np.isnan(alike.n_eff) else round(alike.n_eff, 2)
    note = "" if n_eff is not None else "too few families erred to tell"
    return [*results, Result(f"contracts_{name}_n_eff", n_eff, "votes", "higher", bound=alike.sentence, note=note)]


def views(cases: Cases, families: Sequence[str]) -> list[list[tuple[int, int]]]:
    """Returns by rule that applies the verdict of each family, all of which read here, and how sure each says it is."""
    form, found = ReviewForm.__new__(ReviewForm), []
    form._cases = cases
    for case in np.flatnonzero(cases.applies).tolist():
        rule, index = cases.rule(case), cases.index_for(case)
        said = {"patterns": by_patterns(rule, index), "nearest": by_nearest(rule, index)}
        said["words"] = Opinion(LETTERS.index(answer(form.own(case))[0]))
        if (told := cases.told(case)) is not None:
            said["screener"] = by_screener(rule, index, told)
        found.append([(said[family].verdict, said[family].sure_permille) for family in families])
    return found


def labelled_agreements(data: Path, screener: Screener | None) -> list[Result]:
    """Returns how often the desk, and each family alone, is right of agreements that others have labelled."""
    if screener is None or screener.stances is None or labelled.NLI not in labelled.had(data):
        return [Result("contracts_nda_right_swarm", None, "share", "higher", note=f"there is no {data / labelled.NLI}")]
    _, agreements = labelled.nli(data)
    asked = [rule for rule in named(ASKED).rules if rule.topic in screener.stances.topics]
    with as_files(agreements, asked) as (texts, rules):
        kept = rules.with_name("screener.npz")
        save(kept, screener)
        reviewed = review(texts, [str(rules)], 24, 40 * len(TAUGHT), kept)
        said = views(reviewed.desk.cases, TAUGHT)
    of, truth = labels_of(reviewed.desk.cases, agreements)
    # [cases] what the desk came to.
    final = [int(verdict) for verdict in reviewed.desk.reviews.final]
    settled = [(one, wanted) for one, wanted in zip(final, truth, strict=True) if one != CANT_TELL]
    right = sum(_same(one, wanted) for one, wanted in settled)
    what = f"{len(asked)} rules, {len(agreements)} agreements"
    # A reference to another document counts as met, since the labels know no such verdict.
    alike = [[MET if view == BY_REFERENCE else view for view, _ in row] for row in said]
    sure = [[permille / 1_000 for _, permille in row] for row in said]
    return [
        share(
            "contracts_nda_right_swarm",
            right,
            len(final),
            None,
            f"{len(final) - len(settled)} left to a person; {what}",
        ),
        share("contracts_nda_right_where_settled", right, len(settled), None, "of what was not left to a person"),
        *alone("nda", TAUGHT, alike, truth, sure, of),
    ]


@contextmanager
def as_files(agreements: Sequence[labelled.Stated], asked: Sequence[Rule]) -> Iterator[tuple[Path, Path]]:
    """Yields a folder of agreements by their numbers, and the set of those rules that somebody has labelled."""
    with TemporaryDirectory() as scratch:
        texts, rules = Path(scratch) / "texts", Path(scratch) / "asked.yaml"
        texts.mkdir()
        for number, one in enumerate(agreements):
            (texts / f"{number:03d}.txt").write_text("\n\n".join(one.sentences), encoding="utf-8")
        told = RuleSet.model_dump(named(ASKED).model_copy(update={"rules": tuple(asked)}), mode="json")
        rules.write_text(yaml.safe_dump(told), encoding="utf-8")
        yield texts, rules


def labels_of(cases: Cases, agreements: Sequence[labelled.Stated]) -> tuple[list[int], list[int]]:
    """Returns [cases] the agreement of each, and the verdict that its label comes to."""
    # Contracts are named as they were numbered; the same text under two names is one.
    of = [int(Path(cases.document(case).name).stem) for case in range(len(cases))]
    rules = [cases.rule(case) for case in range(len(cases))]
    labels = [agreements[one].labels[rule.topic] for one, rule in zip(of, rules, strict=True)]
    return of, [labelled.verdict_of(label, rule.bars) for label, rule in zip(labels, rules, strict=True)]


def _same(verdict: int, wanted: int) -> bool:
    return verdict == wanted or (verdict == BY_REFERENCE and wanted == MET)
