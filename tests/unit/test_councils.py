"""Councils: votes that count, votes that are missing, what members were worth, and one history however it is run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from swarm.agents.config import CouncilConfig
from swarm.agents.decision import DecisionError
from swarm.agents.votes import NEVER_SURE, CouncilTurn, Count, count
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.planning import compose, composed
from swarm.report.sections.councils import councils
from swarm.runtime.fork import fork
from swarm.runtime.play import Played, play
from swarm.runtime.ports import IN_THIS_PROCESS
from swarm.runtime.run import Session
from swarm.simulation.council_outcomes import LEAST_CALLS, Judged, doubt_permille
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.record import RunRecord
from swarm.simulation.replay import replay
from tests.playing import Moody, Outcomes

NOBODY: frozenset[int] = frozenset()
MODELS = [
    {"name": f"m-{t}", "temperament": t, "form": "menu"} for t in ("value", "momentum", "maker", "hoarder", "panic")
]
MEMBERS = [m["name"] for m in MODELS]


def config(**council: Any) -> Any:
    seats = {"name": "five", "members": MEMBERS, **council}
    traders = {"councils": [seats], "minds": {"five": 3, "m-value": 1}}
    return resolve({"seed": 5, "rounds": 4, "population": 12, "models": MODELS, "traders": traders})


def turn(*votes: str | Sequence[str], weights: Sequence[int] = (), alone: int = -1, drawn: int = 1) -> CouncilTurn:
    by_member = tuple((vote,) if isinstance(vote, str) and vote else tuple(vote) for vote in votes)
    return CouncilTurn(by_member, tuple(weights) or (1_000,) * len(votes), alone, drawn)


def counted(
    one: CouncilTurn, rule: str, actions: int, overseers: frozenset[int] = NOBODY, doubt_permille: int = 0
) -> Count:
    return count([replace(one, doubt_permille=doubt_permille)], rule, overseers, actions)[0]


def test_most_votes_win_and_the_first_who_voted_for_it_speaks() -> None:
    found = counted(turn("CB", "BA", "CA"), "majority", 4, NOBODY)
    assert (found.action, found.letters) == (2, "CB")


def test_weights_outvote_heads_and_a_member_may_be_followed_alone() -> None:
    votes = ("BA", "CA", "CA")
    assert counted(turn(*votes, weights=(3_000, 1_000, 1_000)), "weighted", 4, NOBODY).action == 1
    assert counted(turn(*votes), "weighted", 4, NOBODY).action == 2
    assert counted(turn(*votes, alone=0), "weighted", 4, NOBODY).action == 1
    # Who is followed but did not vote leaves the others to count.
    assert counted(turn("late", "CA", "CA", alone=0), "weighted", 4, NOBODY).action == 2


def test_a_weight_below_zero_speaks_against_and_never_for_what_nobody_chose() -> None:
    assert counted(turn("BA", "BA", "CA", weights=(-2_000, -2_000, 100)), "weighted", 5, NOBODY).action == 2
    assert counted(turn("BA", weights=(-2_000,)), "weighted", 5, NOBODY).action == 1


def test_the_most_self_consistent_member_wins() -> None:
    votes = turn(("BA", "CA", "DA"), ("EA", "EA", "EA"), ("BA", "BA", "CA"))
    assert counted(votes, "confident", 6, NOBODY).action == 4


def test_errors_are_missing_votes_and_nobody_is_an_error() -> None:
    some = turn("engine_timeout", "CA", "bad_choice")
    assert counted(some, "majority", 4, NOBODY).action == 2
    assert some.faults == (DecisionError.ENGINE_TIMEOUT, DecisionError.BAD_CHOICE)
    assert counted(turn("late", "bad_choice"), "majority", 4, NOBODY).action is None
    # A letter beyond the menu is no vote.
    assert counted(turn("JA", "BA"), "majority", 4, NOBODY).action == 1


def test_oversight_vetoes_and_does_not_vote() -> None:
    overseers = frozenset({2})
    vetoed = counted(turn("BA", "BA", "AA"), "majority", 4, overseers)
    assert (vetoed.action, vetoed.vetoed) == (0, True)
    assert counted(turn("BA", "BA", "CA"), "majority", 4, overseers).action == 1
    assert counted(turn("late", "late", "CA"), "majority", 4, overseers).action is None


def test_a_council_abstains_where_it_is_not_sure() -> None:
    split = turn("BA", "CA", "DA")
    assert counted(split, "majority", 4, NOBODY, doubt_permille=600).abstained
    assert not counted(turn("BA", "BA", "BA"), "majority", 4, NOBODY, doubt_permille=600).abstained
    # What the votes of all are worth says nothing of one that is followed.
    assert counted(turn("BA", "CA", "DA", alone=1), "weighted", 4, NOBODY, doubt_permille=NEVER_SURE).action == 2
    assert counted(turn("late", "CA", "DA", alone=0), "weighted", 4, NOBODY, doubt_permille=NEVER_SURE).abstained


def test_turns_are_counted_together_as_each_alone() -> None:
    turns = [turn("BA", "CA"), turn("late", ""), turn(("CA", "CB"), "BA", weights=(1, 2)), turn("BA", "CA", alone=1)]
    assert count(turns, "weighted") == [counted(one, "weighted", 11) for one in turns]


def test_ties_are_drawn_and_not_given_to_the_first() -> None:
    winners = {counted(turn("BA", "CA", drawn=d), "majority", 4, NOBODY).action for d in range(20)}
    assert winners == {1, 2}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", '[2,[["BA"]],[1000],-1,1,0]', '[2,[["BA"],[3]],[1,1],-1,1,0]',
     '[2,[["BA"],["BA"]],[1,"x"],-1,1,0]', '[2,[["BA"],["BA"]],[1,1],2,1,0]', '[2,[["BA"],["BA"]],[1,1],-1,-5,0]',
     '[2,[["BA"],["BA"]],[1,1],-1,1,1002]', '[1,[["BA"],["BA"]],[1,1],-1,1,0]',
     '[2,[["BA"],["BA"]],[1,1],-1,1]', "[" * 5_000],
)  # fmt: skip
def test_what_is_no_turn_of_a_council_is_refused(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        CouncilTurn.from_text(text, 2)


def test_a_turn_reads_as_it_was_written() -> None:
    one = turn(("BA", "late"), "", weights=(1_500, -3), alone=1, drawn=2**62)
    assert CouncilTurn.from_text(one.to_text(), 2) == one


def test_a_council_doubts_by_how_often_its_winners_were_right() -> None:
    # Winners of a probability of 0.9 were right in half of the turns, those of 0.6 in none.
    seen = [(0.9, n % 2 == 0) for n in range(20)] + [(0.6, False)] * 20
    assert doubt_permille(401, seen) == 841
    assert doubt_permille(600, seen) == NEVER_SURE
    assert doubt_permille(0, seen) == 0
    # The same votes added up in another order are no surer than they were.
    same = [(0.9 + 1e-15 * n, n > 10) for n in range(20)]
    assert doubt_permille(460, same) == NEVER_SURE
    assert doubt_permille(450, same) == 0
    assert doubt_permille(400, seen[: LEAST_CALLS - 1]) == 400


def test_a_run_learns_when_to_doubt_and_a_replay_counts_the_same(tmp_path: Path) -> None:
    found, rounds = played(tmp_path, abstain_permille=300)
    doubts = [
        {CouncilTurn.from_text(text, 5).doubt_permille for text in one.gathered.turns.text if text.startswith("[2")}
        for one in rounds
    ]
    # Eight turns are judged in a round, so that the fourth is the first with more than twenty.
    assert doubts[:3] == [{300}] * 3
    assert doubts[3] and doubts[3] != {300}
    assert found.summary["councils"]["five"]["abstained"] > 0


@pytest.mark.parametrize(("asked", "followed", "doubt"), [(0, 4, 0), (600, -1, NEVER_SURE)])
def test_one_is_followed_only_where_it_is_right_as_often_as_is_asked_for(asked: int, followed: int, doubt: int) -> None:
    rounds = Outcomes()
    play(config(rule="weighted", abstain_permille=asked).model_copy(update={"seed": 2}), rounds)
    last = CouncilTurn.from_text(rounds.rounds[-1].gathered.turns.take(rows_of(rounds.rounds[-1], "five")).text[0], 5)
    assert (last.alone, last.doubt_permille) == (followed, doubt)


def test_what_a_council_does_not_decide_by_its_votes_teaches_no_doubt() -> None:
    rounds = Outcomes()
    play(config(rule="weighted", abstain_permille=300).model_copy(update={"seed": 2}), rounds)
    judged = [one for outcome in rounds.rounds for one in outcome.judged if isinstance(one, Judged)]
    sure = [one.sure for one in judged if one.sure]
    # The fourth round follows one member alone, which is no vote that is sure.
    assert len(sure) == len(judged) == 4 * 8
    assert all(probability < 1 for probability, _ in sure)
    passing = Outcomes()
    play(config(), passing, clients={name: Moody("passes") for name in MEMBERS})
    assert not any(one.sure for outcome in passing.rounds for one in outcome.judged if isinstance(one, Judged))


def rows_of(outcome: RoundOutcome, mind: str) -> Any:
    turns = outcome.gathered.turns
    return np.array([i for i, name in enumerate(turns.mind_names) if name == mind])


def played(tmp_path: Path, **council: Any) -> tuple[Played, list[RoundOutcome]]:
    rounds = Outcomes()
    found = play(config(**council), rounds, journals_in=tmp_path)
    again = replay(tmp_path / "journal.swarm", composed)
    assert again.holds, again.mismatch
    return found, rounds.rounds


@pytest.mark.parametrize("rule", ["majority", "weighted", "confident", "dawid_skene"])
def test_all_members_are_asked_and_billed_and_the_run_replays(rule: str, tmp_path: Path) -> None:
    samples = 2 if rule == "confident" else 1
    found, rounds = played(tmp_path, rule=rule, samples=samples)
    for outcome in rounds:
        turns = outcome.gathered.turns
        own = turns.take(rows_of(outcome, "five"))
        assert np.bincount(own.calls.turn).tolist() == [5 * samples] * 9
        assert not any(outcome.gathered.decisions.errors)
    council = found.summary["councils"]["five"]
    assert (council["turns"], council["met"], council["judged"]) == (4 * 9, 4 * 9, 4 * 8)
    assert (council["failed"], council["missing_votes"]) == (0, 0)
    assert set(council["of_member"]) == set(MEMBERS)
    sampled = council["best_single_sampled"]
    # These members say the same however often they are asked.
    single = council["of_member"][council["best_single"]]
    assert (sampled and sampled["accuracy"]) == (single["accuracy"] if samples > 1 else None)
    assert found.tables["votes"].height == 4 * 8 * 5


def test_members_see_the_menu_in_orders_of_their_own(tmp_path: Path) -> None:
    _, rounds = played(tmp_path)
    digests = rounds[0].gathered.turns.calls.prompt_digest
    assert len({*digests.tolist()}) == len(digests)


def test_a_council_meets_in_its_share_of_turns_and_where_the_first_two_differ(tmp_path: Path) -> None:
    half, _ = played(tmp_path / "half", when={"share_of_turns": 0.5})
    council = half.summary["councils"]["five"]
    assert 0.3 < council["met"] / council["turns"] < 0.7
    _, rounds = played(tmp_path / "differ", when={"disagreement": True})
    asked = {*np.concatenate([np.bincount(o.gathered.turns.calls.turn) for o in rounds]).tolist()}
    assert asked == {1, 2, 5}
    never, _ = played(tmp_path / "never", when={"stake_ticks": 10**9})
    assert never.summary["councils"]["five"]["met"] == 0


def test_failed_members_are_missing_votes_and_all_failed_is_a_lost_turn() -> None:
    moods = dict(zip(MEMBERS, ("fails", "babbles", "passes", "raises", "fails"), strict=True))
    rounds = Outcomes()
    one = config()
    found = play(one, rounds, clients={name: Moody(mood) for name, mood in moods.items()})
    council = found.summary["councils"]["five"]
    assert found.rounds == 4
    assert council["missing_votes"] == 4 * council["turns"] == 4 * 4 * 9
    lost = play(one, clients={name: Moody("fails") for name in MEMBERS})
    assert lost.summary["councils"]["five"]["nobody_voted"] == 4 * 9
    assert lost.summary["decision_errors"]["engine_timeout"] == 4 * 12


@pytest.mark.parametrize(
    ("council", "key", "word"),
    [
        ({"members": ["m-value", "nobody"]}, "members", "nobody"),
        ({"members": ["m-value"]}, "members", "2"),
        ({"members": ["m-value", "m-value"]}, "councils", "samples"),
        ({"members": "m-value"}, r"councils\.0\.members", "list"),
        ({"members": ["m-value", {"model": "m-maker", "role": "boss"}]}, r"members\.1\.role", "oversight"),
        ({"members": ["m-value", {"model": "m-maker", "weight": -1}]}, r"members\.1\.weight", "role"),
        ({"rule": "loudest"}, "rule", "majority"),
        ({"rule": "confident"}, r"councils\.0", "samples"),
        ({"name": "m-value"}, "councils", "another"),
        ({"half_life_calls": 0}, "half_life_calls", "1"),
        ({"when": {"share_of_turns": 2}}, "share_of_turns", "1"),
    ],
)
def test_a_council_that_cannot_be_is_refused_with_its_key(council: dict[str, Any], key: str, word: str) -> None:
    with pytest.raises(ConfigError, match=key) as caught:
        config(**council)
    assert word in str(caught.value) and "\n" not in str(caught.value)


def test_members_answer_by_menu() -> None:
    orders = [{"name": "plain", "temperament": "value"}, *MODELS]
    council = {"name": "five", "members": ["plain", "m-value"]}
    with pytest.raises(ConfigError, match="menu"):
        compose(resolve({"models": orders, "traders": {"councils": [council], "minds": {"five": 1}}}))


def test_a_name_that_is_a_role_has_it() -> None:
    council = CouncilConfig(name="five", members=("analyst", "oversight", "m-value"))
    assert [seat.role for seat in council.seats] == ["analyst", "oversight", None]


def test_where_the_governor_asks_a_cheaper_model_it_decides_alone_and_is_billed() -> None:
    dear = [{**m, "usd_per_million_prompt_tokens": 40.0} for m in MODELS]
    spare = {"name": "spare", "temperament": "value", "form": "menu", "usd_per_million_prompt_tokens": 1.0}
    traders = {"councils": [{"name": "five", "members": MEMBERS}], "minds": {"five": 1}}
    budget = {"run_usd": 0.2}
    rounds = Outcomes()
    found = play(
        resolve({"rounds": 6, "population": 10, "models": [*dear, spare], "traders": traders, "budget": budget}), rounds
    )
    usd = found.summary["tokens"]["usd"]
    assert usd["spare"] > 0 and sum(usd.values()) <= 0.2
    for outcome in rounds.rounds:
        turns = outcome.gathered.turns
        asked = np.bincount(turns.calls.turn, minlength=len(turns))
        by_spare = {turns.models[m] for m in turns.calls.model.tolist()} == {"spare"}
        assert not by_spare or set(asked.tolist()) == {1}


def test_a_fork_with_other_members_keeps_both_councils_apart(tmp_path: Path) -> None:
    parent, child = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "fork")
    Session(IN_THIS_PROCESS, parent, report=False).execute(config())
    fork(parent, 2, ("traders.councils.0.members=[m-value, m-maker]",), child)
    found = Session(IN_THIS_PROCESS, child, report=False).resume().record.summary["councils"]
    assert {name: (len(of["members"]), of["turns"], of["failed"]) for name, of in found.items()} == {
        "five in rounds 1 to 2": (5, 2 * 9, 0),
        "five in rounds 3 to 4": (2, 2 * 9, 0),
    }


def test_plans_of_runs_have_the_models_of_their_councils() -> None:
    assert {m.name for m in compose(config()).run.models} == set(MEMBERS)


def test_the_report_says_in_words_and_figures_who_was_right_and_how_alike_members_failed() -> None:
    judged = {
        "rule": "majority", "turns": 9, "judged": 9, "accuracy": 0.25, "regret_ticks": 3.0, "best_single": "a",
        "against_best_single": [-0.125, -0.25, 0.0], "of_member": {"a": {"accuracy": 0.375, "regret_ticks": 2.0}},
        "error_correlation": 0.5, "n_eff": 1.6, "all_wrong": 0.5, "all_wrong_if_independent": 0.2,
        "all_wrong_ratio": [2.5, 2.0, 3.0], "same_wrong_answer": None, "same_wrong_by_chance": 0.1,
        "failed_alike": "These minds failed alike.",
    }  # fmt: skip
    often = {"times": 3, "accuracy": 0.5, "regret_ticks": 1.0, "against": [-0.25, -0.5, -0.1]}
    few = judged | {"n_eff": None, "all_wrong_ratio": [None, None, None], "best_single_sampled": often}
    summary = {"councils": {"five": judged, "few": few, "idle": {"rule": "majority", "judged": 0}}}
    _, right, sampled, alike = councils(cast(RunRecord, SimpleNamespace(summary=summary)))
    assert "12.5 points less often" in right.caption
    assert "no difference; one run is one seed" in right.caption
    assert "Each member was asked once" in right.caption
    assert "a asked 3 times, few was right 25.0 points less often (-50.0 to -10.0)" in sampled.caption
    assert ("a, most of 3 answers", "50.0%", "1.0") in sampled.rows
    assert [row[0] for row in alike.rows] == ["five", "few"]
    assert alike.rows[0][1:] == ("0.50", "1.60", "50.0%", "20.0%", "2.50 (2.00 to 3.00)", "cannot be told", "10.0%")
    assert alike.rows[1][2] == alike.rows[1][5] == "cannot be told"
