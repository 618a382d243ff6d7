"""A magistrate goes by honest runs of markets like its own, and says where there are none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.bench import abuse_squeeze
from swarm.bench.abuse_calibration import CALIBRATION_SEEDS, calibrate
from swarm.bench.abuse_kept import Kept
from swarm.bench.abuse_runs import config, named
from swarm.config_file import load, resolve
from swarm.errors import OutputError
from swarm.market.evidence import Book, accepted, still_resting
from swarm.market.surveillance import ABUSES, LEAST
from swarm.runtime.play import play
from swarm.simulation.evidence import of_round
from swarm.simulation.parties.magistrate import grounds_of, rule_of, rule_told, shipped
from tests.playing import Outcomes


def test_markets_of_each_kind_have_a_calibration_of_their_own_and_mixed_ones_go_by_both() -> None:
    call, continuous, both = (rule_of(kinds) for kinds in (("call",), ("continuous",), ("call", "continuous")))
    assert call is shipped("call") and continuous is shipped("continuous")
    differ = set()
    for abuse in ABUSES:
        scores = np.linspace(0.0, 4.0 * LEAST[abuse], 40)[None].repeat(3, axis=0)
        one, other, joint = (rule.p_values(abuse, scores) for rule in (call, continuous, both))
        assert (joint == np.maximum(one, other)).all()
        differ |= {abuse} if (one != other).any() else set()
        assert both.traders[abuse] == min(call.traders[abuse], continuous.traders[abuse])
        # Posted prices are matched in no way.
        assert abuse != "collusion" or (one == other).all()
    assert {"layering", "corner"} <= differ


def test_a_rule_says_of_what_markets_it_was_made() -> None:
    section = {"accuse_rate": 0.01}
    assert rule_told(section, ("call", "call")) == rule_told(section)
    assert "1.00%" in rule_told(section) and "continuous" not in rule_told(section)
    assert rule_told(section, ("continuous",)).endswith("in continuous markets")
    assert "there is no calibration" in rule_told(section, ("call", "continuous"))
    assert rule_told(section, borrows=True).endswith("in markets whose accounts may borrow")
    both = rule_told(section, ("call", "continuous"), borrows=True)
    assert "in continuous markets or in markets whose accounts may borrow; of a market that is both" in both


def test_where_accounts_may_borrow_the_honest_sell_short_and_are_judged_by_their_like() -> None:
    assert rule_of(grounds_of(("call",), borrows=True)) is shipped("margin")
    assert grounds_of(("call", "continuous"), borrows=True) == ("continuous", "margin")
    # A seed by which the calibration without short sellers accused three of them.
    wanted = abuse_squeeze.config(71_001, squeezed=False)
    wanted["parties"] = {"magistrate": {"party": "magistrate", "ladder": ["warn"]}}
    found = play(resolve(wanted)).summary
    assert "case_files" not in found


def test_who_plants_a_spoofer_in_a_continuous_book_accuses_no_honest_bystander() -> None:
    played = play(load(Path("configs/abuse/spoof.yaml")))
    files = played.summary["case_files"]
    minds = played.plan.run.shard.minds
    assert {minds[file["trader"]] for file in files} == {"newcomer"}
    assert "layering" in {file["abuse"] for file in files}
    assert all("continuous" in file["rule"] for file in files)


def test_runs_of_a_benchmark_are_of_one_market_or_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.bench.abuse_runs.ROUNDS", 8)
    assert {config(3, "wash").market.mechanism, config(3, None, market="continuous").market.mechanism} == {
        "call",
        "continuous",
    }
    # Runs that were kept before there were two kinds are those of call auctions.
    assert named(3, "wash")[0] == "3-wash-0"
    assert named(3, "spoof", market="continuous")[0] == "3-spoof-0-continuous"
    outcomes = Outcomes()
    play(config(3, "spoof", market="continuous"), outcomes)
    assert any(outcome.cleared.resting and outcome.cleared.resting.resting for outcome in outcomes.rounds)


def test_a_calibration_of_one_market_leaves_the_other_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.bench.abuse_runs.ROUNDS", 5)
    path, kept = tmp_path / "honest.json", Kept()
    path.write_text(json.dumps({"call": {"is": "kept"}}), encoding="utf-8")
    assert len(CALIBRATION_SEEDS) > 210
    calibrate(path, 1, kept, "continuous")
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["call"] == {"is": "kept"}
    assert found["continuous"]["traders"]["layering"] == 20
    # Nobody posts a price here, so nothing is said of collusion.
    assert "collusion" not in found["continuous"]["scores"]
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(OutputError, match="holds something else"):
        calibrate(path, 1, kept, "continuous")


def test_a_market_of_goods_of_both_kinds_is_watched() -> None:
    keys = load(Path("configs/abuse/layering.yaml")).record()
    keys["market"] |= {"mechanisms": {"acorns": "continuous"}}
    played = play(resolve(keys | {"rounds": 12}))
    assert all("no calibration" in file["rule"] for file in played.summary.get("case_files", ()))


@pytest.mark.parametrize("abuse", [None, "spoof"])
def test_evidence_matches_a_continuous_round_again_with_the_orders_that_rested(abuse: Any) -> None:
    outcomes = Outcomes()
    play(config(5, abuse, market="continuous").model_copy(update={"rounds": 14}), outcomes)
    rested = 0
    for outcome in outcomes.rounds:
        seen, market = of_round(outcome), outcome.plan.market
        assert seen is not None
        live, resting = seen.orders.take(accepted(seen.orders, seen.taken)), still_resting(seen, market.config)
        rested += len(resting)
        lots = []
        for good, kind in enumerate(market.mechanisms):
            book = Book(good, live.take(live.good == good), resting.take(resting.good == good), kind)
            lots.append(int(book.matched(int(seen.reference_ticks[good]), market.config).trade_lots.sum()))
        # What an order did to a price is exact only where the round without it differs from the round as it was.
        assert lots == outcome.cleared.volume_lots.tolist()
    assert rested
