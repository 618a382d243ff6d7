"""The duopoly: its benchmarks, the rules that sit in it, what learners come to, and what goes through the ledger."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize

from swarm.agents.decision import DecisionError
from swarm.bench.collusion import in_the_market, of_models
from swarm.bench.kept import Kept
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.market.ledger import CASH
from swarm.planning import compose, composed
from swarm.runtime.play import Shown, play
from swarm.runtime.run import SILENT
from swarm.scenarios.duopoly.demand import COST, Benchmarks, competitive_price, demand, profit
from swarm.scenarios.duopoly.learning import QUICK, learn
from swarm.scenarios.duopoly.remedy import WARNING, Remedy
from swarm.simulation.replay import replay
from tests.playing import Outcomes

SELLER = {"name": "seller", "temperament": "value"}
RULES = ("best_reply", "grim", "q_learner", "chance")


def config(minds: dict[str, int], **more: Any) -> RunConfig:
    define = {name: {"mind": "own", "rule": name} for name in RULES}
    keys: dict[str, Any] = {"seed": 3, "rounds": 12, "population": 8, "models": [SELLER]}
    scenario = {"name": "duopoly"} | more.pop("scenario", {})
    return resolve(keys | {"scenario": scenario, "traders": {"hears": 0, "define": define, "minds": minds}} | more)


def test_benchmarks_are_the_published_ones_and_an_optimisers() -> None:
    marks = Benchmarks.of_two()
    found = (marks.competitive_price, marks.cartel_price, marks.competitive_profit, marks.cartel_profit)
    assert [round(value, 4) for value in found] == [1.4729, 1.9250, 0.2229, 0.3375]
    # Nash: the best reply to its own price; cartel: the maximum of the sum.
    rival = marks.competitive_price
    reply = scipy.optimize.minimize_scalar(lambda p: -profit(np.array([p, rival]))[0], bounds=(1, 3), method="bounded")
    assert reply.x == pytest.approx(rival, abs=1e-4)
    both = scipy.optimize.minimize(lambda p: -profit(p).sum(), np.full(2, 1.9), tol=1e-12)
    assert both.x == pytest.approx([marks.cartel_price] * 2, abs=1e-4)


@pytest.mark.parametrize("sellers", [2, 3, 5])
def test_more_sellers_compete_harder_and_share_all_buyers_with_the_outside(sellers: int) -> None:
    assert COST < competitive_price(sellers + 1) < competitive_price(sellers)
    shares = demand(np.full(sellers, 1.5))
    assert 0 < shares.sum() < 1


def test_rules_come_to_the_indices_they_are_known_for() -> None:
    assert abs(in_the_market("best_reply", 1)) < 0.05
    assert in_the_market("grim", 1) > 0.9


def test_learners_collude_as_published_and_damages_and_entry_undo_it() -> None:
    alone = np.array([learn(1_000 + seed, 15, QUICK).collusion for seed in range(6)])
    assert 0.6 < alone.mean() < 0.94
    for remedy in (Remedy(damages_permille=1_500), Remedy(entrant_permille=300)):
        under = np.array([learn(1_000 + seed, 15, QUICK, remedy).collusion for seed in range(6)])
        assert under.mean() < alone.mean() / 2


@pytest.mark.parametrize("remedy", ["none", "warning", "damages", "entrant"])
def test_profits_and_damages_are_conserved_and_replay(tmp_path: Path, remedy: str) -> None:
    minds = {"seller": 1} | dict.fromkeys(RULES, 1)
    outcomes, shown = Outcomes(), Shown()
    wanted = config(minds, population=10, scenario={"remedy": remedy})
    played = play(wanted, outcomes, journals_in=tmp_path, traders=shown.asking)
    for outcome in outcomes.rounds:
        assert int(outcome.state.balances[:, CASH].sum() + outcome.named_balances[:, CASH].sum()) == 0
        assert not any(outcome.gathered.decisions.errors)
    court = int(outcomes.rounds[-1].named_balances[1][CASH])
    assert (court > 0) == (remedy == "damages")
    assert (WARNING in shown.seen[0].public.news) == (remedy == "warning")
    again = replay(tmp_path / "journal.swarm", composed)
    assert again.holds, again.mismatch
    assert again.replayed_sha256 == played.journal_sha256


def test_a_scripted_seller_takes_what_earns_most_and_a_spoilt_turn_repeats_the_last_price() -> None:
    outcomes = Outcomes()
    play(config({"seller": 1}, models=[SELLER | {"fault_rate": 0.4}]), outcomes)
    before = None
    for outcome in outcomes.rounds:
        price = outcome.trader_columns["price_ticks"]
        for trader, error in zip(outcome.gathered.turns.trader, outcome.gathered.decisions.errors, strict=True):
            if error is not None and before is not None:
                assert price[trader] == before[trader]
        before = price


@pytest.mark.parametrize(("text", "read"), [("A", 0), ('"B"', 1), (' {"answer": "C"}', 2), ("Z", None), ("AB", None)])
def test_an_answer_is_the_letter_of_a_price(text: str, read: int | None) -> None:
    shown = Shown()
    play(config({"seller": 1}, rounds=1), traders=shown.asking)
    form = compose(config({"seller": 1})).run.shard.form("seller")
    outcome = form.read(text, False, shown.seen[0], 0).outcome
    assert outcome == (DecisionError.BAD_CHOICE if read is None else read)


@pytest.mark.parametrize(
    ("change", "key", "word"),
    [
        ({"population": 7}, "population", "even"),
        ({"traders": {"define": {"x": {"mind": "own", "rule": "grimm"}}, "minds": {"x": 1}}}, "define.x.rule", "grim"),
        ({"traders": {"define": {"x": {"mind": "own", "rule": "grimm"}}}}, "define.x.rule", "did you mean grim"),
        ({"traders": {"define": {"x": {"mind": "abuser", "abuse": "wash"}}}}, "traders.define.x", "market"),
        ({"traders": {"minds": {"zi_c": 1}}}, "minds.zi_c", "barter"),
        (
            {
                "scenario": {"name": "wood"},
                "traders": {"define": {"x": {"mind": "own", "rule": "a"}}, "minds": {"x": 1}},
            },
            "define.x.rule",
            "none",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(change: dict[str, Any], key: str, word: str) -> None:
    keys = {"population": 8, "models": [SELLER], "scenario": {"name": "duopoly"}} | change
    with pytest.raises(ConfigError, match=word) as refused:
        compose(resolve(keys))
    assert key in str(refused.value)


def test_models_of_a_config_sell_under_each_remedy_and_are_asked_once(tmp_path: Path) -> None:
    seller = {"name": "seller", "temperament": "value", "form": "price"}
    keep = tmp_path / "kept.jsonl"
    found = of_models([seller], Kept(keep), SILENT)
    assert [one.name.rpartition("_")[2] for one in found] == ["none", "warning", "damages", "entrant"]
    assert all(len(one.runs) == 20 and "0 of 120" in one.note for one in found)
    # A policy that takes what earns most is no cartel, and a warning says nothing to it.
    assert found[0].value is not None and found[0].value < 0.05
    assert found[0].runs == found[1].runs
    kept = keep.read_bytes()
    assert of_models([seller], Kept(keep), SILENT) == found
    assert keep.read_bytes() == kept
