"""The report shows every kind of run, escapes what comes from data, and holds no more than a page can."""

import json
import re
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
import pytest

from swarm.config_file import resolve
from swarm.market.quality import gini
from swarm.report import aggregates, charts, wording
from swarm.report.page import coded, render
from swarm.runtime.play import play
from swarm.scenarios.protocol import ShockMark
from swarm.simulation.record import RunRecord
from tests.playing import used_pebbles

EVIL = "</script><script>alert('&')</script>"
SHOCK = {"kind": "mania", "round": 2, "rounds": 2, "good": "honey", "title": EVIL}


def run(stop_after: int | None = None, **changes: Any) -> RunRecord:
    """The record of a short run in the Wood."""
    settings: dict[str, Any] = {
        "rounds": 6,
        "population": 10,
        "scenario": {"name": "wood", "season_rounds": 3, "shocks": [SHOCK]},
        "models": [
            {"name": "valuing", "temperament": "value", "fault_rate": 0.3},
            {"name": "panicky", "temperament": "panic"},
        ],
    }
    asked = iter(range(1_000_000))
    played = play(resolve({**settings, **changes}), stop=lambda: stop_after is not None and next(asked) >= stop_after)
    return played.record


def charts_of(html: str) -> dict[str, Any]:
    """What the page's script is given to draw."""
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', html, re.DOTALL)
    assert found
    drawn: dict[str, Any] = json.loads(found.group(1))
    return drawn


def words_of(html: str) -> str:
    """The page without its scripts and styles."""
    return re.sub(r"<(script|style).*?</\1>", "", html, flags=re.DOTALL)


@pytest.fixture(scope="module")
def record() -> RunRecord:
    return run()


@pytest.fixture(scope="module")
def html(record: RunRecord) -> str:
    return render(record)


def test_it_names_the_run_and_how_to_have_it_again(record: RunRecord, html: str) -> None:
    words = words_of(html)
    for fact in ("journal_sha256", "config_sha256", "seed"):
        assert str(record.summary[fact]) in words
    assert "swarm replay" in words
    assert "finished: all 6 rounds" in words


def test_every_chart_has_its_place_and_its_axes_their_titles(html: str) -> None:
    specs = charts_of(html)["specs"]
    numbers = [int(number) for number in re.findall(r'data-chart="(\d+)"', html)]
    assert numbers == list(range(len(specs)))
    for spec in specs:
        for channel in ("x", "y"):
            found = [layer["encoding"].get(channel, {}).get("title") for layer in spec["layer"]]
            assert any(found), (channel, spec)


def test_every_data_set_that_a_spec_names_is_there(html: str) -> None:
    drawn = charts_of(html)
    for spec in drawn["specs"]:
        named = {layer.get("data", spec.get("data"))["name"] for layer in spec["layer"]}
        assert named <= drawn["shared"].keys() | spec["datasets"].keys()


def test_what_comes_from_data_is_escaped(html: str) -> None:
    assert EVIL not in html
    assert "&lt;/script&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;" in html
    assert charts_of(html)["shared"]["shocks"][0]["title"] == EVIL
    assert html.count("</script>") == 3


def test_it_asks_no_network_for_anything(html: str) -> None:
    words = words_of(html)
    assert not re.findall(r"https?://|src=|@import|url\(", words)
    assert "default-src 'none'" in html
    for spec in charts_of(html)["specs"]:
        assert "http" not in json.dumps(spec)


def test_scripted_policies_are_named_next_to_every_result_by_mind(html: str) -> None:
    words = words_of(html)
    assert "<strong>Scripted policies, no language model</strong>" in words
    by_model = re.findall(r"<h3>([^<]* by mind[^<]*)(<span[^>]*>[^<]*</span>)?", words)
    assert len(by_model) >= 6
    assert all("scripted policies, no language model" in tag for _, tag in by_model)


def test_decision_errors_are_told_by_kind_and_model(record: RunRecord, html: str) -> None:
    assert record.summary["decision_errors"]
    assert set(aggregates.errors_by_mind(record)) == {"valuing"}
    assert "not json" in words_of(html)


def test_a_run_without_a_round_says_so() -> None:
    html = render(run(stop_after=0))
    words = words_of(html)
    assert "interrupted: 0 of 6 rounds" in words
    assert "nothing to chart" in words
    assert "Conservation" in words
    assert charts_of(html)["specs"] == []


def test_an_interrupted_run_is_marked_and_drawn_as_far_as_it_came() -> None:
    html = render(run(stop_after=1))
    assert "interrupted: 1 of 6 rounds" in words_of(html)
    drawn = charts_of(html)
    assert drawn["specs"]
    assert drawn["shared"]["shocks"] == []
    assert "not reached" in words_of(html)


def test_a_run_of_baselines_has_no_turns_to_show() -> None:
    html = render(run(models=[], traders={"minds": {"zi_c": 1, "zip": 1}}))
    words = words_of(html)
    assert "nobody was prompted" in words
    assert "Baseline rules, no language model" in words
    assert "Latency of a turn" not in words


def test_another_scenario_needs_neither_moods_nor_shocks_nor_seasons(record: RunRecord) -> None:
    renamed = {"honey": "<steel>", "bear": "mill & forge"}
    tables = {name: table.with_columns(pl.col(pl.String).replace(renamed)) for name, table in record.tables.items()} | {
        "rounds": record.tables["rounds"].with_columns(season=pl.lit(""))
    }
    tables["traders"] = tables["traders"].drop("mood_permille", "foods_eaten")
    summary = record.summary | {
        "goods": [renamed.get(good, good) for good in record.summary["goods"]],
        "kinds": [renamed.get(kind, kind) for kind in record.summary["kinds"]],
        "shocks": [],
    }
    html = render(RunRecord(summary, tables))
    words = words_of(html)
    assert "Mood by kind" not in words
    assert "<h3>Shocks" not in words
    assert "&lt;steel&gt;" in words
    assert "<steel>" not in html
    assert "mill &amp; forge" in words


def test_broken_conservation_is_shown(record: RunRecord) -> None:
    flows = {asset: dict(flow) for asset, flow in record.summary["conservation"].items()}
    flows["honey"]["unexplained"] = -3
    words = words_of(render(RunRecord(record.summary | {"conservation": flows}, record.tables)))
    assert "unexplained: honey" in words


def test_the_gini_over_rounds_ends_at_the_summary(record: RunRecord) -> None:
    over_rounds = aggregates.wealth_gini(record)["gini"].to_list()
    wealth = record.summary["wealth"]
    assert [over_rounds[0], over_rounds[-1]] == pytest.approx([wealth["gini_start"], wealth["gini_end"]], abs=1e-5)


def test_profits_are_what_each_trader_has_more_and_has_eaten(record: RunRecord) -> None:
    traders = record.tables["traders"]
    total = {r: int(traders.filter(round=r)["wealth_cents"].to_numpy().sum()) for r in (0, 6)}
    assert aggregates.profits(record)["profit"].to_numpy().sum() == pytest.approx(
        (total[6] - total[0]) / 100 + used_pebbles(record, 1, 6)
    )


def test_it_tells_what_shocks_did_who_won_and_which_rumours_came_true(record: RunRecord, html: str) -> None:
    words = words_of(html)
    for title in ("What each shock did", "Who won, by mind", "Who won, by kind"):
        assert title in words
    prices = record.tables["prices"].filter(pl.col("good") == "honey")
    before = prices.filter(round=1)["clearing_ticks"].item() * record.summary["tick_cents"] / 100
    assert f'<td class="number">{before:,.1f}</td>' in words
    for rumour in record.summary["messages"].get("moved", []):
        change = rumour["after_ticks"] - rumour["before_ticks"]
        assert ("fall" in rumour["text"] or "plenty" in rumour["text"]) is (change < 0)
        assert rumour["text"] in words


def test_its_command_runs_it_again_from_its_folder(html: str) -> None:
    assert "swarm run config.yaml --local" in words_of(html)


def test_a_good_keeps_its_colour_and_many_goods_stay_apart() -> None:
    goods = [f"good {i}" for i in range(20)]
    looks = [charts.good_colour(goods, good) for good in goods]
    assert len({(colour, tuple(dashes)) for colour, dashes in looks}) == len(goods)


def test_titles_of_shocks_that_overlap_stand_on_lines_of_their_own() -> None:
    shocks = [asdict(ShockMark("A rather long title of a shock", first, first + 2, "honey")) for first in (3, 5, 40)]
    assert [mark["line"] for mark in charts.shock_marks(shocks, 60)] == [0, 1, 0]


def test_a_long_run_of_many_is_thinned_and_says_so(record: RunRecord) -> None:
    traders, rounds, goods = 20_000, 2_000, record.summary["goods"]
    names = np.resize(np.array(["valuing", "panicky"]), traders)
    kinds = np.resize(np.array(record.summary["kinds"]), traders)
    wealth = np.random.default_rng(1).integers(1, 100_000, traders)
    columns = {"trader": np.arange(traders), "kind": kinds, "mind": names, "wealth_cents": wealth}
    tables = dict(record.tables)
    tables["traders"] = pl.concat(pl.DataFrame({"round": np.full(traders, at), **columns}) for at in (0, 1_000, rounds))
    at, good = np.repeat(np.arange(1, rounds + 1), len(goods)), np.resize(np.array(goods), rounds * len(goods))
    amounts = ("clearing_ticks", "reference_ticks", "volume_lots", "unfilled_buy_lots", "unfilled_sell_lots")
    tables["prices"] = pl.DataFrame({"round": at, "good": good, **dict.fromkeys(amounts, 7)})
    seconds = dict.fromkeys(("duration_s", "decide_s", "clear_s"), 0.1)
    tables["rounds"] = pl.DataFrame({"round": np.arange(1, rounds + 1), "season": "", **seconds})
    changes = {"traders": traders, "rounds": rounds, "rounds_planned": rounds, "traders_table_every_rounds": 1_000}
    html = render(RunRecord(record.summary | changes, tables))
    drawn = charts_of(html)
    assert sum(len(rows) for spec in drawn["specs"] for rows in spec["datasets"].values()) < 20_000
    assert len(html.encode()) < 2_000_000
    words = words_of(html)
    assert "stands for 9 rounds" in words
    assert "of 20,000 traders" in words
    assert "kept every 1,000 rounds" in words


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0 s"), (0.000085, "85 µs"), (0.0134, "13.4 ms"), (0.25, "250 ms"), (2.5, "2.5 s"), (1234.0, "1,234 s")],
)
def test_durations_are_read_in_the_unit_that_suits_them(value: float, shown: str) -> None:
    assert wording.seconds(value) == shown


def test_what_was_traded_between_traders_in_debt_has_one_gini(record: RunRecord) -> None:
    poor = record.tables["traders"].with_columns(
        wealth_cents=pl.when(pl.col("trader") < 4).then(-pl.col("wealth_cents")).otherwise(pl.col("wealth_cents"))
    )
    shown = aggregates.wealth_gini(RunRecord(record.summary, {**record.tables, "traders": poor}))
    last = poor.filter(round=record.summary["rounds"])["wealth_cents"].to_numpy()
    assert (last < 0).any()
    assert shown["gini"].to_list()[-1] == pytest.approx(gini(last), abs=1e-5)
    assert 0 <= gini(last) < 1


def test_the_spread_of_wealth_leaves_nobody_out_who_owes(record: RunRecord) -> None:
    owing = record.tables["traders"].with_columns(wealth_cents=pl.col("wealth_cents") - 10**6)
    found = aggregates.spread(RunRecord(record.summary, {**record.tables, "traders": owing}), "wealth_cents", 100)
    last = owing.filter(round=record.summary["rounds"])["wealth_cents"].to_numpy() / 100
    assert found["median"].to_list()[-1] == pytest.approx(np.median(last), abs=0.01)


def test_what_a_caption_quotes_is_code_and_no_markup() -> None:
    assert coded("`swarm report` of <b>") == "<code>swarm report</code> of &lt;b&gt;"
    assert coded("one ` alone") == "one ` alone"
