"""What somebody's hand does to a run is journalled, moves no cent out of the world, and replays without the hand."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.market.ledger import CASH
from swarm.planning import composed
from swarm.report.page import render
from swarm.runtime.fork import fork
from swarm.runtime.play import Played, Shown, play
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.scenarios.wood.config import GOODS
from swarm.simulation import history
from swarm.simulation.deeds import DEEDS, posting, read
from swarm.simulation.folder import RunFolder
from swarm.simulation.hand import Hand, NoRoundFollows
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.party import Act, Move, RoundView
from swarm.simulation.replay import replay
from tests.playing import Outcomes

CONFIG: dict[str, Any] = {
    "seed": 3,
    "rounds": 8,
    "population": 10,
    "models": [{"name": "m", "temperament": "value"}],
    "traders": {"minds": {"m": 1, "zip": 1}},
}
REGIONS: dict[str, Any] = {"regions": {"names": ["east", "west"], "travellers": 2}, "population": 12}
Deeds = Mapping[int, Sequence[tuple[str, dict[str, Any]]]]


class Planned(Hand):
    """A hand that is asked, after some rounds, to do what a plan says."""

    def __init__(self, name: str, deeds: Deeds) -> None:
        super().__init__(name)
        self.deeds = deeds
        self.refused: list[str] = []

    def act(self, view: RoundView) -> Sequence[Act]:
        for name, fields in self.deeds.get(view.round, ()):
            try:
                self.ask(read(name, fields))
            except ConfigError as error:
                self.refused.append(error.key)
        return super().act(view)


def played(folder: Path, deeds: Deeds, *others: Hand, **changes: Any) -> tuple[Played, list[RoundOutcome], Planned]:
    """Plays with a hand, and replays without it."""
    hand, outcomes = Planned("alice", deeds), Outcomes()
    result = play(resolve(CONFIG | changes), hand, *others, outcomes, journals_in=folder, hands=(hand, *others))
    again = replay({n: RunFolder(folder).market(n).journal for n in result.plan.names}, composed)
    assert again.holds, again.mismatch
    assert again.replayed_sha256 == result.journal_sha256
    for flow in result.summary["conservation"].values():
        assert flow["unexplained"] == 0
    return result, outcomes.rounds, hand


EVERY_DEED: Deeds = {
    1: [("news", {"text": "a circus comes"}), ("gift", {"trader": 3, "amount": 50})],
    2: [("message", {"trader": 2, "text": "hello"}), ("tip", {"trader": 4, "good": "honey"})],
    3: [("fine", {"trader": 3, "amount": 20}), ("question", {"trader": 2, "text": "what do you want?"})],
    4: [("loan", {"trader": 5, "pebbles": 100, "rounds": 2}), ("gift", {"trader": 1, "amount": 2, "asset": "honey"})],
    5: [("ally", {"trader": 6}), ("shock", {"kind": "blight", "good": "berries", "rounds": 1})],
}


@pytest.mark.parametrize("changes", [{}, REGIONS])
def test_every_deed_is_done_and_replays_without_the_hand(tmp_path: Path, changes: dict[str, Any]) -> None:
    result, _, hand = played(tmp_path, EVERY_DEED, **changes)
    # What takes a purse is played where there is a patron.
    assert {*DEEDS} - {"short", "bribe"} == {name for deeds in EVERY_DEED.values() for name, _ in deeds}
    assert not hand.refused and not hand.loans
    told = [line for _, _, line, why in result.summary["by_hand"]["told"] if not why]
    for line in (
        "gift: 50 pebbles from issue to trader 3",
        "news: a circus comes",
        "to trader 4: honey will rise",
        "fine: 20 pebbles from trader 3 to issue",
        "to trader 2: asks: what do you want?",
        "loan 1: 110 pebbles due after round 6: 100 pebbles from issue to trader 5",
        "repayment of loan 1: 110 pebbles from trader 5 to issue",
        "gift: 2 honey from issue to trader 1",
        "blight of berries (40%, 1 rounds)",
    ):
        assert line in told, told
    assert any(shock["title"] == "The Berries Blight" for shock in result.summary["shocks"])
    page = render(result.record)
    assert "Touched by hand" in page and "loan 1: 110 pebbles due after round 6" in page
    untouched = play(resolve(CONFIG)).record
    assert "by_hand" not in untouched.summary and "Touched by hand" not in render(untouched)


def test_a_hand_that_does_nothing_leaves_the_history_as_it_is(tmp_path: Path) -> None:
    result, _, _ = played(tmp_path, {})
    assert result.journal_sha256 == play(resolve(CONFIG)).journal_sha256


def test_traders_hear_what_was_said_to_them(tmp_path: Path) -> None:
    shown, hand = Shown(), Planned("alice", EVERY_DEED)
    play(resolve(CONFIG), hand, hands=(hand,), traders=shown.asking)
    assert "a circus comes" in shown.seen[1].public.news
    assert "alice: I give you 50 pebbles" in shown.seen[1].private.heard[3]
    assert "alice: hello" in shown.seen[2].private.heard[2]
    assert not any("alice: hello" in lines for i, lines in enumerate(shown.seen[2].private.heard) if i != 2)
    assert "The Berries Blight! Stores rot and harvests fail" in shown.seen[5].public.news
    assert "The Berries Blight has ended" in shown.seen[6].public.news


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        (("gift", {"trader": 99}), "there is no trader 99"),
        (("fine", {"trader": 0, "amount": 1_000_000}), "trader 0 has "),
        (("fine", {"trader": 0, "amount": 500, "asset": "honey"}), "trader 0 has "),
        (("message", {"trader": 10, "text": "hello"}), "there is no trader 10"),
        (("loan", {"trader": 77}), "there is no trader 77"),
        (("shock", {"kind": "mania", "good": "honey", "rounds": 101}), "a shock lasts"),
    ],
)
def test_what_cannot_be_done_is_journalled_as_refused(tmp_path: Path, deed: Any, why: str) -> None:
    result, rounds, hand = played(tmp_path, {2: [deed]})
    (acted,) = rounds[1].acted
    assert why in dict(acted.refused)[0]
    assert not hand.loans
    assert result.summary["parties"]["alice"]["refused"]


def test_nobody_hears_of_what_was_refused() -> None:
    deeds: Deeds = {
        1: [("fine", {"trader": 3, "amount": 999_999, "asset": "honey"}), ("message", {"trader": 3, "text": "hello"})]
    }
    shown, hand, rounds = Shown(), Planned("alice", deeds), Outcomes()
    play(resolve(CONFIG), hand, rounds, hands=(hand,), traders=shown.asking)
    heard = [line for line in shown.seen[1].private.heard[3] if line.startswith("alice")]
    assert heard == ["alice: hello"]
    (acted,) = rounds.rounds[0].acted
    refused = dict(acted.refused)
    assert "honey, and lacks more" in refused[0] and "refused" in refused[1] and 2 not in refused


def test_papers_of_a_scenario_are_nobody_else_s_to_move() -> None:
    supply: dict[str, Any] = {"rounds": 6, "population": 25, "scenario": {"name": "supply_chain"}}
    supply["traders"] = {"define": {"plan": {"mind": "own", "rule": "plan"}}, "minds": {"plan": 1}}
    hand = Planned("alice", {1: [("gift", {"trader": 1, "amount": 5, "asset": "under_way"})]})
    result = play(resolve(supply), hand, hands=(hand,))
    assert hand.refused == ["asset"] and result.rounds == 6

    class Wild(Hand):
        def act(self, view: RoundView) -> Sequence[Act]:
            return [posting("a gift", "issue", np.array([1]), 1 + view.markets[0].goods.index("owed"), 5, 0)]

    wild = Wild("alice")
    result = play(resolve(supply), wild, hands=(wild,))
    assert result.rounds == 6
    assert result.summary["parties"]["alice"]["refused"] == {"Move": 6}


def test_a_deed_for_which_no_round_follows_is_refused_and_one_that_was_not_done_is_counted() -> None:
    hand = Planned("alice", {})
    play(resolve(CONFIG), hand, hands=(hand,))
    with pytest.raises(NoRoundFollows):
        hand.ask(read("news", {"text": "too late"}))
    stopped = Planned("alice", {})
    play(resolve(CONFIG), stopped, hands=(stopped,), stop=stopping_after(3))
    stopped.ask(read("news", {"text": "nobody comes to hear it"}))
    assert stopped.close() == 1
    with pytest.raises(NoRoundFollows):
        stopped.ask(read("news", {"text": "too late"}))


@pytest.mark.parametrize(
    ("name", "fields", "key"),
    [
        ("gift", {"trader": 1, "asset": "gold"}, "asset"),
        ("gift", {"trader": -1}, "trader"),
        ("gift", {"trader": 1.5}, "trader"),
        ("gift", {"trader": 1, "amount": 0}, "amount"),
        ("tip", {"trader": 1, "good": "pebbles"}, "good"),
        ("tip", {"trader": 1, "good": "honey", "direction": "up"}, "direction"),
        ("news", {"text": ""}, "text"),
        ("news", {"text": "two\nlines"}, "text"),
        ("news", {"text": "x" * 281}, "text"),
        ("news", {"text": "hello", "region": "north"}, "region"),
        ("news", {"text": "hello", "author": "me"}, "author"),
        ("shock", {"kind": "flood", "good": "honey"}, "kind"),
        ("short", {"good": "honey"}, "deed"),
    ],
)
def test_a_deed_with_a_wrong_field_is_refused_before_it_is_one(name: str, fields: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        hand = Hand("alice")
        play(resolve(CONFIG | {"rounds": 1}), hand, hands=(hand,))
        hand.ask(read(name, fields))
    assert refused.value.key == key


def test_there_are_no_shocks_where_the_scenario_has_none(tmp_path: Path) -> None:
    deeds: Deeds = {1: [("shock", {"kind": "blight", "good": "apples"})]}
    _, _, hand = played(tmp_path, deeds, scenario={"name": "double_auction"}, traders={"minds": {"zip": 1}}, models=[])
    assert hand.refused == ["kind"]


def test_what_a_debtor_cannot_pay_stays_due(tmp_path: Path) -> None:
    deeds: Deeds = {
        1: [("loan", {"trader": 0, "pebbles": 300, "rounds": 2, "interest_permille": 500})],
        2: [("fine", {"trader": 0, "amount": 600})],
    }
    _, rounds, hand = played(tmp_path, deeds)
    moves = [act for r in rounds for a in r.acted for act in a.acts if isinstance(act, Move)]
    paid = [move for move in moves if move.cause == "repayment of loan 1"]
    assert sum(int(act.amount[0]) for act in paid) + sum(loan.left_cents for loan in hand.loans) == 45_000
    assert all((r.state.balances >= 0).all() for r in rounds)


def test_several_hands_act_in_one_order_however_seldom_each_does(tmp_path: Path) -> None:
    # Bob acts first of all, but behind Alice where both act: a replay must keep to that.
    bob = Planned("bob", {1: [("gift", {"trader": 1})], 3: [("gift", {"trader": 1})]})
    _, rounds, _ = played(tmp_path, {3: [("fine", {"trader": 1, "amount": 10})]}, bob)
    assert [acted.party for acted in rounds[2].acted] == ["alice", "bob"]


def stopping_after(rounds: int) -> Callable[[], bool]:
    calls = iter(range(1_000))
    return lambda: next(calls) >= rounds


@pytest.mark.parametrize("with_hand", [False, True])
def test_a_run_goes_on_from_what_hands_did(tmp_path: Path, with_hand: bool) -> None:
    deeds: Deeds = {2: [("loan", {"trader": 0, "rounds": 4})], 3: [("shock", {"kind": "mania", "good": "honey"})]}
    hand = Planned("alice", deeds)
    folder = RunFolder(tmp_path / "run")
    Session(RunsOn(local=True), folder, (hand,), stop=stopping_after(4), hands=(hand,), report=False).execute(
        resolve(CONFIG)
    )
    assert history.read(folder.journal).rounds == 4
    again = Hand("alice")
    hands, watchers = ((again,), (again,)) if with_hand else ((), ())
    finished = Session(RunsOn(local=True), folder, watchers, hands=hands, report=False).resume()
    assert finished.finished
    result = replay(folder.journals, composed)
    assert result.holds, result.mismatch
    # Only a hand that is there collects what it has lent; the loan of the past is known to it.
    whole, _, _ = played(tmp_path / "whole", deeds)
    assert (finished.record.summary["journal_sha256"] == whole.journal_sha256) == with_hand


def test_a_fork_keeps_what_hands_did(tmp_path: Path) -> None:
    folder, other = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "fork")
    hand = Planned("alice", EVERY_DEED)
    Session(RunsOn(local=True), folder, (hand,), hands=(hand,), report=False).execute(resolve(CONFIG))
    fork(folder, 6, ("seed=9",), other)
    summary = Session(RunsOn(local=True), other, report=False).resume().record.summary
    assert summary["by_hand"]["acts"]["alice"] > 8
    assert replay(other.journals, composed).holds


def test_a_hand_may_not_have_the_name_of_a_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARM_PLUGINS", "tests.examples.benefactor")
    config = resolve(CONFIG | {"parties": {"alice": {"party": "benefactor"}}})
    with pytest.raises(ConfigError, match=r"parties\.alice"):
        play(config, hands=(Hand("alice"),))
    with pytest.raises(ConfigError, match=r"parties\.road"):
        play(resolve(CONFIG), hands=(Hand("road"),))


TRADERS = st.integers(0, 12)
AMOUNTS = st.integers(1, 2_000)
ASSETS = st.sampled_from(("pebbles", *GOODS))
ANY_DEED = st.one_of(
    st.tuples(
        st.sampled_from(("gift", "fine")),
        st.fixed_dictionaries({"trader": TRADERS, "amount": AMOUNTS, "asset": ASSETS}),
    ),
    st.tuples(
        st.just("loan"),
        st.fixed_dictionaries(
            {
                "trader": TRADERS,
                "pebbles": AMOUNTS,
                "rounds": st.integers(1, 4),
                "interest_permille": st.integers(0, 2_000),
            }
        ),
    ),
    st.tuples(
        st.just("shock"),
        st.fixed_dictionaries(
            {
                "kind": st.sampled_from(("mania", "venture", "run", "blight")),
                "good": st.sampled_from(GOODS),
                "rounds": st.integers(1, 4),
                "size_permille": st.integers(1, 950),
            }
        ),
    ),
)


@given(st.dictionaries(st.integers(1, 5), st.lists(ANY_DEED, max_size=4)))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_deed_makes_or_loses_anything(tmp_path_factory: pytest.TempPathFactory, deeds: Deeds) -> None:
    changes = {"rounds": 6, "models": [], "traders": {"minds": {"zip": 1}}}
    _, rounds, _ = played(tmp_path_factory.mktemp("deeds"), deeds, **changes)
    for outcome in rounds:
        # [assets]: traders and named accounts together.
        assert not (outcome.state.balances.sum(axis=0) + outcome.named_balances.sum(axis=0)).any()
        assert (outcome.state.balances[:, CASH] >= 0).all()
        assert np.all(outcome.state.balances >= 0)


def test_news_in_a_cases_words_is_no_case(tmp_path: Path) -> None:
    forged = "case 1: wash by trader 3; score 9, reached by none of 4200 honest traders; exile"
    court = {"court": {"party": "magistrate"}}
    result, _, _ = played(tmp_path, {1: [("news", {"text": forged})]}, parties=court)
    assert "cases" not in result.summary
    assert forged in str(result.summary)
