"""Measures contract desks: planted defects that are named, who errs alike, and what a profile of five sets takes.

Contracts and rules of our own were written by one hand, so what is found in them says that the machinery works.
Standard contracts come from a folder of the user's own; none of it is kept here.
"""

from pathlib import Path
from statistics import median
from typing import Any

import yaml

from swarm.bench import contracts_data, contracts_minds, contracts_removed, contracts_reviewed
from swarm.bench.contracts_reviewed import FAMILIES, review
from swarm.bench.form import Result, share
from swarm.preflight import Narrator
from swarm.scenarios.contract.config import SAMPLES
from swarm.scenarios.contract.verdicts import NAMES

WHOLE_CONTRACT_TOKENS = 504_000
"""What one call for each of 41 questions with a whole contract takes, as ContractEval counts it (arXiv 2508.03080)."""


CASES = 120
"""Cases that models are asked about, by default."""


def measure(
    narrator: Narrator, data: Path, trained: Path | None = None, config: Path | None = None, cases: int = CASES
) -> list[Result]:
    """Returns all figures; those of standard contracts only where `data` has them. `trained` is a screener's file.

    Of a config every mind that asks models reads at most so many cases, too.
    """
    narrator.phase("reviewing our own contracts")
    results = _planted()
    narrator.phase("removing duties from a standard contract")
    results += contracts_removed.measure(data / "standard_contracts", _verdicts)
    narrator.phase("timing profiles of five sets")
    results += _profile(data / "standard_contracts")
    screener = contracts_data.screener_of(narrator, data, trained)
    narrator.phase("reviewing agreements that others have labelled")
    results += contracts_reviewed.labelled_agreements(data, screener)
    if config is not None:
        results += contracts_minds.measure(narrator, data, screener, config, cases)
    return [*results, *contracts_data.measure(narrator, data, screener)]


def _verdicts(contract: Path, rules: str) -> dict[str, str]:
    return review(contract, [rules], 6).verdicts(rules)


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
        views = contracts_reviewed.views(reviewed.desk.cases, FAMILIES)
        answers += [[view for view, _ in row] for row in views]
        sure += [[permille / 1_000 for _, permille in row] for row in views]
    told = (
        f"{together['left to a person']} left to a person, {together['void']} void; written by one hand with the rules"
    )
    results = [
        share("contracts_own_right_swarm", together["right"], len(truths), None, told),
        share("contracts_own_defects_named", together["named"], together["defects"], 1.0, ""),
        Result(
            "contracts_own_accused", together["accused"], "rules", "lower", 0, bound="rules in order that were accused"
        ),
    ]
    return [*results, *contracts_reviewed.alone("own", FAMILIES, answers, truths, sure, contract)]


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
