"""Measures contract desks: planted defects that are named, who errs alike, and what a profile of five sets takes.

Contracts and rules of our own were written by one hand, so what is found in them says that the machinery works.
Standard contracts come from a folder of the user's own; none of it is kept here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
import yaml

from swarm.agents.policies.review import answer
from swarm.bench import contracts_data
from swarm.bench.form import Result
from swarm.config_file import resolve
from swarm.coordination.failing_alike import failing_alike
from swarm.coordination.intervals import wilson
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.scenarios.contract.cases import Cases
from swarm.scenarios.contract.clauses import Structure
from swarm.scenarios.contract.config import SAMPLES
from swarm.scenarios.contract.desk import ContractDesk
from swarm.scenarios.contract.form import ReviewForm
from swarm.scenarios.contract.rules import by_nearest
from swarm.scenarios.contract.verdicts import LETTERS, NAMES, by_patterns
from swarm.simulation.loop import RoundOutcome

WHOLE_CONTRACT_TOKENS = 504_000
"""What one call for each of 41 questions with a whole contract takes, as ContractEval counts it (arXiv 2508.03080)."""

FAMILIES = ("patterns", "nearest", "words")
BIDS = {"words": {"cents_per_1000_tokens": 1, "claim_permille": 800}, "patterns": {"claim_permille": 900}}
READING = "dpa_art28_reading.json"
BAD = {"missing", "contradicted"}
MAPPED: Mapping[str, tuple[str, ...]] = {
    "28-3-intro": ("D01", "D02"),
    "28-3-a": ("D03",),
    "28-3-c": ("D06",),
    "28-2-4-d": ("D08", "D09", "D11"),
    "28-3-e": ("D12",),
    "28-3-f": ("D13", "D15"),
    "28-3-g": ("D16",),
    "28-3-h": ("D17", "D18"),
}
"""Our rules for each requirement of Article 28(3) as the reading numbers them."""


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


class _Tokens:
    """A watcher that counts the tokens of all calls."""

    def __init__(self) -> None:
        self.tokens = 0

    def started(self, *_: object) -> None:
        """Begins with none."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Adds a round's."""
        calls = outcome.gathered.turns.calls
        self.tokens += int(calls.prompt_tokens.sum() + calls.completion_tokens.sum())


def review(path: Path, sets: Sequence[str] = (), rounds: int = 16) -> Reviewed:
    """Returns the review of a contract by the three families of configs/contract.yaml."""
    # From the file to the last verdict, in this process alone.
    began, tokens = process_time(), _Tokens()
    own: dict[str, Any] = {name: {"mind": "own", "rule": name} for name in FAMILIES[:2]}
    minds = dict.fromkeys(FAMILIES, 1)
    config = resolve(
        {
            "name": "contract",
            "rounds": rounds,
            "population": 30,
            "scenario": {
                "name": "contract",
                "contract": str(path),
                "rule_sets": list(sets),
                "reviewers": BIDS,
            },
            "models": [{"name": "words", "engine": "scripted", "temperament": "value"}],
            "traders": {"hears": 0, "define": own, "minds": minds, "standing": {"max_rounds": 1_000}},
        }
    )
    desk = play(config, tokens).plan.run.scenario
    if not isinstance(desk, ContractDesk):
        raise TypeError("the scenario of a review is a contract desk")
    return Reviewed(desk, tokens.tokens, process_time() - began)


def measure(narrator: Narrator, data: Path) -> list[Result]:
    """Returns all figures; those of standard contracts only where `data` has them."""
    narrator.phase("reviewing our own contracts")
    results = _planted()
    narrator.phase("removing duties from a standard contract")
    results += _removed(data / "standard_contracts")
    narrator.phase("timing profiles of five sets")
    results += _profile(data / "standard_contracts")
    return [*results, *contracts_data.measure(narrator, data)]


def _planted() -> list[Result]:
    """Returns how often each family, and all of them together, are right of our own contracts."""
    # The key names what is planted; of the other rules each is met.
    key: dict[str, Any] = yaml.safe_load((SAMPLES / "key.yaml").read_text(encoding="utf-8"))
    names = {name: code for code, name in NAMES.items()}
    answers, truths, sure, contract = [], [], [], []
    together = {"right": 0, "left to a person": 0, "accused": 0, "defects": 0, "named": 0, "void": 0}
    for number, (name, own) in enumerate(sorted(key.items())):
        reviewed = review(SAMPLES / name, [own["set"]], 6)
        together["void"] += int(reviewed.desk.reviews.void.sum())
        for rule, verdict in reviewed.verdicts(own["set"]).items():
            wanted = own["defects"].get(rule, "met")
            together["right"] += verdict == wanted
            together["left to a person"] += verdict == "can't tell"
            together["accused"] += wanted == "met" and verdict in {"missing", "contradicted"}
            together["defects"] += wanted != "met"
            together["named"] += wanted != "met" and verdict == wanted
            truths.append(names[wanted])
            contract.append(number)
        # Here every family reads every rule, so that their errors can be compared.
        views = _views(reviewed.desk.cases)
        answers += [[view for view, _ in row] for row in views]
        sure += [[permille / 1_000 for _, permille in row] for row in views]
    told = (
        f"{together['left to a person']} left to a person, {together['void']} void; written by one hand with the rules"
    )
    results = [
        _share("contracts_own_right_swarm", together["right"], len(truths), None, told),
        _share("contracts_own_defects_named", together["named"], together["defects"], 1.0, ""),
        Result(
            "contracts_own_accused", together["accused"], "rules", "lower", 0, bound="rules in order that were accused"
        ),
    ]
    return [*results, *_alone(np.array(answers), np.array(truths), np.array(sure), np.array(contract))]


def _alone(answers: Any, truths: Any, sure: Any, contract: Any) -> list[Result]:
    """Returns each family's share of right verdicts and its Brier score, and how many independent votes they are."""
    # [rules, families]
    right = answers == truths[:, None]
    results = []
    for family, name in enumerate(FAMILIES):
        brier = float(np.mean((sure[:, family] - right[:, family]) ** 2))
        kind = "a rule in code, no language model"
        results.append(_share(f"contracts_own_right_{name}", int(right[:, family].sum()), len(truths), None, kind))
        results.append(
            Result(f"contracts_own_brier_{name}", round(brier, 4), "", "lower", bound="how sure it says it is")
        )
    alike = failing_alike(answers, right, len(LETTERS), contract)
    n_eff = None if np.isnan(alike.n_eff) else round(alike.n_eff, 2)
    note = "" if n_eff is not None else "too few families erred to tell"
    return [*results, Result("contracts_own_n_eff", n_eff, "votes", "higher", bound=alike.sentence, note=note)]


def _views(cases: Cases) -> list[list[tuple[int, int]]]:
    """Returns by rule that applies the verdict of each family, all of which read here, and how sure each says it is."""
    form, found = ReviewForm.__new__(ReviewForm), []
    form._cases = cases
    for case in np.flatnonzero(cases.applies).tolist():
        rule, index = cases.rule(case), cases.index_for(case)
        by_code = [by_patterns(rule, index), by_nearest(rule, index)]
        said = LETTERS.index(answer(form.own(case))[0])
        found.append([*((one.verdict, one.sure_permille) for one in by_code), (said, 700)])
    return found


def _share(name: str, hits: int, of: int, aim: float | None, told: str) -> Result:
    low, high = wilson(hits, of)
    said = f"{hits} of {of}, 95% {low:.3f} to {high:.3f}" + (f"; {told}" if told else "")
    return Result(name, round(hits / of, 4), "share", "higher", aim, bound=said)


def _removed(folder: Path) -> list[Result]:
    """Returns how many duties are named that were taken out of a standard contract, and how many others accused."""
    names = ("contracts_removed_named", "contracts_removed_accused")
    contract, reading = folder / "DPA.md", folder / READING
    if not contract.exists() or not reading.exists():
        note = f"there is no {contract}; --data names the folder that has it"
        return [Result(name, None, "share", "higher", note=note) for name in names]
    text = contract.read_text(encoding="utf-8")
    told = json.loads(reading.read_text(encoding="utf-8"))["requirements"]
    # The whole agreement first, to know what was there.
    before = review(contract, ["data"], 6).verdicts("data")
    named = wanted = accused = kept = 0
    with TemporaryDirectory() as scratch:
        for one in told:
            rules = MAPPED.get(one["id"], ())
            if not one["sections"] or not rules:
                continue
            shorter = Path(scratch) / f"{one['id']}.md"
            shorter.write_text(without(text, one["sections"]), encoding="utf-8")
            after = review(shorter, ["data"], 6).verdicts("data")
            # What was there before must be missing now, and what was not touched must be as it was.
            was = [rule for rule in rules if before[rule] in {"met", "by reference"}]
            wanted += len(was)
            named += sum(after[rule] == "missing" for rule in was)
            # Sections serve several requirements, so only rules of requirements that share none are counted as kept.
            own = set(one["sections"])
            apart = [o["id"] for o in told if o["sections"] and not own & set(o["sections"])]
            others = [rule for name in apart for rule in MAPPED.get(name, ())]
            kept += len(others)
            accused += sum(after[r] in BAD and before[r] not in BAD for r in others)
    how = "the rules for processing were written with this contract at hand, so this is no held-out figure"
    low, high = wilson(accused, kept)
    return [
        _share(names[0], named, wanted, 1.0, how),
        Result(
            names[1],
            round(accused / kept, 4),
            "share",
            "lower",
            0,
            bound=f"{accused} of {kept}, 95% {low:.3f} to {high:.3f}",
        ),
    ]


def without(text: str, sections: Sequence[str]) -> str:
    """Returns a contract without these sections, and without what stands under them."""
    # From the end on, so that offsets before a cut stay right.
    for clause in reversed(Structure(text).clauses):
        if any(clause.number == one or clause.number.startswith(f"{one}.") for one in sections):
            text = text[: clause.start] + text[clause.end :]
    return text


def _profile(folder: Path) -> list[Result]:
    """Returns CPU and tokens of five sets, 120 rules, on our own contracts and on the standard ones that are there."""
    theirs = [path for path in sorted(folder.glob("*.md")) if path.name != "SOURCE.md"]
    paths = [*sorted(SAMPLES.glob("*.md")), *theirs]
    reviews = [review(path) for path in paths]
    seconds, tokens = [one.cpu_s for one in reviews], [one.tokens for one in reviews]
    longest = max(len(one.desk.cases.documents[0].text) for one in reviews)
    told = f"median of {len(paths)} contracts of up to {longest:,} characters, most {max(seconds):.2f}; rules in code"
    used = f"median; most {max(tokens):,}, {max(tokens) / WHOLE_CONTRACT_TOKENS:.1%} of {WHOLE_CONTRACT_TOKENS:,}"
    aim = WHOLE_CONTRACT_TOKENS // 20
    return [
        Result("contracts_profile_cpu_s", round(median(seconds), 3), "s", "lower", 5, bound=told),
        Result("contracts_profile_tokens", median(tokens), "tokens", "lower", aim, bound=used),
    ]
