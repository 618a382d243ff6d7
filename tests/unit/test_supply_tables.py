"""Tables of networks and of demand: what is wrong is named with its row, and what is right comes out as columns."""

from typing import Any

import numpy as np
import pytest

from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.planning import compose
from swarm.scenarios.supply_chain.network import NO_LIMIT
from swarm.scenarios.supply_chain.table import TableError, read_table

HEAD = "node,supplier,lead_time,holding,backlog,demand,start_stock,capacity,share"


def rows(*lines: str) -> str:
    return "\n".join([HEAD, *lines])


@pytest.mark.parametrize(
    ("lines", "row", "word"),
    [
        (("a,b,1,1,9,5,,,", "b,a,1,1,,,,,"), 2, "supplies itself"),
        (("a,c,1,1,9,5,,,",), 2, "no node"),
        (("a,,1,1,9,5,,,",), 2, "no supplier"),
        (("a,a,1,1,9,5,,,",), 2, "own supplier"),
        (("a,outside,,1,9,5,,,",), 2, "lead_time is missing"),
        (("a,outside,0,1,9,5,,,",), 2, "lead_time"),
        (("a,outside,21,1,9,5,,,",), 2, "longer than the run"),
        (("a,b,1,1,9,5,,,", "b,outside,1,1,,,-3,,"), 3, "below 0"),
        (("a,outside,1,1,9,5,,0,",), 2, "capacity"),
        (("a,outside,1,1,9,5,,,", "a,outside,2,1,9,5,,,"), 3, "twice"),
        (("a,outside,1,1,9,5.1234,,,",), 2, "decimals"),
        (("a,outside,1,x,9,5,,,",), 2, "holding"),
        (("a,outside,1,9999999999999999999999,9,5,,,",), 2, "holding"),
        (("a,outside,1,1,9,5,,,", "b,outside,1,1,,,,,"), 3, "nobody buys"),
        (("a,outside,1,1,9,5,,,600", "a,b,1,1,,,,,500", "b,outside,1,1,,,,,"), 2, "shares"),
        (("outside,outside,1,1,9,5,,,",), 2, "world"),
        (("a,outside,1,1,9,5,,,,7",), 2, "10 cells, and the first row 9"),
        (("", "a,b,1,1,9,5,,,", "", "b,a,1,1,,,,,"), 3, "supplies itself"),
        (("a,Outside,1,1,9,5,,,",), 2, "did you mean outside"),
        (("a,outside,1,,9,5,,,",), 2, "holding is missing"),
        (("a,b,1,1,9,5,,,", "a,outside,1,7,,,,,", "b,outside,1,1,,,,,"), 3, "holding is '7', and '1' in row 2"),
        (("a,b,1,1,9,5,,,", "a,outside,1,,,6,,,", "b,outside,1,1,,,,,"), 3, "demand"),
        (("a,outside,1_0,1,9,5,,,",), 2, "lead_time"),
        (("a,outside,1,1,9,-5,,,",), 2, "demand"),
        (('a,outside,1,1,9,"2,5",,,',), 2, "demand"),
        (("a,outside,1,1,9," + "9" * 5_000 + ",,,",), 2, "demand"),
        (("a,outside,1,1,9,5," + "9" * 30 + ",,",), 2, "start_stock: expected -1000000000 to"),
        (('"a,outside,1,1,9,5,,,',), 2, "no row of cells"),
        (('"a', 'b",outside,1,1,9,5,,,'), 2, "several lines"),
        (("a\x1b[31m,outside,1,1,9,5,,,",), 2, "characters that print"),
        (("a\u2028PLAN,outside,1,1,9,5,,,",), 2, "characters that print"),
        (("a" * 61 + ",outside,1,1,9,5,,,",), 2, "at most 60 characters"),
    ],
)
def test_a_row_that_cannot_be_is_named(lines: tuple[str, ...], row: int, word: str) -> None:
    with pytest.raises(TableError, match=rf"row {row}\b.*{word}"):
        read_table(rows(*lines), 20)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "missing"),
        (HEAD, "no row"),
        ("node,supplier\na,b", "lead_time"),
        ("node,supplier,lead_time,holding,colour\n", "colour"),
        ("/data/network.csv", "the rows themselves"),
        ("PK\x03\x04\x14\n,\n", "spreadsheet's own file"),
        ("n\x00o\x00d\x00e\x00", "another encoding"),
        (HEAD.replace(",", ";") + "\na;outside;1;1;9;5;;;", "semicolons"),
        (HEAD.replace(",", "\t"), "tabs"),
        ("Node,supplier,lead_time,holding", "did you mean node"),
        ("node,node,supplier,lead_time,holding", "twice"),
    ],
)
def test_a_table_without_what_it_needs_is_refused(text: str, word: str) -> None:
    with pytest.raises(TableError, match=word):
        read_table(text, 20)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_table_may_begin_with_the_mark_of_its_encoding_and_end_its_lines_in_any_way(ending: str) -> None:
    text = "\ufeff" + rows('"a, by the sea",outside,1,1,9,5,,,', "").replace("\n", ending)
    assert read_table(text, 20).names == ("a, by the sea",)


def test_a_negative_start_stock_is_what_customers_are_owed() -> None:
    network = read_table(rows("a,outside,1,1,9,5,-3,,"), 20)
    assert network.start_stock.tolist() == [0]
    assert network.owed_at_start == 3


def test_two_suppliers_share_a_need_evenly_or_as_the_table_says() -> None:
    lines = ("a,b,1,1,9,5,,,", "a,c,2,1,,,,,", "b,outside,1,1,,,,,", "c,outside,1,1,,,,7,")
    network = read_table(rows(*lines), 20)
    own = network.edges.buyer == 0
    assert sorted(network.edges.share_permille[own].tolist()) == [500, 500]
    assert network.capacity.tolist() == [NO_LIMIT, NO_LIMIT, 7]
    assert network.mean.tolist() == [5, 2.5, 2.5]
    assert [len(level) for level in network.levels] == [1, 2]


CHAIN = ("b,c,1,1,,,,,", "c,d,1,1,,,,,", "d,outside,1,1,,,,,")
DEAR = rows("a,b,1,1,9,1000000,,,", *CHAIN)
TABLE = {"network": "table", "table": rows("a,b,1,1000000000,1000000000,5,,,", *CHAIN)}
STORM = {"region": "all", "first_round": 3, "permille": 100_000}


def composed(**scenario: Any) -> Any:
    keys: dict[str, Any] = {
        "rounds": 30,
        "traders": {"define": {"own": {"mind": "own", "rule": "plan"}}},
    }
    keys["traders"]["minds"] = {"own": 1}
    keys["population"] = scenario.pop("population", 4)
    config = {"scenario": {"name": "supply_chain", "network": "beer_game", **scenario}, **keys}
    return compose(resolve(config)).run


@pytest.mark.parametrize(
    ("scenario", "key", "word"),
    [
        ({"network": "table"}, "scenario.table", "needs a table"),
        ({"network": "table", "table": rows("a,b,1,1,9,5,,,")}, "scenario.table", "row 2"),
        ({"network": "serial"}, "population", "3 nodes"),
        ({"network": "tree"}, "population", "multiple of 25"),
        ({"shifts": [{"region": "moon", "first_round": 3, "permille": 500}]}, "scenario.shifts.0.region", "moon"),
        ({"shifts": [{"region": "board", "first_round": 3, "permille": 500}]}, "scenario.shifts", "series"),
        ({"news": [{"round": 1, "region": "moon", "text": "hm"}]}, "scenario.news.0.region", "moon"),
        ({"plan": {"rule": "levels"}}, "scenario.plan.levels", "needs"),
        ({"plan": {"z_permille": [-(10**20)]}}, "scenario.plan.z_permille.0", "-10000"),
        ({"plan": {"z_permille": [1_000] * 7}}, "scenario.plan.z_permille", "4, one for each tier"),
        ({"price_cents": [1] * 5}, "scenario.price_cents", "at most 4"),
        (
            {"network": "table", "table": rows("a,b,1,1,9,5,,,", *CHAIN), "purse_cents": 1 << 60},
            "scenario.purse_cents",
            "4",
        ),
        ({"regions": ["coast", "coast"]}, "scenario.regions", "coast"),
        ({"plan": {"levels": [-1]}}, "scenario.plan.levels.0", "0"),
        ({"network": "table", "price_cents": [10**9], "table": DEAR}, "scenario.purse_cents", "every round"),
        ({"price_cents": [-3]}, "scenario.price_cents.0", "0"),
        ({"serial": {"lead_times": [1, 1, 10**9]}}, "scenario.serial.lead_times.2", "1000"),
        ({"series": "round,retailer\n1,4\n3,4"}, "scenario.series", "row 3"),
        ({"series": "round,retailer\n1,4\n2,"}, "scenario.series", "gap"),
        ({"series": "round,retailer\n1,4.5"}, "scenario.series", "whole units"),
        ({"series": "round,factory\n1,4"}, "scenario.series", "factory"),
        ({"series": "week,retailer\n1,4"}, "scenario.series", "'round'"),
        ({"series": "round\n1"}, "scenario.series", "no column"),
        ({"series": "round;retailer\n1;4"}, "scenario.series", "semicolons"),
        ({"series": "round,retailer\n1,4,9"}, "scenario.series", "3 cells"),
        ({"series": "round,retailer\n1," + "9" * 5_000}, "scenario.series", "whole units"),
        ({"table": rows("a,b,1,1,9,5,,,", *CHAIN)}, "scenario.table", "does not read it"),
        ({"serial": {"demand": "7"}}, "scenario.serial", "scenario.network=serial"),
        ({"regions": ["coast"]}, "scenario.regions", "scenario.network=tree"),
        ({"news": [{"round": 1, "text": " \t "}]}, "scenario.news.0.text", "words"),
        ({**TABLE, "shifts": [STORM] * 5}, "scenario.shifts.0.permille", "units in round 3"),
        ({**TABLE, "shifts": [STORM] * 1_000}, "scenario.shifts.0.permille", "units in round 3"),
        ({**TABLE, "series": "round,a\n1," + "9" * 9, "purse_cents": 1}, "scenario", "costs may come to"),
        ({**TABLE, "plan": {"rule": "levels", "levels": [10**9]}, "purse_cents": 1}, "scenario", "levels"),
    ],
)
def test_a_section_that_cannot_be_is_named(scenario: dict[str, Any], key: str, word: str) -> None:
    with pytest.raises(ConfigError) as refused:
        composed(**scenario)
    assert refused.value.key == key
    assert word in str(refused.value)


def test_a_series_goes_on_with_its_last_row() -> None:
    chain = composed(series="round,retailer\n1,4\n2,7").scenario
    asked = [int(chain.setup.demand.units(round_)[0]) for round_ in (1, 2, 3, 30)]
    assert asked == [4, 7, 7, 7]
    assert not np.any(chain.setup.demand.units(1)[1:])


def test_a_shape_keeps_what_somebody_wrote_in_one_cell() -> None:
    chain = composed(
        network="tree", retailers_per_warehouse=1, warehouses_per_supplier=1, regions=['a,b "c"'], population=3
    )
    assert chain.scenario.network.regions == ('a,b "c"',)
    with pytest.raises(ConfigError, match=r"demand: expected a mean .* '5,777'"):
        composed(network="serial", serial={"demand": "5,777"})


def test_two_goods_of_a_market_have_two_names() -> None:
    head = "node,supplier,lead_time,holding,backlog,demand,tier,region"
    table = "\n".join([head, "s,d,1,1,9,5,a-b,c", "t,d,1,1,9,5,a-b,c", "u,d,1,1,9,5,a-b,c", "d,outside,1,1,,,a,b-c"])
    with pytest.raises(ConfigError, match="called 'a-b-c'") as refused:
        composed(network="table", table=table, mode="market")
    assert refused.value.key == "scenario.mode"
