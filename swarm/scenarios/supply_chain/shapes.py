"""The supply networks that need no table: a tree of suppliers, warehouses and retailers, a line, the beer game.

All of them are written as rows and read like anybody's table, so that they obey the same rules.
"""

import csv
import io
from collections.abc import Iterable

BEER_STAGES = ("retailer", "wholesaler", "distributor", "factory")

HEAD = (
    *("node", "supplier", "lead_time", "order_delay", "tier", "region"),
    *("holding", "transit", "backlog", "demand", "start_stock"),
)

Row = tuple[str | int, ...]


def tree(suppliers: int, warehouses: int, retailers: int, regions: tuple[str, ...]) -> str:
    """Returns the rows of a tree in which each node has one supplier and all of a tier are alike.

    Lead times are 4, 3 and 2 rounds and holding costs 1, 2 and 4 a unit from the suppliers down; what is under way
    costs what it would at its sender, and a customer's wait 36 a unit; demand is 5 a round.
    """

    def rows() -> Iterable[Row]:
        # A node's supplier is the one in whose range it lies, so that all have as many as can be.
        for i in range(suppliers):
            yield f"supplier-{i}", "outside", 4, 0, "supplier", _at(i, suppliers, regions), 100, 0, 0, "", ""
        for i in range(warehouses):
            above = f"supplier-{i * suppliers // warehouses}"
            yield f"warehouse-{i}", above, 3, 0, "warehouse", _at(i, warehouses, regions), 200, 100, 0, "", ""
        for i in range(retailers):
            above = f"warehouse-{i * warehouses // retailers}"
            yield f"retailer-{i}", above, 2, 0, "retailer", regions[i % len(regions)], 400, 200, 3600, 5, ""

    return _written(rows())


def _at(index: int, of: int, regions: tuple[str, ...]) -> str:
    return regions[index * len(regions) // of]


def serial(lead_times: tuple[int, ...], holding_cents: tuple[int, ...], backlog_cents: int, demand: str) -> str:
    """Returns the rows of a line, the node that sells to customers first; rates are local and in cents."""
    last = len(lead_times)
    rows: list[Row] = []
    for i, (lead, holding) in enumerate(zip(lead_times, holding_cents, strict=True), start=1):
        above = f"stage-{i + 1}" if i < last else "outside"
        # What is under way to a stage costs what it would at the one that sent it.
        transit = holding_cents[i] if i < last else 0
        sold = (backlog_cents, demand) if i == 1 else (0, "")
        rows.append((f"stage-{i}", above, lead, 0, f"stage {i}", "line", holding, transit, *sold, ""))
    return _written(rows)


def beer_game() -> str:
    """Returns the rows of the beer game's board: four stages, two rounds of mail and two of transport, 12 in store.

    The factory makes its cases in one round once it has its own order, so that they take three in all.

    Stock costs half a dollar a case and week and a backlog a whole one, at every stage.
    """
    above = (*BEER_STAGES[1:], "outside")
    rows: list[Row] = [
        (stage, supplier, 1 if supplier == "outside" else 2, 2, stage, "board", 50, 0, 100, 4 if i == 0 else "", 12)
        for i, (stage, supplier) in enumerate(zip(BEER_STAGES, above, strict=True))
    ]
    return _written(rows)


def _written(rows: Iterable[Row]) -> str:
    """Returns rows as a table's text; a cell that somebody chose stays one cell, whatever it holds."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEAD, *rows])
    return text.getvalue()
