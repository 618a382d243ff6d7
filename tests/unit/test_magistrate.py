"""The magistrate: it finds who abuses a market, its sentences hold and replay, and labels stay with the scorer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.agents.tactics import AbuserConfig
from swarm.bench.abuse_runs import NAME, config
from swarm.config import RunConfig
from swarm.config_file import load, resolve
from swarm.errors import ConfigError
from swarm.market.events import Rejection
from swarm.market.ledger import CASH
from swarm.market.orders import BUY, CANCEL, LIMIT, Orders
from swarm.market.restrictions import FOR_EVER
from swarm.market.surveillance import ABUSES, Surveillance
from swarm.planning import compose, composed
from swarm.runtime.play import Shown, play
from swarm.simulation.acting import Judge
from swarm.simulation.parties.magistrate import TREASURY, Court, Magistrate, MagistrateConfig, shipped
from swarm.simulation.party import Act, Cap, Exile, Freeze, Pardon, RoundView, from_record, to_record
from swarm.simulation.replay import replay
from tests.playing import Outcomes
from tests.refusals import refused
from tests.unit.test_surveillance import quiet, traced


def test_a_ring_is_found_sentenced_and_the_run_replays(tmp_path: Path) -> None:
    outcomes = Outcomes()
    played = play(config(3, "wash", court=("fine", "freeze")), outcomes, journals_in=tmp_path)
    ring = {i for i, mind in enumerate(played.plan.run.shard.minds) if mind == NAME}
    acted = [acted for outcome in outcomes.rounds for acted in outcome.acted]
    assert acted
    assert not any(one.refused for one in acted)
    frozen = [act for one in acted for act in one.acts if isinstance(act, Freeze)]
    sentenced = {int(trader) for act in frozen for trader in act.trader}
    assert sentenced
    assert sentenced <= ring
    # Who is frozen does not trade, its orders are refused by name, and nothing is lost.
    reasons = [reason for outcome in outcomes.rounds for reason in outcome.taken.rejected_reason]
    assert Rejection.FROZEN in reasons
    for outcome in outcomes.rounds:
        total = outcome.state.balances.sum(axis=0) + outcome.named_balances.sum(axis=0)
        assert not total.any()
    treasury = played.plan.run.market.named_accounts.index(TREASURY)
    assert int(outcomes.rounds[-1].named_balances[treasury][CASH]) > 0
    # Each case is in the summary with its figures.
    lines = [line for _, _, line in played.summary["cases"]]
    assert any("wash by trader" in line and "honest traders" in line for line in lines)
    again = replay(tmp_path / "journal.swarm", composed)
    assert again.holds, again.mismatch
    assert again.replayed_sha256 == played.journal_sha256


def test_labels_are_in_no_prompt_and_in_nothing_that_parties_see(monkeypatch: pytest.MonkeyPatch) -> None:
    views: list[RoundView] = []
    act = Magistrate.act

    def seen(self: Magistrate, view: RoundView) -> Sequence[Act]:
        views.append(view)
        return act(self, view)

    monkeypatch.setattr(Magistrate, "act", seen)
    shown = Shown()
    wanted = config(4, "corner", court=("warn",))
    play(wanted, traders=shown.asking)
    form = compose(wanted).run.shard.form("maker")
    words = {"abuser", NAME, "evasion"}
    for observation in shown.seen:
        for row in range(len(observation.private)):
            prompt = form.render(observation, row, 10_000)
            assert prompt is not None
            text = " ".join(message.content for message in prompt.messages)
            assert not [word for word in words if word in text]
    # Views have numbers, prices and names of goods and accounts: nothing of minds.
    assert views
    for view in views:
        assert not [word for word in words if word in repr(view)]


@pytest.mark.parametrize(
    ("act", "word"),
    [
        (Freeze("case", np.array([0]), 0), "rounds"),
        (Freeze("case", np.array([9]), 5), "trader 9"),
        (Cap("case", np.array([0]), 0), "lots"),
        (Exile("case", np.array([-1])), "trader -1"),
        (Pardon("case", np.array([2])), ""),
    ],
)
def test_a_wrong_sentence_is_refused_by_name_and_a_right_one_holds(act: Any, word: str) -> None:
    from swarm.scenarios.protocol import MarketState, Restriction

    state = MarketState(np.zeros((3, 2), dtype=np.int64), np.array([10]))
    held = Judge(state, np.zeros((1, 2), dtype=np.int64), ("issue",), 100).hold("court", 7, [act])
    if word:
        assert word in held.acted.refused[0][1]
        assert not held.consequences
    else:
        assert not held.acted.refused
        assert isinstance(held.consequences[0], Restriction)
    # What a journal has of it reads as it was written.
    assert to_record(from_record(to_record(act), "acts[0]")) == to_record(act)


def test_an_exile_lasts_until_it_is_pardoned() -> None:
    from swarm.scenarios.protocol import MarketState, Restriction

    state = MarketState(np.zeros((3, 2), dtype=np.int64), np.array([10]))
    judge = Judge(state, np.zeros((1, 2), dtype=np.int64), ("issue",), 100)
    exile, pardon = judge.hold("court", 7, [Exile("a", np.array([1])), Pardon("b", np.array([1]))]).consequences
    assert isinstance(exile, Restriction)
    assert isinstance(pardon, Restriction)
    assert (exile.frozen_through_round, exile.cap_lots) == (FOR_EVER, -1)
    assert (pardon.frozen_through_round, pardon.cap_lots) == (0, 0)


def test_nobody_is_exiled_whom_honest_runs_could_explain() -> None:
    assert MagistrateConfig().exile_rate <= MagistrateConfig().accuse_rate / 10
    # So few honest traders were watched that a rate of 1 in 10,000 cannot be told.
    court = Magistrate("court", MagistrateConfig(ladder=("exile",)))
    assert not court._may_exile(shipped().traders["wash"], 1e-9)
    assert set(shipped().honest) == set(ABUSES)
    with pytest.raises(ConfigError, match="ladder"):
        play(config(1, None).model_copy(update={"parties": {"court": {"party": "magistrate", "ladder": ["hang"]}}}))


def test_nothing_is_held_against_a_trader_twice() -> None:
    court = Court(Surveillance(), shipped())
    for round_ in range(1, 26):
        court.surveillance.see(traced("floor", round_) if round_ <= 12 else quiet(round_))
    magistrate, floor = Magistrate("court", MagistrateConfig()), ABUSES.index("floor")
    # What stands in the window led to its first case; the next one needs something that came after that.
    assert magistrate._found(court).guilty[floor].tolist() == [True, False, False, False]
    assert not magistrate._found(court, 12).guilty.any()


def test_an_abuser_means_a_good_that_there_is() -> None:
    abuser = {"define": {"x": {"mind": "abuser", "abuse": "wash", "good": "gold"}}, "minds": {"x": 1}}
    with refused("traders.define.x.good", "honey"):
        compose(resolve({"population": 10, "traders": abuser}))


def test_a_spoofer_takes_its_bids_back_and_is_found_by_the_orders_that_it_left_idle() -> None:
    outcomes = Outcomes()
    played = play(load(Path("configs/abuse/spoof.yaml")).model_copy(update={"rounds": 16}), outcomes)
    (spoofer,) = (n for n, mind in enumerate(played.plan.run.shard.minds) if mind == NAME)
    kinds = [o.basis.orders.kind[o.basis.orders.trader == spoofer].tolist() for o in outcomes.rounds[5:] if o.basis]
    assert kinds[:3] == [[CANCEL, LIMIT], [LIMIT], [CANCEL, LIMIT]]
    refused = [trader for o in outcomes.rounds for trader in o.taken.rejected_trader.tolist()]
    assert spoofer not in refused
    assert any(f"layering by trader {spoofer}" in line for _, _, line in played.summary["cases"])


def ordered(wanted: RunConfig) -> list[list[Orders]]:
    """The orders of each abuser in every round, [rounds][crew]."""
    outcomes = Outcomes()
    played = play(wanted, outcomes)
    crew = [n for n, mind in enumerate(played.plan.run.shard.minds) if mind == NAME]
    books = [o.basis.orders for o in outcomes.rounds if o.basis]
    return [[orders.take(np.flatnonzero(orders.trader == n)) for n in crew] for orders in books]


def test_a_covert_spoofer_bids_when_it_acts_and_takes_that_back_when_it_acts_again() -> None:
    kinds = [one.kind.tolist() for (one,) in ordered(config(4, "spoof", 2, market="continuous"))]
    assert kinds[5:11] == [[LIMIT], [], [CANCEL, LIMIT], [], [LIMIT], []]


def test_in_a_covert_ring_of_two_each_bids_for_what_the_other_offers() -> None:
    rounds = ordered(config(4, "wash", 2))
    assert not any(len(orders) for crew in rounds[6::2] for orders in crew)
    assert {n for crew in rounds for n, orders in enumerate(crew) if BUY in orders.side} == {0, 1}


def test_evasion_stakes_less_and_varies_it() -> None:
    assert AbuserConfig(abuse="wash").evasion == 0
    bought = []
    for evasion in (0, 1, 2):
        outcomes = Outcomes()
        played = play(config(5, "corner", evasion), outcomes)
        who = played.plan.run.shard.minds.index(NAME)
        bought.append(
            sum(int(o.cleared.trades.quantity_lots[o.cleared.trades.buyer == who].sum()) for o in outcomes.rounds)
        )
    assert bought[0] > bought[2]


def test_a_pump_is_told_by_what_was_sold_after_it_was_talked_up_and_the_run_replays(tmp_path: Path) -> None:
    outcomes = Outcomes()
    wanted = load(Path("configs/abuse/pump.yaml"))
    played = play(wanted, outcomes, journals_in=tmp_path)
    who = played.plan.run.shard.minds.index(NAME)
    tips = {o.round for o in outcomes.rounds for n, said in zip(o.said.sender, o.said.text, strict=True) if n == who}
    # It talks in the last four rounds of each cycle of ten, from the sixth round on.
    assert tips == {*range(12, 16), *range(22, 26)}
    assert any(f"pump by trader {who}" in line for _, _, line in played.summary["cases"])
    assert replay(tmp_path / "journal.swarm", composed).replayed_sha256 == played.journal_sha256


def test_sellers_who_keep_prices_up_together_are_fined_and_competitors_are_not() -> None:
    played = play(load(Path("configs/abuse/collusion.yaml")))
    minds = played.plan.run.minds
    fined = {file["trader"] for file in played.summary["case_files"]}
    colluding = {"first", "second"}
    assert fined and all({minds[one], minds[one ^ 1]} <= colluding for one in fined)
    # Two by grim trigger keep the cartel's price for ever.
    grim = {t for t, mind in enumerate(minds) if mind == minds[t ^ 1] == "first"}
    assert grim <= fined


def test_a_member_of_a_council_that_lies_is_named_and_an_honest_council_names_nobody() -> None:
    wanted = load(Path("configs/abuse/liar.yaml"))
    assert play(wanted).summary["councils"]["five"]["liars"] == ["third"]
    honest = resolve(wanted.record() | {"models": [entry | {"lies": 0.0} for entry in wanted.record()["models"]]})
    assert play(honest).summary["councils"]["five"]["liars"] == []
