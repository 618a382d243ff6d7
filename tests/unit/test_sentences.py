"""Sentences in settings whose decisions are no orders: they bite at settlement, or are refused by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.config_file import load, resolve
from swarm.market.events import Rejection
from swarm.market.ledger import CASH
from swarm.market.records import RecordError
from swarm.market.surveillance import SIGNS, Surveillance
from swarm.planning import compose, composed
from swarm.report.sections.cases import _once
from swarm.runtime.play import Shown, play
from swarm.scenarios.duopoly.demand import Benchmarks, cartel_price, profit
from swarm.simulation.parties import must_suit
from swarm.simulation.parties.magistrate import CASE, WORDS, Case, Court, Magistrate, MagistrateConfig, shipped
from swarm.simulation.party import (
    Act,
    Announce,
    Cap,
    Exile,
    Freeze,
    Move,
    Pardon,
    RoundView,
    Say,
    from_record,
    to_record,
)
from swarm.simulation.replay import replay
from swarm.simulation.sentences import Sentences
from tests.playing import Outcomes
from tests.refusals import refused
from tests.unit.test_surveillance import quiet

CENTS_PER_BUYER = 10 * 100 * 100
"""Cents of a profit of 1 per buyer, by the config's defaults."""


class Speaker:
    """A party that speaks sentences by round."""

    def __init__(self, acts: Mapping[int, Sequence[Act]], name: str = "court-of-tests") -> None:
        self.name, self._acts = name, acts

    def act(self, view: RoundView) -> Sequence[Act]:
        """Returns the sentences of a round."""
        return self._acts.get(view.round, ())


def sellers(rounds: int = 8, **scenario: Any) -> dict[str, Any]:
    return {
        "rounds": rounds,
        "population": 4,
        "models": [{"name": "seller", "temperament": "value"}],
        "scenario": {"name": "duopoly", **scenario},
        "traders": {"hears": 0, "define": {"grim": {"mind": "own", "rule": "grim"}}, "minds": {"grim": 1}},
    }


def earned(outcomes: Outcomes) -> list[list[int]]:
    """Returns the cents that each seller earned, by round."""
    cash = np.array([outcome.state.balances[:, CASH] for outcome in outcomes.rounds])
    found: list[list[int]] = np.diff(cash, axis=0, prepend=0).tolist()
    return found


@pytest.mark.parametrize("remedy", ["none", "damages", "entrant"])
def test_a_frozen_seller_sells_nothing_and_its_rival_has_the_market_to_itself(tmp_path: Path, remedy: str) -> None:
    outcomes, shown = Outcomes(), Shown()
    court = Speaker({2: [Freeze("case", np.array([0]), 3)]})
    wanted = resolve(sellers(remedy=remedy))
    play(wanted, outcomes, hands=(court,), journals_in=tmp_path, traders=shown.asking)
    of = earned(outcomes)
    assert [one[0] for one in of[2:5]] == [0, 0, 0]
    assert all(one[0] > 0 for one in (*of[:2], *of[5:]))
    listed = compose(wanted).run.scenario.prices_ticks  # type: ignore[attr-defined]
    ticks = int(listed[np.argmin(np.abs(listed - 100 * cartel_price()))])
    if remedy != "entrant":
        # Alone at the price that a cartel of two would have: more than half of theirs, and no damages for it.
        assert of[2][1] == pytest.approx(float(profit(np.array([ticks / 100]))[0]) * CENTS_PER_BUYER, rel=0.02)
        assert of[2][1] > Benchmarks.of_two().cartel_profit * CENTS_PER_BUYER
    assert [o.trader_columns["price_ticks"][0] == 0 for o in outcomes.rounds] == [False] * 2 + [True] * 3 + [False] * 3
    # Nobody keeps prices up beside who may not sell, and the other market knows nothing of it.
    index = [o.trader_columns["collusion_permille"].tolist() for o in outcomes.rounds]
    assert index[2][:2] == [0, 0] and index[2][2] > 900 and index[5][0] > 900
    own = [seen.private.facts[0] for seen in shown.seen]
    assert ["YOU MAY NOT SELL" in facts for facts in own] == [False] * 2 + [True] * 3 + [False] * 3
    assert f"3 - {ticks}" in own[4]
    for outcome in outcomes.rounds:
        assert int(outcome.state.balances[:, CASH].sum() + outcome.named_balances[:, CASH].sum()) == 0
    assert replay(tmp_path / "journal.swarm", composed).holds


def test_an_exiled_seller_is_out_until_it_is_pardoned_and_a_market_without_sellers_is_still() -> None:
    outcomes = Outcomes()
    both = np.array([0, 1])
    court = Speaker({1: [Exile("case", both)], 4: [Pardon("case", both)]})
    play(resolve(sellers()), outcomes, hands=(court,))
    assert [one[:2] == [0, 0] for one in earned(outcomes)] == [False, True, True, True, *[False] * 4]
    prices = {int(outcome.cleared.reference_ticks[0]) for outcome in outcomes.rounds[1:]}
    assert len(prices) == 1


def test_a_magistrate_freezes_who_colludes_and_the_run_replays(tmp_path: Path) -> None:
    keys = load(Path("configs/abuse/collusion.yaml")).record()
    court = keys["parties"]["magistrate"] | {"ladder": ["freeze"]}
    outcomes = Outcomes()
    play(resolve(keys | {"rounds": 26, "parties": {"magistrate": court}}), outcomes, journals_in=tmp_path)
    frozen = [
        (acted.round, int(trader))
        for outcome in outcomes.rounds
        for acted in outcome.acted
        for act in acted.acts
        if isinstance(act, Freeze)
        for trader in act.trader
    ]
    assert frozen
    of = earned(outcomes)
    assert all(of[round_][trader] == 0 for round_, trader in frozen)
    assert replay(tmp_path / "journal.swarm", composed).holds


@pytest.mark.parametrize(
    ("keys", "act"),
    [
        (sellers(3), Cap("case", np.array([0]), 5)),
        (load(Path("configs/contract.yaml")).record() | {"rounds": 3}, Freeze("case", np.array([0]), 5)),
        (load(Path("configs/supply.yaml")).record() | {"rounds": 6}, Exile("case", np.array([0]))),
    ],
)
def test_a_sentence_that_would_restrict_nobody_is_refused_by_name_before_the_run_and_in_it(
    keys: Mapping[str, Any], act: Act
) -> None:
    wanted = resolve(dict(keys))
    step = type(act).__name__.lower()
    scenario = compose(wanted).run.scenario
    with refused("parties.court.ladder", f"`{step}` restricts nobody"):
        must_suit({"court": {"party": "magistrate", "ladder": ["warn", step]}}, scenario)
    must_suit({"court": {"party": "magistrate", "ladder": ["warn", "fine"]}}, scenario)
    outcomes = Outcomes()
    play(wanted, outcomes, hands=(Speaker({1: [act]}),))
    ((_, why),) = outcomes.rounds[0].acted[0].refused
    assert f"a {step} restricts nobody here" in why


@pytest.mark.parametrize("score", [0.5, 12.34, 999.4, 999.6, 1_000.0, 12_345.6])
def test_a_score_is_told_in_plain_digits(score: float) -> None:
    case = Case(1, 5, 3, "collusion", score, "none of 5 honest traders", "warn")
    assert case.cause.startswith(CASE)
    told = case.cause.partition("score ")[2].partition(",")[0]
    assert "e" not in told
    assert float(told) == pytest.approx(score, rel=0.01)


def test_a_frozen_watcher_of_a_fraud_desk_leaves_payments_to_others() -> None:
    wanted = resolve(load(Path("configs/fraud.yaml")).record() | {"rounds": 5})
    outcomes = Outcomes()
    play(wanted, outcomes, hands=(Speaker({3: [Freeze("case", np.array([1, 2]), 3)]}),))
    for outcome in outcomes.rounds[3:]:
        assert not np.isin(outcome.cleared.trades.buyer, [1, 2]).any()
        assert outcome.basis is not None and not np.isin(outcome.basis.orders.trader, [1, 2]).any()
        assert outcome.cleared.volume_lots.sum() > 0


def test_a_magistrate_sees_posted_prices_in_a_run_of_several_regions() -> None:
    keys = sellers(26) | {
        "population": 8,
        "regions": {"names": ["north", "south"], "travellers": 0, "tilt_permille": 0},
        "parties": {"court": {"party": "magistrate", "ladder": ["freeze"]}},
    }
    cases = play(resolve(keys)).summary["case_files"]
    assert {case["abuse"] for case in cases} == {"collusion"}


WOOD = {"rounds": 10, "population": 8, "models": [], "traders": {"hears": 0, "minds": {"zi_c": 1}}}


def kept_out(folder: Path, *courts: Speaker) -> list[int]:
    """Returns in which rounds trader 0 traded, or could have, in a market where it bids in every round."""
    outcomes = Outcomes()
    play(resolve(WOOD), outcomes, hands=courts, journals_in=folder)
    for outcome in outcomes.rounds:
        assert not (outcome.state.balances.sum(axis=0) + outcome.named_balances.sum(axis=0)).any()
    assert replay(folder / "journal.swarm", composed).holds
    return [
        o.round
        for o in outcomes.rounds
        if any(
            not trader and why == Rejection.FROZEN
            for trader, why in zip(o.taken.rejected_trader.tolist(), o.taken.rejected_reason, strict=True)
        )
    ]


def test_the_longest_sentence_of_all_courts_holds_and_each_pardons_its_own(tmp_path: Path) -> None:
    one, all_later = np.array([0]), list(range(3, 11))
    exile = Speaker({2: [Exile("a", one)]}, "a")
    assert kept_out(tmp_path / "1", exile, Speaker({3: [Freeze("b", one, 2)]}, "b")) == all_later
    assert kept_out(tmp_path / "2", exile, Speaker({3: [Freeze("b", one, 2), Pardon("b", one)]}, "b")) == all_later
    # What is left once the exile is pardoned is the other court's freeze.
    pardoned = Speaker({2: [Exile("a", one)], 4: [Pardon("a", one)]}, "a")
    assert kept_out(tmp_path / "3", pardoned, Speaker({3: [Freeze("b", one, 4)]}, "b")) == [3, 4, 5, 6, 7]
    # Two freezes of one court: the one that ends later.
    assert kept_out(tmp_path / "4", Speaker({2: [Freeze("a", one, 6)], 3: [Freeze("a", one, 1)]})) == [3, 4, 5, 6, 7, 8]


def test_the_lowest_cap_holds_until_its_own_court_lifts_it() -> None:
    courts = Sentences()
    two = np.array([1, 2])

    def bounds(party: str, act: Freeze | Cap | Exile | Pardon, round_: int) -> dict[int, tuple[int, int]]:
        found = courts.after(party, act, round_)
        return {int(t): (one.frozen_through_round, one.cap_lots) for one in found for t in one.trader}

    assert bounds("a", Cap("a", two, 9), 1) == {1: (-1, 9), 2: (-1, 9)}
    assert bounds("b", Cap("b", np.array([2]), 20), 2) == {2: (-1, 9)}
    assert bounds("b", Freeze("b", two, 3), 2) == {1: (5, -1), 2: (5, -1)}
    assert bounds("a", Pardon("a", two), 3) == {1: (5, 0), 2: (5, 20)}
    assert bounds("b", Pardon("b", two), 9) == {1: (0, 0), 2: (0, 0)}


def test_files_of_two_courts_with_cases_of_one_number_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = f"case 1: wash by trader 0, {SIGNS['wash']}; score 9, reached by none of 4200 honest traders; freeze"
    words = Say("north", np.empty(0, dtype=np.int64), f"case 1{WORDS}clerk: it did")
    done: dict[str, dict[int, list[Act]]] = {
        "north": {1: [Announce(opened)], 2: [words]},
        "south": {1: [Announce(opened)], 3: [Pardon("case 1 on appeal", np.array([0]))]},
    }
    monkeypatch.setattr(Magistrate, "act", lambda self, view: done[self.name].get(view.round, ()))
    played = play(resolve(WOOD | {"parties": {name: {"party": "magistrate"} for name in done}}))
    north, south = played.summary["case_files"]
    assert (north["by"], north["appeal"], north["words"]) == ("north", "", "clerk: it did")
    assert (south["by"], south["appeal"], south["words"]) == ("south", "pardoned after round 3", "")


@pytest.mark.parametrize(("step", "pardoned"), [("freeze", True), ("cap", True), ("exile", False)])
def test_an_exile_is_not_lifted_because_nobody_can_do_wrong_in_it(step: Any, pardoned: bool) -> None:
    court = Court(Surveillance(), shipped())
    for round_ in range(1, 31):
        court.surveillance.see(quiet(round_))
    court.cases.append(Case(1, 10, 0, "floor", 1.0, "none", step))
    magistrate = Magistrate("court", MagistrateConfig())
    assert bool(list(magistrate._appeals(court, 30, 0))) == pardoned


def test_the_report_tells_a_case_once_with_what_its_sentence_came_to() -> None:
    case = Case(1, 5, 3, "wash", 0.5, "none of 5 honest traders", "fine")
    warned = Case(2, 5, 4, "wash", 0.5, "none of 5 honest traders", "warn")
    lines = [
        [5, "court", f"{case.cause}: 1.8 pebbles from trader 3 to treasury"],
        [5, "court", f"{case.cause}; fine"],
        [5, "court", f"{warned.cause}; warn"],
        [9, "court", "case 1 on appeal: trader 3 pardoned"],
    ]
    assert [line for _, _, line in _once(lines)] == [lines[0][2], lines[2][2], lines[3][2]]


def test_a_debtor_in_exile_still_pays_what_it_owes_and_the_run_replays(tmp_path: Path) -> None:
    loan = {"round": 1, "deed": "loan", "trader": 1, "pebbles": 30, "rounds": 3}
    wanted = resolve(WOOD | {"parties": {"patron": {"party": "patron", "script": [loan], "purse_pebbles": 300}}})
    outcomes = Outcomes()
    play(wanted, outcomes, hands=(Speaker({2: [Exile("case", np.array([1]))]}),), journals_in=tmp_path)
    done = {
        act.cause: outcome.round
        for outcome in outcomes.rounds
        for one in outcome.acted
        for act in one.acts
        if isinstance(act, Move) and not one.refused
    }
    assert done["repayment of loan 1"] == 4
    assert replay(tmp_path / "journal.swarm", composed).holds


@pytest.mark.parametrize("hangs", [False, True])
def test_a_move_that_hangs_on_another_is_written_so_and_older_records_read_as_before(hangs: bool) -> None:
    one = np.array([1])
    record = to_record(Move("gift", "issue", one, one, one, 3, hangs))
    assert len(record) == (7 if hangs else 6)
    again = from_record(record, "acts[0]")
    assert isinstance(again, Move) and again.if_done is hangs and again.market == 0
    assert to_record(again) == record
    with pytest.raises(RecordError):
        from_record([*record, True, True], "acts[0]")
