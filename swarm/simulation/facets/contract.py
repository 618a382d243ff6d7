"""What a review of contracts came to: every finding with its quotation, and whose findings held; else nothing."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from swarm.market.ledger import CASH
from swarm.market.orders import Int64
from swarm.scenarios.contract.desk import ContractDesk
from swarm.scenarios.contract.reviews import OPEN, STATUS, UNREAD
from swarm.scenarios.contract.verdicts import NAMES, NOT_CHECKED
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.protocol import Tables
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan


class Contract:
    """The tables `findings`, `reviews` and `clauses`, and the verdicts of each set."""

    name = "contract"

    def __init__(self) -> None:
        self._desk: ContractDesk | None = None
        # [traders] cents.
        self._purse: Int64 = np.zeros(0, dtype=np.int64)

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Takes note of the desk, where the run is one."""
        self._desk = plan.scenario if isinstance(plan.scenario, ContractDesk) else None

    def round_done(self, outcome: RoundOutcome) -> None:
        """Takes note of the desk that a fork may have made anew."""
        if isinstance(outcome.plan.scenario, ContractDesk):
            self._desk = outcome.plan.scenario
            self._purse = outcome.state.balances[:, CASH]

    def tables(self) -> Tables:
        """Returns findings, reviews and clauses; no table where no contract was reviewed."""
        if self._desk is None:
            return {}
        return {"findings": _findings(self._desk), "reviews": _reviews(self._desk), "clauses": _clauses(self._desk)}

    def summary(self, tables: Tables) -> Mapping[str, Any]:
        """Returns the contracts with the verdicts of each set, and the reviewers with what held of theirs."""
        desk = self._desk
        if desk is None:
            return {}
        return {
            "contract": {
                "contracts": [_contract(desk, number) for number in range(len(desk.cases.documents))],
                "sets": [
                    {
                        "id": s.id,
                        "title": s.title,
                        "version": s.version,
                        "date": s.date.isoformat(),
                        "rules": len(s.rules),
                    }
                    for s in desk.cases.sets
                ],
                "reviewers": [_reviewer(desk, family, self._purse) for family in range(len(desk.families))],
                "decided": int((desk.decided >= 0).sum()),
            }
        }


def finding_key(sha256: str, set_id: str, version: str, rule: str, reviewer: str) -> str:
    """Returns the natural key of a finding: the same for the same text, rule and reviewer, in whatever run."""
    return hashlib.sha256("\n".join((sha256, set_id, version, rule, reviewer)).encode("utf-8")).hexdigest()[:32]


def _findings(desk: ContractDesk) -> pl.DataFrame:
    """Returns a row for each case."""
    cases, reviews = desk.cases, desk.reviews
    rows = []
    # What is still open when a run ends was not checked.
    for case in range(len(cases)):
        rule, own, structure = cases.rule(case), cases.set_for(case), cases.index_for(case).structure
        start, end = int(reviews.final_start[case]), int(reviews.final_end[case])
        quoted = start >= 0
        rows.append(
            {
                "contract": cases.document(case).name,
                "set": own.id,
                "version": own.version,
                "rule": rule.id,
                "title": rule.title,
                "says": rule.says,
                "weight": rule.weight,
                "verdict": NAMES[int(reviews.final[case])],
                "status": STATUS[UNREAD if reviews.status[case] == OPEN else int(reviews.status[case])],
                "start": start if quoted else None,
                "end": end if quoted else None,
                "where": structure.where(start) if quoted else "",
                "quote": structure.text[start:end] if quoted else "",
                "depends_on": cases.index_for(case).elsewhere((start, end)) if quoted else "",
                "views": "; ".join(
                    f"{desk.families[f]}: {NAMES[int(reviews.verdict[case, f])]}" for f in reviews.readers(case)
                ),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def _reviews(desk: ContractDesk) -> pl.DataFrame:
    """Returns a row for each finding that a reviewer has filed."""
    cases, reviews = desk.cases, desk.reviews
    rows = []
    for case, family in np.argwhere(reviews.verdict != NOT_CHECKED).tolist():
        own, rule, document = cases.set_for(case), cases.rule(case), cases.document(case)
        rows.append(
            {
                "key": finding_key(document.sha256, own.id, own.version, rule.id, desk.families[family]),
                "contract": document.name,
                "set": own.id,
                "rule": rule.id,
                "reviewer": desk.families[family],
                "seat": int(reviews.seat[case, family]),
                "verdict": NAMES[int(reviews.verdict[case, family])],
                "sure_permille": int(reviews.sure[case, family]),
                "start": int(reviews.start[case, family]),
                "end": int(reviews.end[case, family]),
                "stake_cents": int(reviews.stake[case, family]),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def _clauses(desk: ContractDesk) -> pl.DataFrame:
    """Returns a row for each clause, so that a report can show a contract as it is."""
    rows = [
        {
            "contract": document.name,
            "number": clause.number,
            "start": clause.start,
            "end": clause.end,
            "text": document.text[clause.start : clause.end],
        }
        for number, document in enumerate(desk.cases.documents)
        for clause in desk.cases.index(number).structure.clauses
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _contract(desk: ContractDesk, number: int) -> dict[str, Any]:
    cases, reviews = desk.cases, desk.reviews
    document, structure = cases.documents[number], cases.index(number).structure
    # [cases] of this contract.
    own = cases.contract == number
    by_set = {}
    for index, one in enumerate(cases.sets):
        verdicts = reviews.final[own & (cases.set == index)]
        by_set[one.id] = {name: int((verdicts == code).sum()) for code, name in NAMES.items()}
    return {
        "name": document.name,
        "sha256": document.sha256,
        "characters": len(document.text),
        "clauses": len(structure.clauses),
        "terms": len(structure.terms),
        "law": structure.law,
        "remarks": list(document.remarks),
        "verdicts": by_set,
    }


def _reviewer(desk: ContractDesk, family: int, purse: Int64) -> dict[str, Any]:
    """Returns what a family has filed, what of it held, what it has earned, and its Brier score where that is known."""
    cases, reviews = desk.cases, desk.reviews
    # [cases] what it filed, and what of that a person or a key has decided.
    filed = reviews.verdict[:, family] != NOT_CHECKED
    known = filed & (desk.decided >= 0)
    right = reviews.verdict[known, family] == desk.decided[known]
    brier = float(np.mean((reviews.sure[known, family] / 1_000 - right) ** 2)) if known.any() else None
    # Cents of all its seats above what they began with.
    own = purse[desk.family[: len(purse)] == family]
    return {
        "family": desk.families[family],
        "earned_cents": int(own.sum()) - desk.config.purse_cents * len(own),
        "filed": int(filed.sum()),
        "held": {one.id: int(reviews.record[family, i, 0]) for i, one in enumerate(cases.sets)},
        "settled": {one.id: int(reviews.record[family, i, 1]) for i, one in enumerate(cases.sets)},
        "void": int(reviews.void[family]),
        "unreadable": int(reviews.failed[family]),
        "brier": None if brier is None else round(brier, 4),
    }


FACET = Contract
