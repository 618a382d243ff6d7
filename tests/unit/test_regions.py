"""Several markets in one run: they begin apart, arbitrage draws them together, and each has a history of its own."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from math import sqrt
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import yaml

from swarm.agents.observation import Observation
from swarm.agents.prompt import public_text
from swarm.config_file import load, resolve
from swarm.errors import ConfigError, JournalError, LedgerError
from swarm.market.ledger import ISSUE, ROAD
from swarm.market.quality import price_dispersion
from swarm.planning import compose, composed
from swarm.preflight import check_budget
from swarm.report.page import render
from swarm.runtime.play import Shown, play
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import RunResult, Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.journal import JournalReader, JournalWriter
from swarm.simulation.journal_disk import head_path
from swarm.simulation.loop import Interrupted
from swarm.simulation.market import Market
from swarm.simulation.parties.road import Road
from swarm.simulation.plan import WorldPlan, run_sha256
from swarm.simulation.record import RunRecord
from swarm.simulation.region import TRAVELLER, region_of
from swarm.simulation.replay import replay
from swarm.simulation.traders import Gathered, TradersPort
from swarm.simulation.world_record import WorldRecorder
from tests.patience import patience
from tests.playing import Outcomes
from tests.refusals import refused

CONFIG: dict[str, Any] = {
    "name": "lands",
    "seed": 5,
    "rounds": 8,
    "population": 31,
    "models": [{"name": "calm", "temperament": "value"}, {"name": "wild", "temperament": "panic", "fault_rate": 0.2}],
    "traders": {"minds": {"calm": 1, "wild": 1, "zip": 2, "zi_c": 1}},
    "regions": {"names": ["east", "north", "west"], "travellers": 4},
}
NAMES = ("east", "north", "west")


def execute_in(folder: Path, should_stop: Callable[[], bool] = lambda: False, **changes: Any) -> RunResult:
    config = folder.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(CONFIG | changes, sort_keys=False))
    return Session(RunsOn(local=True), RunFolder(folder), stop=should_stop, report=False).execute(load(config))


def go_on(folder: Path) -> RunResult:
    return Session(RunsOn(local=True), RunFolder(folder), report=False).resume()


def journal(folder: Path, name: str) -> Path:
    return folder / "regions" / name / "journal.swarm"


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("complete") / "run"
    assert execute_in(folder).finished
    return folder


@pytest.fixture(scope="module")
def record(complete: Path) -> RunRecord:
    return RunFolder(complete).read_record()


def dispersion(seed: int, travellers: int) -> float:
    """Mean dispersion of prices, in permille, once goods have had the time to travel."""
    config = {
        "seed": seed,
        "rounds": 16,
        "population": 60,
        "traders": {"minds": {"zip": 1, "truthful": 1}},
        "regions": {"count": 3, "travellers": travellers},
    }
    by_round = play(resolve(config)).summary["regions"]["price_dispersion_permille"]["by_round"]
    return float(np.mean(by_round[6:]))


def test_arbitrage_lowers_the_dispersion_of_prices_significantly() -> None:
    less = np.array([dispersion(seed, 0) - dispersion(seed, 8) for seed in range(12)])
    t = less.mean() / (less.std(ddof=1) / sqrt(len(less)))
    # The 0.1% point of Student's t with eleven degrees of freedom, one-sided.
    assert t > 4.02, less
    assert (less > 0).sum() >= 11, less


def test_regions_begin_apart_and_without_a_tilt_alike() -> None:
    plan = compose(resolve(CONFIG))
    openings = np.array([own.market.opening_reference_ticks for own in plan.markets])
    assert (price_dispersion(openings) > 0).sum() >= 4
    alike = compose(resolve(CONFIG | {"regions": {"count": 3, "tilt_permille": 0}}))
    assert len({own.market.opening_reference_ticks for own in alike.markets}) == 1
    assert len({own.seed for own in alike.markets}) == 3


def test_a_scarce_good_is_dear() -> None:
    plans = [compose(resolve(CONFIG | {"seed": seed, "population": 200})).markets for seed in range(8)]
    price, harvest = [], []
    for plan in (plan for some in plans for plan in some):
        region = region_of(plan)
        price += region.opening_reference_ticks.tolist()
        config = region.scenario.config  # type: ignore[attr-defined]
        harvest += [config.harvest_lots[good] / (2 if good == "honey" else 3) for good in region.goods]
        price[-5:] = [p / b for p, b in zip(price[-5:], (20, 24, 26, 34, 22), strict=True)]
    assert np.corrcoef(price, harvest)[0, 1] < -0.5


def test_those_who_live_somewhere_are_spread_evenly_and_travel_on_one_road_at_most() -> None:
    plan = compose(resolve(CONFIG | {"population": 32}))
    assert [region_of(own).natives for own in plan.markets] == [11, 11, 10]
    assert [own.traders for own in plan.markets] == [15, 15, 14]
    homes = list(zip(plan.travellers.region[:, 0].tolist(), plan.travellers.seat[:, 0].tolist(), strict=True))
    assert len(homes) == len(set(homes)) == 12
    for number, own in enumerate(plan.markets):
        numbers = plan.number_of[number]
        assert sorted(numbers[: region_of(own).natives].tolist()) == sorted(set(numbers[: region_of(own).natives]))
        assert own.minds[region_of(own).natives :] == ("arbitrage",) * 4
    assert len(plan.run.minds) == 32
    assert "arbitrage" not in plan.run.minds


def test_two_regions_have_one_road_and_roads_can_be_named() -> None:
    two = resolve(CONFIG | {"regions": {"count": 2, "travellers": 3}})
    assert len(compose(two).travellers) == 3
    star = {"names": list(NAMES), "travellers": 2, "roads": [["north", "east"], ["north", "west"]]}
    plan = compose(resolve(CONFIG | {"regions": star}))
    assert plan.regions is not None
    assert plan.regions.neighbours == [[1], [0, 2], [1]]
    assert [len(region_of(own).guests.homes) for own in plan.markets] == [1, 2, 1]


def shown_in(round_: int) -> tuple[WorldPlan, Outcomes, list[Observation]]:
    """The plan of a run that ends with a round, its outcomes, and what that round showed in each region."""
    outcomes, shown = Outcomes(), [Shown() for _ in NAMES]
    each = iter(shown)
    found = play(
        resolve(CONFIG | {"rounds": round_}), outcomes, traders=lambda plan, port: next(each).asking(plan, port)
    )
    return found.plan, outcomes, [own.seen[-1] for own in shown]


def test_guests_neither_eat_nor_harvest_and_see_what_a_lot_brings_at_home() -> None:
    plan, outcomes, seen_by = shown_in(5)
    for own, latest in zip(plan.markets, outcomes.rounds[3].of, strict=True):
        region = region_of(own)
        named = dict(zip(own.market.named_accounts, latest.named_balances, strict=True))
        assert named[ISSUE][0] == -400 * 100 * region.natives
        guests = range(region.natives, own.traders)
        assert all(region.kinds[region.trader_kind[g]] == TRAVELLER for g in guests)
    assert plan.regions is not None
    region, fee, seen = region_of(plan.markets[0]), plan.regions.fee_permille, seen_by[0]
    prices = dict(seen.public.elsewhere)
    for row, home in enumerate(region.guests.homes, start=region.natives):
        worth = seen.private.bartering.worth_ticks[row]
        assert worth.tolist() == [max(p * 1_000 // (1_000 + fee), 1) for p in prices[home]]
        gains = worth > seen.public.reference_ticks
        assert (seen.private.bartering.need[row][~gains] == 0).all()
        assert (seen.private.bartering.spare[row] == np.where(gains, 0, seen.private.have[row])).all()


def test_the_digest_has_a_line_for_each_neighbour_where_there_are_several_markets_and_no_other(
    record: RunRecord,
) -> None:
    one = compose(resolve({key: value for key, value in CONFIG.items() if key != "regions"})).run
    assert "regions" not in one.config_record
    plan, _, seen_by = shown_in(2)
    text = public_text(seen_by[1].public, region_of(plan.markets[1]).goods)
    lines = [line for line in text.splitlines() if "IN" in line.split()]
    assert [line.partition(":")[0] for line in lines] == ["PRICE IN east", "PRICE IN west"]
    first = record.tables["regions"]
    told = first.filter((first["round"] == 1) & (first["region"] == "east"))
    assert lines[0].endswith(", ".join(f"{g} {p}" for g, p in told.select("good", "reference_ticks").iter_rows()))


def test_the_run_is_the_sum_of_its_regions(complete: Path, record: RunRecord) -> None:
    each = [RunFolder(complete).region(name).read_record() for name in NAMES]
    for key in ("trades", "volume_lots", "fills", "late_turns"):
        assert record.summary[key] == sum(own.summary[key] for own in each)
    assert record.summary["traders"] == CONFIG["population"]
    assert record.summary["journal_sha256"] == run_sha256([own.summary["journal_sha256"] for own in each])
    for asset, flow in record.summary["conservation"].items():
        assert flow["unexplained"] == 0
        assert flow["issued"] == sum(own.summary["conservation"][asset]["issued"] for own in each)
        assert all(own.summary["conservation"][asset]["unexplained"] == 0 for own in each)
        assert sum(own.summary["conservation"][asset]["in_other_accounts"].get(ROAD, 0) for own in each) == 0
    road = record.tables["road"]
    left, arrived, under_way = (road[column].to_numpy().reshape(8, 6) for column in ("left", "arrived", "under_way"))
    assert left[0, 0] > 0
    assert (arrived[1:] == left[:-1]).all()
    assert (under_way == left).all()
    assert (left[-1] == 0).all()
    assert sum(record.summary["regions"]["carried_lots"].values()) == left[:, 1:].sum() > 0
    dispersed = record.tables["regions"].filter(record.tables["regions"]["round"] == 8)
    prices = dispersed["reference_ticks"].to_numpy().reshape(3, 5)
    assert dispersed["price_dispersion_permille"].to_list()[:5] == np.rint(1_000 * price_dispersion(prices)).tolist()


def test_a_travellers_two_seats_are_one_traders_wealth(record: RunRecord) -> None:
    traders = record.tables["traders"]
    assert traders.filter(traders["round"] == 0).height == CONFIG["population"]
    assert set(traders["kind"]) <= {"squirrel", "hedgehog", "badger", "bear", "beaver"}
    assert sorted(set(traders["region"])) == [0, 1, 2]


def test_the_run_replays_and_so_does_each_region_without_the_others(complete: Path, tmp_path: Path) -> None:
    recorder = WorldRecorder()
    result = replay(RunFolder(complete).journals, composed, (recorder,))
    assert result.holds, result.mismatch
    assert result.rounds == 8
    assert result.replayed_sha256 == RunFolder(complete).recorded_sha256()
    assert recorder.rounds_done == 8
    for name in NAMES:
        alone = tmp_path / name / "journal.swarm"
        shutil.copytree(journal(complete, name).parent, alone.parent)
        own = replay(alone, composed)
        assert own.holds, own.mismatch
        assert own.replayed_sha256 == RunFolder(complete).region(name).recorded_sha256()


def test_a_dispatch_that_the_road_did_not_send_is_noticed_in_the_run_and_not_in_the_region(
    complete: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(complete, folder)
    records = list(JournalReader(journal(folder, "north")))
    index = next(i for i, r in enumerate(records) if r[:2] == ["Acted", 3])
    records[index][3][0][2][0] += 1
    head_path(journal(folder, "north")).unlink()
    journal(folder, "north").unlink()
    with JournalWriter(journal(folder, "north")) as writer:
        for one in records:
            writer.append(one)
    result = replay(RunFolder(folder).journals, composed)
    assert result.mismatch.startswith(f"north: record {index} is a 'Acted'")


def test_a_missing_journal_of_a_neighbour_is_named(complete: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(complete, folder)
    shutil.rmtree(folder / "regions" / "west")
    with pytest.raises(JournalError, match=r"west.*missing"):
        replay(RunFolder(folder).journals, composed)


def borders(path: Path) -> list[int]:
    reader = JournalReader(path)
    return [*(offset for offset, _ in reader.payloads()), reader.end]


def test_regions_that_were_killed_at_different_records_come_to_the_same_end(complete: Path, tmp_path: Path) -> None:
    ends = {name: borders(journal(complete, name)) for name in NAMES}
    for number, shares in enumerate(((0.5, 0.56, 0.52), (0.9, 0.01, 1.0), (0.0, 0.3, 0.33), (1.0, 1.0, 0.99))):
        folder = tmp_path / str(number)
        shutil.copytree(complete, folder)
        (folder / "summary.json").unlink()
        for name, share in zip(NAMES, shares, strict=True):
            cut = ends[name][int(share * (len(ends[name]) - 1))]
            with journal(folder, name).open("r+b") as file:
                # Every other one is torn within a record.
                file.truncate(cut + (5 if number % 2 and cut < ends[name][-1] else 0))
            head_path(journal(folder, name)).unlink()
        result = go_on(folder)
        assert result.finished
        assert result.record.summary["journal_sha256"] == RunFolder(complete).recorded_sha256()
        for name in NAMES:
            assert journal(folder, name).read_bytes() == journal(complete, name).read_bytes()


def test_a_stopped_run_is_complete_in_all_regions_and_goes_on(complete: Path, tmp_path: Path) -> None:
    calls = iter(range(1_000))
    stopped = execute_in(tmp_path / "run", lambda: next(calls) >= 3)
    assert (stopped.finished, stopped.record.summary["rounds"]) == (False, 3)
    result = replay(RunFolder(tmp_path / "run").journals, composed)
    assert result.holds
    assert result.unfinished_records == 0
    assert result.replayed_sha256 == stopped.record.summary["journal_sha256"]
    under_way = stopped.record.summary["regions"]["under_way"]
    road = stopped.record.summary["conservation"]["cash"]["in_other_accounts"].get(ROAD, 0)
    assert road == under_way["cash"]
    assert go_on(tmp_path / "run").record.summary["journal_sha256"] == RunFolder(complete).recorded_sha256()


def test_a_journal_of_another_region_or_config_is_not_gone_on_with(complete: Path, tmp_path: Path) -> None:
    for number, spoil in enumerate(("swap", "config")):
        folder = tmp_path / str(number)
        shutil.copytree(complete, folder)
        if spoil == "swap":
            shutil.rmtree(folder / "regions" / "north")
            shutil.copytree(folder / "regions" / "east", folder / "regions" / "north")
        else:
            text = (folder / "config.yaml").read_text()
            (folder / "config.yaml").write_text(text.replace("fee_permille: 20", "fee_permille: 21"))
        with pytest.raises(ConfigError, match="north" if spoil == "swap" else "begun with"):
            go_on(folder)


class Meeting:
    """Traders who decide only once all regions are being asked."""

    def __init__(self, traders: TradersPort, barrier: Barrier) -> None:
        self.traders, self.barrier = traders, barrier

    def decide(self, seen: Observation) -> Gathered:
        self.barrier.wait(timeout=patience(60))
        return self.traders.decide(seen)


def test_all_regions_are_asked_at_once() -> None:
    barrier = Barrier(3)
    assert play(resolve(CONFIG | {"rounds": 1}), traders=lambda _, port: Meeting(port, barrier)).rounds == 1


class Told:
    """Traders of whom those of the second region are told to stop in round 2."""

    def __init__(self, traders: TradersPort, number: int) -> None:
        self.traders, self.number = traders, number

    def decide(self, seen: Observation) -> Gathered:
        if self.number == 1 and seen.public.round == 2:
            raise Interrupted
        return self.traders.decide(seen)


def test_a_round_that_one_region_is_stopped_in_has_begun_in_none() -> None:
    number = count()
    found = play(resolve(CONFIG), traders=lambda _, port: Told(port, next(number)))
    assert found.rounds == 1
    assert {market.exchange.last_closed_round for market in found.markets if isinstance(market, Market)} == {1}


def test_own_minds_abroad_have_a_turn_at_either_seat(tmp_path: Path) -> None:
    regions = CONFIG["regions"] | {"abroad": "own"}
    result = execute_in(tmp_path / "run", regions=regions, rounds=4)
    decided = result.record.tables["decisions"]
    twice = decided.group_by("round", "trader").len().filter(decided.group_by("round", "trader").len()["len"] == 2)
    assert twice.height > 0
    replayed = replay(RunFolder(tmp_path / "run").journals, composed)
    assert replayed.holds
    check_budget(resolve(CONFIG | {"regions": regions}))


def test_the_report_shows_regions_side_by_side(record: RunRecord) -> None:
    html = render(record)
    for words in ("Price of every good, region by region", "Dispersion of prices over regions", "What travelled"):
        assert words in html
    for name in NAMES:
        assert f"<td>{name}</td>" in html
    assert "region by region" not in render(RunRecord({**record.summary, "regions": None}, record.tables))


@pytest.mark.parametrize(
    ("changes", "key", "word"),
    [
        ({"population": 5}, "regions", "5"),
        ({"regions": {"count": 3, "travellers": 11}}, "regions.travellers", "region-2"),
        ({"traders": {"minds": {"arbitrage": 1}}}, "traders.minds.arbitrage", "travellers"),
        ({"regions": {"count": 1}}, "regions.count", "2"),
        ({"regions": {}}, "regions", "names"),
        ({"regions": {"names": ["a"]}}, "regions", "2"),
        ({"regions": {"names": ["a", "a"]}}, "regions", "one name"),
        ({"regions": {"names": ["a", "../b"]}}, "regions", "../b"),
        ({"regions": {"names": ["a", "b"], "count": 3}}, "regions", "count"),
        ({"regions": {"names": ["a", "b"], "roads": [["a", "c"]]}}, "regions", "'c'"),
        ({"regions": {"names": ["a", "b"], "roads": [["a", "a"]]}}, "regions", "itself"),
        (
            {"regions": {"names": ["a", "b"], "roads": [["a", "b"], ["b", "a"]]}},
            "regions",
            "'b'",
        ),
        ({"regions": {"count": 2, "fee_permille": 1_001}}, "regions.fee_permille", "1000"),
        ({"regions": {"count": 2, "capacity_lots": 0}}, "regions.capacity_lots", "1"),
    ],
)
def test_bad_input_is_told_in_one_line(changes: dict[str, Any], key: str, word: str) -> None:
    with refused(key, word):
        resolve(CONFIG | changes)


def test_any_scenario_can_have_regions() -> None:
    config = CONFIG | {"scenario": {"name": "double_auction"}, "rounds": 7, "population": 60}
    found = play(resolve(config))
    assert found.rounds == 7
    assert not any(flow["unexplained"] for flow in found.summary["conservation"].values())
    assert len({own.market.opening_reference_ticks for own in found.plan.markets}) == 3


def test_a_run_that_is_stopped_before_its_first_round_can_still_be_told_of(tmp_path: Path) -> None:
    stopped = execute_in(tmp_path / "run", lambda: True)
    assert (stopped.finished, stopped.record.summary["rounds"]) == (False, 0)
    assert stopped.record.summary["regions"]["price_dispersion_permille"] == {"mean": 0.0, "by_round": []}


def test_the_road_is_checked_after_every_round_and_a_loss_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds, check = count(1), Road.check

    def robbed(road: Road, balances: Any) -> None:
        if next(rounds) == 2:
            lost = road.under_way
            road.under_way = replace(lost, amount=lost.amount - (np.arange(len(lost.amount)) == 0))
        check(road, balances)

    monkeypatch.setattr(Road, "check", robbed)
    with pytest.raises(LedgerError, match="road"):
        play(resolve(CONFIG))
    assert next(rounds) == 3
