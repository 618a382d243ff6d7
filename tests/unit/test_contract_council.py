"""Councils in reviewers' seats: votes on the verdict, vetoes and quotations, as runs that replay."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.agents.votes import CouncilTurn, count
from swarm.config_file import resolve
from swarm.planning import compose, composed
from swarm.runtime.play import play
from swarm.scenarios.contract.ballot import MOST_SURE, ReviewBallot, VotedReviewForm
from swarm.scenarios.contract.desk import ContractDesk
from swarm.scenarios.contract.verdicts import CANT_TELL, CONTRADICTED, MET, MISSING, NOWHERE, Opinion
from swarm.scenarios.protocol import MarketState
from swarm.simulation.replay import replay
from tests.playing import Outcomes

MODELS = [
    {"name": "words", "engine": "scripted", "temperament": "value"},
    {"name": "again", "engine": "scripted", "temperament": "maker"},
    {"name": "fault", "engine": "scripted", "temperament": "panic"},
]


def config(members: list[Any]) -> Any:
    traders = {"hears": 0, "minds": {"three": 1}, "standing": {"max_rounds": 100}}
    return resolve(
        {
            "population": 12,
            "rounds": 4,
            "scenario": {"name": "contract", "rule_sets": ["nda"]},
            "models": MODELS,
            "traders": {**traders, "councils": [{"name": "three", "members": members}]},
        }
    )


def desk(members: list[Any], folder: Path | None = None) -> ContractDesk:
    found = play(config(members), Outcomes(), journals_in=folder).plan.run.scenario
    assert isinstance(found, ContractDesk)
    return found


def test_the_majority_of_a_council_files_one_finding_and_the_run_replays(tmp_path: Path) -> None:
    council, alone = desk(["fault", "words", "again"], tmp_path), desk(["words", "again"])
    # Two read alike and outvote the one that finds fault with everything.
    assert (council.reviews.verdict == alone.reviews.verdict).all()
    assert (council.reviews.start == alone.reviews.start).all()
    assert {MET, MISSING} <= set(council.reviews.verdict.ravel().tolist())
    assert set(council.reviews.sure.ravel().tolist()) <= {666, MOST_SURE}
    again = replay(tmp_path / "journal.swarm", composed)
    assert again.holds, again.mismatch


def test_who_oversees_vetoes_and_then_nobody_can_tell() -> None:
    vetoed = desk(["words", {"model": "fault", "role": "oversight"}]).reviews
    # The one that finds fault with everything never says that it cannot tell, so it vetoes nothing.
    assert (vetoed.verdict == desk(["words", "again"]).reviews.verdict).all()


@pytest.fixture(scope="module")
def ballot() -> tuple[ReviewBallot, Any]:
    plan = compose(config(["words", "again"])).run
    nothing = MarketState(np.zeros((12, 2), dtype=np.int64), np.ones(1, dtype=np.int64))
    form = plan.shard.forms["review"]
    assert isinstance(form, VotedReviewForm)
    return form.ballot(), plan.scenario.observe(1, nothing, None)


@pytest.mark.parametrize(
    ("votes", "verdict", "line", "sure"),
    [
        (("BB", "BA", "CA"), MET, 0, 666),
        (("DB", "DC", "DC"), CONTRADICTED, 1, MOST_SURE),
        (("CA", "CA", "bad_choice"), MISSING, None, MOST_SURE),
        (("AA", "AA", "BB"), CANT_TELL, None, 700),
        # A line that was not shown is no line.
        (("BI", "BI", "BI"), MET, None, MOST_SURE),
    ],
)
def test_votes_come_to_a_verdict_and_the_line_that_most_name(
    ballot: tuple[ReviewBallot, Any], votes: tuple[str, ...], verdict: int, line: int | None, sure: int
) -> None:
    own, seen = ballot
    turn = CouncilTurn(tuple((vote,) for vote in votes), (1_000,) * 3, -1, 7)
    (found,) = count([turn], "majority")
    shown = own._cases.shown(int(seen.private.columns["case"][0]))
    span = NOWHERE if line is None else shown[line]
    assert own.outcome(turn, found, seen, 0) == Opinion(verdict, span, sure)
    assert own.told("BB") == "A1" and own.told("AA") == "E" and own.told("CA") == "B"
