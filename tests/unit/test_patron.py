"""A patron's deeds conserve, replay, resume and fork; what is wrong is refused by name; nobody's prompt tells a lie."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarm.agents.minds.listener import Listener, ListenerConfig
from swarm.config import RunConfig
from swarm.config_file import load, resolve
from swarm.errors import ConfigError
from swarm.live.feed import Feed
from swarm.llm.protocol import ModelReply, ModelRequest, TokenUsage
from swarm.market.ledger import CASH
from swarm.planning import compose, composed
from swarm.report.page import render
from swarm.runtime.fork import fork
from swarm.runtime.play import Shown, play
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.scenarios.protocol import Barters, MarketState
from swarm.simulation.dealings import ESCROW, PURSE, Dealings
from swarm.simulation.deeds import Doer, Ground, Short
from swarm.simulation.folder import RunFolder
from swarm.simulation.hand import Hand
from swarm.simulation.parties.magistrate import Magistrate
from swarm.simulation.party import MarketView, Move, RoundView, Say
from swarm.simulation.replay import replay
from tests.playing import Outcomes
from tests.unit.test_deeds import Deeds, Planned, stopping_after

CONFIG: dict[str, Any] = {
    "seed": 7,
    "rounds": 10,
    "population": 12,
    "models": [],
    "traders": {
        "hears": 0,
        "memory": {"judge_rounds": 3, "others": 6},
        "define": {"listener": {"mind": "listener"}},
        "minds": {"listener": 2, "zip": 1},
    },
}


def patron(*script: dict[str, Any], **more: Any) -> dict[str, Any]:
    return CONFIG | {"parties": {"patron": {"party": "patron", "script": list(script), **more}}}


def causes(outcomes: Outcomes) -> list[str]:
    """The causes of postings that held, in order."""
    found = []
    for outcome in outcomes.rounds:
        for acted in outcome.acted:
            refused = {index for index, _ in acted.refused}
            found += [a.cause for i, a in enumerate(acted.acts) if isinstance(a, Move) and i not in refused]
    return found


def run(config: dict[str, Any], folder: Path | None = None, *hands: Hand) -> tuple[Any, Outcomes]:
    outcomes = Outcomes()
    result = play(resolve(config), *hands, outcomes, journals_in=folder, hands=hands)
    for outcome in outcomes.rounds:
        assert not (outcome.state.balances.sum(axis=0) + outcome.named_balances.sum(axis=0)).any()
        assert (outcome.state.balances >= 0).all()
    return result, outcomes


EVERYTHING = (
    {"round": 2, "deed": "loan", "trader": 0, "pebbles": 60, "rounds": 3, "lots": 1, "good": "acorns"},
    {"round": 2, "deed": "ally", "trader": 1, "rounds": 8, "share_permille": 250},
    {"round": 3, "deed": "tip", "trader": 2, "good": "honey", "planted": True},
    {"round": 3, "deed": "short", "good": "berries", "lots": 10, "rounds": 3},
    {"round": 4, "deed": "bribe", "trader": 3, "good": "honey", "lots": 1, "pebbles": 9},
    {"round": 4, "deed": "short", "good": "honey", "lots": 9_999, "rounds": 2},
    {"round": 5, "deed": "gift", "trader": 99},
)


def test_every_deed_of_a_patron_conserves_and_replays_and_the_report_has_its_scoreboard(tmp_path: Path) -> None:
    result, outcomes = run(patron(*EVERYTHING, gambit={"good": "mushrooms", "hearers": 3}), tmp_path)
    found = causes(outcomes)
    for begun in ("purse", "alliance ", "short ", "bribe ", "end of short ", "end of bribe "):
        assert any(cause.startswith(begun) for cause in found), begun
    # Whom the ally shares tips with: it hears what another one was told.
    done = [act for outcome in outcomes.rounds for one in outcome.acted for act in one.acts]
    tips = [int(act.to[0]) for act in done if isinstance(act, Say) and act.text == "honey will rise"]
    assert tips[:2] == [2, 1]
    # What cannot be is journalled as refused, by name.
    refused = [why for o in outcomes.rounds for one in o.acted for _, why in one.refused]
    assert any("patron has" in why for why in refused) and any("no trader 99" in why for why in refused)
    board = result.summary["patron"]
    assert board["counts"]["acts refused"] == len(refused)
    assert board["tips"]["told"] >= 5
    assert "The patron" in render(result.record)
    again = replay(tmp_path / "journal.swarm", composed)
    assert again.holds, again.mismatch
    assert again.replayed_sha256 == result.journal_sha256


def test_a_run_goes_on_and_forks_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    # Before a run nobody may be named whom it does not have.
    config = resolve(patron(*EVERYTHING[:-1]) | {"rounds": 16})
    config = RunConfig.model_validate(
        config.model_dump() | {"parties": {**config.parties, "m": {"party": "magistrate"}}}
    )
    whole, stopped = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    Session(RunsOn(local=True), whole, report=False).execute(config)
    Session(RunsOn(local=True), stopped, stop=stopping_after(4), report=False).execute(config)
    Session(RunsOn(local=True), stopped, report=False).resume()
    assert stopped.recorded_sha256() == whole.recorded_sha256()
    # A fork that changes nothing of the market settles what was open before it, in the same way.
    other = RunFolder(tmp_path / "fork")
    fork(whole, 4, ("name=other",), other)
    Session(RunsOn(local=True), other, report=False).resume()
    parent, child = (folder.read_record().tables["patron"] for folder in (whole, other))
    assert child.equals(parent)
    assert replay(other.journals, composed).holds


def played_short(prices: Sequence[int], purse_cents: int, shorts: int = 1) -> tuple[list[str], int, int]:
    """What becomes of 10 lots sold at the first price for three rounds: causes, and cents in purse and escrow.

    An act that takes more than an account has holds as little as in a market.
    """
    on = Ground(("honey",), ("",), (), 4, lambda trader: (0, trader), accounts=(PURSE, ESCROW))
    dealings = Dealings(Doer("patron", PURSE), on)
    cents, found = {PURSE: purse_cents, ESCROW: 0, "issue": 0}, []
    for round_, price in enumerate(prices, 1):
        state = MarketState(np.zeros((4, 2), dtype=np.int64), np.array([price]))
        named = {name: np.array([own, 0]) for name, own in cents.items()}
        nothing = np.zeros(4, dtype=np.int64)
        market = MarketView("", ("honey",), state, named, None, nothing[:, None], nothing, np.ones(4, dtype=np.bool_))
        view = RoundView(round_, 9, (market,))
        deeds = [
            dealings.acts(Short(good="honey", lots=10, rounds=3), view) for _ in range(shorts if round_ == 1 else 0)
        ]
        for act in (*dealings.due(view), *(act for acts in deeds for act in acts)):
            assert isinstance(act, Move) and isinstance(act.source, str) and isinstance(act.target, str)
            if act.source != "issue" and cents[act.source] < int(act.amount[0]):
                dealings.learn(act, 0, "lacks more")
                continue
            cents[act.source] -= int(act.amount[0])
            cents[act.target] += int(act.amount[0])
            dealings.learn(act, 0)
            found.append(act.cause.partition(":")[0])
    assert sum(cents.values()) == purse_cents and not dealings.shorts
    return found, cents[PURSE], cents[ESCROW]


@pytest.mark.parametrize(
    ("prices", "purse", "left", "causes"),
    [
        ((40, 38, 36, 30), 50_000, 60_000, ["short 1", "end of short 1", "gain of short 1"]),
        # Above a quarter of loss the margin is filled up, as long as the purse goes.
        (
            (40, 52, 52, 52), 50_000, 38_000,
            ["short 1", "margin call of short 1", "loss of short 1", "end of short 1", "loss of short 1"],
        ),
        ((40, 52, 40, 40), 25_000, 13_000, ["short 1", "loss of short 1", "end of short 1", "loss of short 1"]),
        # A loss beyond the margin is paid as far as there is anything.
        ((40, 90, 40, 40), 25_000, 0, ["short 1", "loss of short 1", "end of short 1", "loss of short 1"]),
    ],
)  # fmt: skip
def test_a_short_gains_where_the_price_falls_and_is_called_where_it_rises(
    prices: Sequence[int], purse: int, left: int, causes: list[str]
) -> None:
    assert played_short(prices, purse) == (causes, left, 0)


def test_a_pledge_comes_first_and_is_kept_where_a_loan_is_not_paid_back() -> None:
    scenario = compose(resolve(CONFIG)).run.scenario
    assert isinstance(scenario, Barters)
    seat = int(np.flatnonzero(scenario.makes == 1)[0])
    loan = {"round": 1, "deed": "loan", "trader": seat, "pebbles": 400, "rounds": 2, "lots": 3, "good": "berries"}
    fine = Planned("thief", {2: [("fine", {"trader": seat, "amount": 600})]})
    _, outcomes = run(patron(loan), None, fine)
    found = [cause for cause in causes(outcomes) if "pledge" in cause or "loan" in cause]
    assert found[0].startswith("pledge 1 for 40000 cents") and found[1].startswith("loan 1: 44000 cents")
    # Its pledge has never been worth the loan, so that the margin is called at once and the lots are kept.
    assert any(cause.startswith("default of loan 1: ") for cause in found)
    # What nobody pledged is lent to nobody.
    _, outcomes = run(patron(loan | {"lots": 500}))
    assert not any(cause.startswith("loan") for cause in causes(outcomes))


def test_a_bribe_is_paid_to_who_does_it_and_comes_back_from_who_does_not() -> None:
    bribes = [
        {"round": 3, "deed": "bribe", "trader": n, "good": good, "side": side, "lots": 1, "pebbles": 5}
        for n in range(12)
        for good, side in (("honey", "buy"), ("firewood", "sell"))
    ]
    _, outcomes = run(patron(*bribes))
    ends = [cause for cause in causes(outcomes) if cause.startswith("end of bribe")]
    assert len(ends) == len(bribes)
    assert {end.partition(": ")[2] for end in ends} == {"it is paid", "it came to nothing"}


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"script": [{"round": 1, "deed": "bribe", "trader": 1, "good": "gold"}]}, "script.0.good"),
        ({"script": [{"round": 0, "deed": "ally", "trader": 1}]}, "script.0.round"),
        ({"script": [{"round": 1, "deed": "robbery"}]}, "script.0.deed"),
        ({"script": [{"round": 1, "deed": "short", "good": "honey", "lots": 0}]}, "script.0.lots"),
        ({"script": [{"round": 1, "deed": "short", "good": ""}]}, "script.0.good"),
        ({"script": [{"round": 1, "deed": "loan", "trader": 1, "good": "gold"}]}, "script.0.good"),
        ({"script": [{"round": 1, "deed": "loan", "trader": 1, "lots": 3}]}, "script.0.good"),
        ({"script": [{"round": 1, "deed": "gift", "trader": 1, "asset": "gold"}]}, "script.0.asset"),
        ({"script": [{"round": 1, "deed": "news", "text": "hello", "region": "north"}]}, "script.0.region"),
        ({"gambit": {"good": "gold"}}, "gambit.good"),
    ],
)
def test_a_wrong_script_is_refused_before_the_run(section: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose(resolve(CONFIG | {"parties": {"p": {"party": "patron", **section}}}))
    assert refused.value.key == f"parties.p.{key}"


def test_a_script_strikes_with_the_scenario_s_shocks_and_one_that_there_is_not_is_refused_by_name() -> None:
    shocks = [{"round": 2, "deed": "shock", "kind": kind, "good": "honey"} for kind in ("mania", "deluge")]
    _, outcomes = run(patron(*shocks))
    (acted,) = (acted for outcome in outcomes.rounds for acted in outcome.acted if outcome.round == 2)
    assert [index for index, _ in acted.refused] == [1] and "deluge" in acted.refused[0][1]


def test_several_losses_of_one_round_are_paid_as_far_as_the_purse_goes() -> None:
    # Each asks for 250 pebbles beyond its margin, and after both margins 300 are left.
    found, purse, escrow = played_short((40, 90, 40, 40), 70_000, shorts=2)
    assert (purse, escrow) == (0, 0)
    assert found.count("loss of short 1") == found.count("loss of short 2") == 2


def test_a_person_plays_from_the_purse() -> None:
    deeds: Deeds = {
        2: [("short", {"good": "honey", "lots": 2}), ("ally", {"trader": 1})],
        3: [("bribe", {"trader": 2, "good": "honey"}), ("gift", {"trader": 0, "amount": 7})],
    }
    hand = Planned("alice", deeds)
    result, outcomes = run(patron(), None, hand)
    assert not hand.refused
    moves = [a for o in outcomes.rounds for one in o.acted if one.party == "alice" for a in one.acts]
    assert {m.source for m in moves if isinstance(m, Move) and m.cause == "gift"} == {PURSE}
    assert result.summary["patron"]["counts"]["alliances"] == 1
    # Where nobody keeps stakes, none is taken.
    alone = Planned("alice", {2: [("short", {"good": "honey"})]})
    run(CONFIG, None, alone)
    assert alone.refused == ["deed"]


def test_the_page_shows_purse_stakes_aim_and_what_has_come_about_from_the_first_round_on() -> None:
    boards: list[tuple[int, list[Any] | None]] = []
    feed = Feed()
    # Seen before and after parties act: a board that comes and goes would flicker.
    feed.notify = lambda: boards.append((feed._state["round"], feed._state.get("patron")))
    hand = Planned("alice", {2: [("short", {"good": "honey", "lots": 2})]})
    result = play(resolve(patron(objective_pebbles=2_400)), hand, feed, hands=[hand])
    assert all(board for round_, board in boards if round_)
    purse, staked, aim, done = boards[-1][1] or []
    assert aim == 2_400 and done["shorts"] == 1
    assert purse == result.summary["patron"]["purse_pebbles"]
    assert any(board and board[1] for _, board in boards) and staked == 0
    # Who has no patron has no board.
    without = Feed()
    play(resolve(CONFIG), without)
    assert "patron" not in without._state


class Asked:
    """A model that keeps every prompt it is given, and passes."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    async def complete(self, requests: Sequence[ModelRequest], deadline_s: float) -> list[ModelReply]:
        """Answers all alike."""
        self.prompts += ["\n".join(m.content for m in request.messages) for request in requests]
        return [ModelReply("AA", TokenUsage(10, 1), "stop", 0.0) for _ in requests]


def test_whether_a_tip_is_true_stands_in_no_prompt_act_or_table(tmp_path: Path) -> None:
    shown, records = [], []
    for planted in (False, True):
        script = [
            {"round": r, "deed": "tip", "trader": t, "good": "honey", "direction": d, "planted": planted}
            for r in range(1, 8)
            for t, d in ((r % 8, "rise"), ((r + 3) % 8, "fall"))
        ]
        models = [{"name": "m", "temperament": "value", "form": form} for form in ("menu",)]
        traders = {"memory": {}, "minds": {"m": 1}, "hears": 2}
        config = patron(*script) | {"models": models, "traders": traders, "population": 8, "rounds": 8}
        client = Asked()
        result = play(resolve(config), clients={"m": client}, journals_in=tmp_path / str(planted))
        # Every creature is asked in every round, and each prompt is whole.
        assert len(client.prompts) == 8 * 8
        assert any("patron: honey will rise" in prompt for prompt in client.prompts)
        assert any("REGARD patron" in prompt for prompt in client.prompts)
        for word in ("planted", "made up", "true", "false", "lie", "script", "objective", "purse_pebbles"):
            assert not any(word in prompt.lower().split() for prompt in client.prompts), word
        shown.append(client.prompts)
        records.append(result)
    # Runs that differ in nothing but this are the same to whoever looks at them from inside.
    assert shown[0] == shown[1]
    assert records[0].summary["patron"] == records[1].summary["patron"]
    for name, table in records[0].tables.items():
        if name not in ("rounds", "steps"):
            assert table.equals(records[1].tables[name]), name


def test_regard_for_a_patron_falls_by_tips_that_come_to_nothing_and_a_listener_then_ignores_it() -> None:
    tips = [{"round": r, "deed": "tip", "trader": 1, "good": "honey"} for r in range(1, 8)]
    lines: dict[bool, list[str]] = {}
    for remembers in (True, False):
        shown = Shown()
        traders = CONFIG["traders"] | ({} if remembers else {"memory": None})
        play(resolve(patron(*tips) | {"traders": traders}), traders=shown.asking)
        views = [seen.private for seen in shown.seen]
        lines[remembers] = [view.words[1][1] if view.words else "" for view in views]
        assert any("patron: honey will rise" in line for view in views for line in view.heard[1])
    assert any("patron -" in line or "patron +" in line for line in lines[True])
    assert not any(lines[False])


def test_a_listener_believes_whom_it_does_not_distrust() -> None:
    plan = compose(resolve(CONFIG)).run
    listener = Listener("listener", ListenerConfig(), plan.shard)
    shown = Shown()
    play(resolve(CONFIG | {"rounds": 1}), traders=shown.asking)
    (seen,) = shown.seen

    def heard(regard: str) -> Any:
        words = (("", regard),) * len(seen.private)
        lines = (("patron: honey will rise",),) * len(seen.private)
        return replace(seen, private=replace(seen.private, words=words, heard=lines))

    assert listener._believed(heard(""), 0) == [(3, 1)]
    assert listener._believed(heard("REGARD patron -1, trader 3 -9"), 0) == [(3, 1)]
    assert listener._believed(heard("REGARD patron -2"), 0) == []
    trusting, distrusting = (listener.orders(heard(r), None)[0] for r in ("", "REGARD patron -5"))  # type: ignore[arg-type]
    lots = [int(o.quantity_lots[(o.good == 3) & (o.side == 1)].sum()) for o in (trusting, distrusting)]
    assert lots[0] > lots[1]


def test_the_shipped_config_is_a_first_act() -> None:
    config = load(Path("configs/patron.yaml"))
    played = play(config.model_copy(update={"rounds": 20}))
    board = played.summary["patron"]
    for name in ("loans made", "shorts", "bribes promised", "alliances"):
        assert board["counts"][name] >= 1, name
    assert board["tips"]["believed"] > 0
    assert board["counts"]["acts refused"] == 0


def test_a_pledge_stays_where_its_repayment_is_refused_until_it_is_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loan = {"round": 1, "deed": "loan", "trader": 1, "pebbles": 30, "rounds": 3, "lots": 1, "good": "honey"}
    court = {"court": {"party": "magistrate"}}
    config = patron(loan) | {"rounds": 9}
    config["parties"] = court | config["parties"]

    def fined(self: Magistrate, view: RoundView) -> list[Move]:
        # In the round in which the loan is due somebody else has the first call on all that the debtor has.
        cents = view.markets[0].movable_cents[[1]]
        return [Move("fine", np.array([1]), "treasury", np.array([CASH]), cents)] if view.round == 4 else []

    monkeypatch.setattr(Magistrate, "act", fined)
    _, outcomes = run(config, tmp_path)
    # [round] the patron's postings, and those among them that were refused.
    done = {
        o.round: [
            (act.cause, index in dict(one.refused)) for index, act in enumerate(one.acts) if isinstance(act, Move)
        ]
        for o in outcomes.rounds
        for one in o.acted
        if one.party == "patron"
    }
    assert done[4] == [("repayment of loan 1", True), ("return of pledge 1", True)]
    assert done[5] == [("repayment of loan 1", False), ("return of pledge 1", False)]
    assert not any(outcomes.rounds[-1].named_balances[outcomes.rounds[-1].plan.market.named_accounts.index(ESCROW)])
    assert replay(tmp_path / "journal.swarm", composed).holds
