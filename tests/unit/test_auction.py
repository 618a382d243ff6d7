"""Auctions in a run: bids, juries and work that are paid, bids that are missing, one history however it is run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.agents.drafts import claim_permille
from swarm.agents.forms.menus import Action, Menu
from swarm.config_file import resolve
from swarm.coordination.assignment import OWN
from swarm.coordination.bids import Award, Bid, Brief, Round, Terms, Work, parts, provisional, read_turn, settled
from swarm.errors import ConfigError
from swarm.explain import explain
from swarm.llm import engines
from swarm.monitoring.hub import Hub
from swarm.planning import compose, composed
from swarm.preflight import check_extras
from swarm.report.sections.auctions import auctions as section
from swarm.runtime.fork import fork
from swarm.runtime.play import Played, play
from swarm.runtime.ports import IN_THIS_PROCESS
from swarm.runtime.run import Session
from swarm.simulation import history
from swarm.simulation.compute import COMPUTE
from swarm.simulation.folder import RunFolder
from swarm.simulation.journal import JournalReader
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.replay import replay
from tests.playing import Moody, Outcomes, SplitTraders

TIERS = [
    {"model": "cheap", "cents_per_1000_tokens": 0.5},
    {"model": "dear", "cents_per_1000_tokens": 3.6},
]
MODELS = [
    {"name": "cheap", "temperament": "panic", "form": "menu"},
    {"name": "dear", "temperament": "value", "form": "menu"},
]
REGIONS = {"regions": {"names": ["east", "west"], "travellers": 2}, "population": 24}
STEPS = {"population": [{"from_round": 1, "traders": 16}, {"from_round": 4, "traders": 9}]}


def config(staffing: dict[str, Any] | None = None, **changes: Any) -> Any:
    own = {"name": "auction", "rounds": 3, "training_auctions": 10, "tiers": TIERS} | (staffing or {})
    traders = {"minds": {"auction": 3, "zip": 1}, "staffing": own}
    whole = {"seed": 6, "rounds": 10, "population": 16, "models": MODELS, "traders": traders}
    return resolve(whole | changes)


def played(folder: Path, *args: Any, **changes: Any) -> tuple[Played, list[RoundOutcome]]:
    """Plays ten rounds, and replays them from the journals alone."""
    rounds = Outcomes()
    found = play(config(*args, **changes), rounds, journals_in=folder)
    again = replay({name: RunFolder(folder).market(name).journal for name in found.plan.names}, composed)
    assert again.holds, again.mismatch
    return found, rounds.rounds


def records(outcome: RoundOutcome) -> list[Award | Work]:
    turns = outcome.gathered.turns
    return [read_turn(text, 2) for text, mind in zip(turns.text, turns.mind_names, strict=True) if mind == "auction"]


@pytest.mark.parametrize("changes", [{}, REGIONS, STEPS])
def test_bids_juries_and_work_are_paid_to_the_last_cent(tmp_path: Path, changes: dict[str, Any]) -> None:
    found, rounds = played(tmp_path, **changes)
    price = {tier["model"]: tier["cents_per_1000_tokens"] for tier in TIERS}
    cents = 0.0
    for outcome in rounds:
        turns, calls = outcome.gathered.turns, outcome.gathered.turns.calls
        tokens = calls.prompt_tokens + calls.completion_tokens
        cents += float((tokens * np.array([price[m] for m in turns.models])[calls.model]).sum()) / 1_000
    told = found.summary["compute"]
    # Only the parts of a cent that each trader still owes are not paid yet.
    assert 0 <= cents - told["paid_cents"] - told["unpaid_cents"] < outcome.plan.traders
    cash = next(iter(found.summary["conservation"].values()))
    assert cash["in_other_accounts"][COMPUTE] == told["paid_cents"] > 0
    assert cash["unexplained"] == 0
    auction = found.summary["auction"]
    assert auction["bids_cents"] + auction["work_cents"] == pytest.approx(cents, abs=1)


def test_all_bid_at_the_beginning_of_a_term_and_the_winner_works_alone(tmp_path: Path) -> None:
    found, rounds = played(tmp_path)
    tier: list[int] = []
    for outcome in rounds:
        made, turns = records(outcome), outcome.gathered.turns
        if outcome.round % 3 == 1:
            assert all(isinstance(one, Award) for one in made)
            tier = [one.winner for one in made if isinstance(one, Award)]
            assert outcome.gathered.chosen is None
        else:
            assert [one.tier for one in made if isinstance(one, Work)] == tier
            assert [turns.models[i] for i in turns.calls.model.tolist()] == [("cheap", "dear")[t] for t in tier]
            assert outcome.gathered.chosen is not None and OWN not in outcome.gathered.chosen.model.tolist()
    auction = found.summary["auction"]
    assert auction["auctions"] == 4 * 12
    assert {name: one["awards"] for name, one in auction["tiers"].items()}.keys() == {"cheap", "dear"}
    assert found.tables["auctions"]["traders"].sum() == 10 * 12
    assert "No auction can pay here" in auction["can_pay"]


def test_memory_holds_what_was_realised_and_tells_cheaper_tiers(tmp_path: Path) -> None:
    found, rounds = played(tmp_path)
    asked = [one for outcome in rounds for one in records(outcome) if isinstance(one, Award) and one.refined]
    assert len(asked) == found.summary["auction"]["refined"] > 0
    # Only the cheaper tier bids again, and a winner by that is another bid than the first.
    assert all(not one.refined.bids[1].made for one in asked if one.refined)
    _, without = played(tmp_path / "without", {"memory": False})
    assert not any(one.refined for outcome in without for one in records(outcome) if isinstance(one, Award))


@pytest.mark.parametrize("shards", [1, 8])
def test_a_run_does_not_depend_on_how_its_traders_are_spread(shards: int) -> None:
    one = config()
    clients = {m.name: engines.in_process(m) for m in compose(one).run.models}
    split = play(one, traders=lambda plan, _: SplitTraders(plan.shard, clients, shards, True))
    assert split.journal_sha256 == play(one).journal_sha256


def test_a_run_that_stopped_goes_on_to_the_same_journal(tmp_path: Path) -> None:
    asked = iter([False] * 5 + [True] * 100)
    folder = RunFolder(tmp_path / "run")
    Session(IN_THIS_PROCESS, folder, stop=lambda: next(asked), report=False).execute(config())
    assert 0 < history.read(folder.market("").journal).rounds < 10
    finished = Session(IN_THIS_PROCESS, folder, report=False).resume()
    assert finished.record.summary["journal_sha256"] == play(config()).journal_sha256


@pytest.mark.parametrize("mood", ["fails", "late", "babbles", "raises"])
def test_bidders_that_fail_are_missing_bids_and_never_a_lost_round(mood: str) -> None:
    one = config({"memory": False})
    clients = {m.name: engines.in_process(m) for m in compose(one).run.models}
    rounds = Outcomes()
    found = play(one, rounds, clients=clients | {"dear": Moody(mood)})
    auction = found.summary["auction"]
    assert found.rounds == 10
    assert auction["missing_bids"] == auction["auctions"] == auction["tiers"]["cheap"]["awards"]
    assert not any(outcome.gathered.decisions.errors[0] for outcome in rounds.rounds)


def test_where_nobody_bids_the_turn_is_lost_and_the_work_is_bid_for_again() -> None:
    one = config()
    found = play(one, clients={m.name: Moody("fails") for m in compose(one).run.models})
    auction = found.summary["auction"]
    assert auction["nobody_bid"] == auction["auctions"] == 10 * 12
    assert found.summary["decision_errors"]["engine_timeout"] == 10 * 12


def test_a_reply_is_never_taken_for_an_auction() -> None:
    forged = settled("t", Round((Bid("AA", "p", 5, 1_000),) * 2, ("", "")), None, np.ones(2), Terms.alike(2)).to_text()
    assert read_turn(Work(1, forged).to_text(), 2) == Work(1, forged)


BIDS = Round((Bid("BA", "sell", 100, 700), Bid("CB", "buy", 100, 1_000)), ("B", "C"))
PRICE = np.array([1.0, 10.0])


def test_an_award_reads_as_it_was_written() -> None:
    again = Round((Bid("CA", "buy", 120, 1_000, 500), Bid("")), ("C", ""))
    award = settled("make berries", BIDS, again, PRICE, Terms((100, 0, 500, 200, 200)))
    assert (award.winner, award.by_refined, award.won.letters) == (0, True, "CA")
    assert read_turn(award.to_text(), 2) == award


def test_a_missing_bid_cannot_win_and_a_missing_judge_leaves_its_weight_to_others() -> None:
    silent = Round((Bid("engine_timeout"), Bid("CB", "buy", 100, 300)), ("", ""))
    assert settled("", silent, None, PRICE, Terms.alike(2)).winner == 1
    assert np.isnan(parts(silent, PRICE)[0, 0]).all()
    assert provisional(Round((Bid("late"), Bid("late")), ("", "")), PRICE, Terms.alike(2)) == (-1, ())
    assert provisional(BIDS, PRICE, Terms((0, 0, 1_000, 0, 0))) == (1, (0,))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "[2,2,\"AA\"]", "[2,true,\"AA\"]", '[1,"t",[null,null],[1,1,1,1,1],0,false]', "[" * 5_000,
     '[1,"t",[[[["BA","p",1,1,-1]],[""]],null],[1,1,1,1,1],0,false]',
     '[1,"t",[[[["BA","p",1,9999,-1],["BA","p",1,1,-1]],["",""]],null],[1,1,1,1,1],0,false]',
     '[1,"t",[[[["late","",1,-1,-1],["BA","p",1,1,-1]],["",""]],null],[1,1,1,1,1],0,false]',
     '[1,"t",[[[["BA","p",1,1,-1],["BA","p",1,1,-1]],["",""]],null],[1,1,1,1],0,false]',
     '[1,"t",[[[["BA","p",1,1,-1],["BA","p",1,1,-1]],["",""]],null],[1,1,1,1,1],0,true]'],
)  # fmt: skip
def test_what_is_no_turn_of_an_auction_is_refused(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        read_turn(text, 2)


def test_a_claim_is_what_the_engine_expects_over_the_best_of_the_menu() -> None:
    def claims(*expected: int) -> list[int]:
        menu = Menu(tuple(Action((), expected=one) for one in expected), ("(nothing)",))
        return [claim_permille(menu, letter) for letter in "ABCD"[: len(expected)]]

    assert claims(0, 40, 30, -5) == [0, 1_000, 750, 0]
    # Where nothing is expected to gain, passing claims all that there is, and a loss nothing.
    assert claims(0, -7, 0) == [1_000, 0, 1_000]


def test_only_those_are_told_of_memory_that_it_knows_something_for() -> None:
    brief = Brief(Terms.alike(2), {3: (("won by",), ())})
    assert (brief.of(3, 0), brief.of(3, 1), brief.of(4, 0)) == (("won by",), (), ())


@pytest.mark.parametrize(
    ("staffing", "key", "word"),
    [
        ({"tiers": [TIERS[0], {"model": "nobody", "cents_per_1000_tokens": 1}]}, r"traders\.staffing", "nobody"),
        ({"tiers": TIERS[:1]}, r"traders\.staffing\.tiers", "2"),
        ({"tiers": [TIERS[0], TIERS[0]]}, r"traders\.staffing", "one model"),
        ({"tiers": [TIERS[0], {"model": "dear"}]}, r"traders\.staffing\.tiers\.1\.cents_per_1000_tokens", "missing"),
        ({"tiers": [TIERS[0], {"model": "dear", "cents_per_1000_tokens": 0}]}, r"tiers\.1\.cents_per_1000", "greater"),
        ({"weights": {"cost": -0.1, "claim": 1.0}}, r"traders\.staffing\.weights\.cost", "0"),
        ({"weights": {"cost": 0.9, "claim": 0.9}}, r"traders\.staffing\.weights", "sum to 1"),
        ({"weights": {"cost": 0.5, "claim": 0.1, "entropy": 0.4}}, r"traders\.staffing", "drafts"),
        ({"weights": {"cost": 0.5, "claim": 0.1, "jury": 0.4}, "jury": False}, r"traders\.staffing", "jury"),
        ({"tier": TIERS}, r"traders\.staffing\.tier", "tiers"),
        ({"rounds": 0}, r"traders\.staffing\.rounds", "expected"),
    ],
)
def test_an_auction_that_cannot_be_is_refused_with_its_key(staffing: dict[str, Any], key: str, word: str) -> None:
    with pytest.raises(ConfigError, match=key) as caught:
        config(staffing)
    assert word in str(caught.value) and "\n" not in str(caught.value)


def test_somebody_must_have_the_mind_and_tiers_answer_by_menu() -> None:
    staffing = {"name": "auction", "tiers": TIERS}
    with pytest.raises(ConfigError, match=r"traders\.minds.*auction"):
        resolve({"models": MODELS, "traders": {"minds": {"cheap": 1}, "staffing": staffing}})
    assert resolve({"models": MODELS, "traders": {"staffing": staffing}}).minds == {"auction": 1}
    orders = [{**m, "form": "orders"} for m in MODELS]
    with pytest.raises(ConfigError, match=r"traders\.staffing.*menu"):
        play(resolve({"models": orders, "rounds": 1, "population": 8, "traders": {"staffing": staffing}}))


def test_fitting_needs_the_extra_and_named_weights_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"traders\.staffing\.name.*scipy.*auction"):
        check_extras(config())
    check_extras(config({"weights": {"cost": 0.2, "claim": 0.8}}))


def test_named_weights_hold_from_the_start() -> None:
    rounds = Outcomes()
    play(config({"weights": {"cost": 1.0, "claim": 0.0}}), rounds)
    awards = [one for outcome in rounds.rounds for one in records(outcome) if isinstance(one, Award)]
    assert {one.winner for one in awards} == {0}
    assert {one.weights_permille for one in awards} == {(1_000, 0, 0, 0, 0)}


def test_a_fork_that_changes_nothing_goes_the_same_way(tmp_path: Path) -> None:
    # After round 5 a term is under way, and the memory holds the auctions of the first one.
    parent, child = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "fork")
    Session(IN_THIS_PROCESS, parent, report=False).execute(config())
    fork(parent, 5, (), child)
    Session(IN_THIS_PROCESS, child, report=False).resume()
    entries = [list(JournalReader(folder.market("").journal)) for folder in (parent, child)]
    assert [one for one in entries[1] if one[0] != "Forked"] == entries[0]


def test_the_keys_are_explained_and_the_report_has_a_section(tmp_path: Path) -> None:
    keys = {key.key: key for key in explain("wood")}
    assert "pays" in keys["traders.staffing[auction].tiers[].cents_per_1000_tokens"].meaning
    assert "traders.staffing[auction].weights.cost" in keys
    found = Session(IN_THIS_PROCESS, RunFolder(tmp_path / "run"), report=False).execute(config())
    figure, tiers, came_to = section(found.record)
    assert [row[0] for row in tiers.rows] == ["cheap", "dear"]  # type: ignore[union-attr]
    assert "auction can pay here" in came_to.caption
    assert json.dumps(figure.panels[0].data)  # type: ignore[union-attr]


def test_calls_awards_vetoes_and_what_was_paid_are_metrics(tmp_path: Path) -> None:
    council = {"name": "three", "members": ["dear", "cheap", {"model": "dear", "role": "oversight"}]}
    own = {"name": "auction", "rounds": 3, "training_auctions": 10, "tiers": TIERS}
    traders = {"councils": [council], "minds": {"auction": 1, "three": 1}, "staffing": own}
    one = config(traders=traders, rounds=4)
    hub = Hub(compose(one).run, "this process", tmp_path)
    found = play(one, hub)
    shown = {
        (sample.name, *(value for label, value in sample.labels.items() if label != "run")): sample.value
        for family in hub.collect()
        for sample in family.samples
    }
    assert shown["swarm_compute_cents",] == found.summary["compute"]["paid_cents"] > 0
    tiers = found.summary["auction"]["tiers"]
    assert {t: shown["swarm_awards_total", t] for t in tiers} == {t: of["awards"] for t, of in tiers.items()}
    assert shown["swarm_vetoes_total", "three"] == found.summary["councils"]["three"]["vetoed"]
    # Each member is called once in each turn of the council, and the dear one sits in it twice.
    assert shown["swarm_mind_calls_total", "three", "dear"] == 2 * shown["swarm_mind_calls_total", "three", "cheap"]
    assert not any(name[:2] == ("swarm_mind_calls_total", "dear") for name in shown)
