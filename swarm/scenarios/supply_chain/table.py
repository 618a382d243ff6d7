"""Reads a supply network from a table of text: a row for each node and supplier, every mistake named with its row.

A node has one row for each of its suppliers; what belongs to the node itself stands in its first row. `outside` is the
supplier of those that make or import their goods.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

import numpy as np

from swarm.errors import printable, suggest
from swarm.scenarios.supply_chain.cells import CellsError, read_cells, whole
from swarm.scenarios.supply_chain.network import NO_LIMIT, OUTSIDE, PLANNED, Edges, Network, sorted_edges

KEY = "scenario.table"
NEEDED = ("node", "supplier", "lead_time", "holding")
COLUMNS = (*NEEDED, "order_delay", "share", "tier", "region", "transit", "backlog", "demand", "capacity", "start_stock")
"""The columns of a table; all but the first four may be left out."""

MAX_NODES, MAX_LEAD, MAX_NUMBER = 10_000, 1_000, 1_000_000_000
MAX_NAME_CHARS = 60


class TableError(ValueError):
    """A row of a table that cannot be a network's."""

    def __init__(self, row: int | None, node: str, what: str, remedy: str = "") -> None:
        at = f"row {row}" + (f" ({printable(node[:MAX_NAME_CHARS])})" if node else "") if row else "table"
        super().__init__(f"{at}: {what}" + (f"; {remedy}" if remedy else ""))


@dataclass
class _Node:
    """A node as its rows tell it."""

    row: int
    cells: dict[str, str]
    numbers: dict[str, int]
    tier: str
    region: str
    suppliers: dict[str, tuple[int, int, int, int | None]] = field(default_factory=dict)


def read_table(text: str, rounds: int) -> Network:
    """Returns the network of a table in CSV; TableError names the first row that is wrong.

    Goods that take longer than the run has `rounds` would never arrive, so such a lead time is a mistake.
    """
    try:
        rows = read_cells(text)
    except CellsError as error:
        raise TableError(error.row, "", error.what, error.remedy) from None
    # The head first: each of its columns is known, stands there once, and none is missing that a row needs.
    first, head = rows[0] if rows else (1, [])
    if len(rows) == 1 and len(head) == 1:
        raise TableError(None, "", f"expected the text of a table, got {text[:60]!r}", "put the rows themselves there")
    for name in head:
        if name not in COLUMNS:
            told = f"there is no column {name[:40]!r}{suggest(name.lower(), COLUMNS)}"
            raise TableError(first, "", told, f"known: {', '.join(COLUMNS)}")
        if head.count(name) > 1:
            raise TableError(first, "", f"the column {name!r} stands there twice", "take one out")
    if missing := [name for name in NEEDED if name not in head]:
        raise TableError(first, "", f"the column {missing[0]!r} is missing", f"needed: {', '.join(NEEDED)}")
    nodes: dict[str, _Node] = {}
    for number, cells in rows[1:]:
        row = dict(zip(head, [*cells, *[""] * len(head)], strict=False))
        if any(cells[len(head) :]):
            told = f"it has {len(cells)} cells, and the first row {len(head)} columns"
            raise TableError(number, row["node"], told, "quote a cell that has a comma in it")
        _add(nodes, number, row, rounds)
    if len(nodes) > MAX_NODES:
        raise TableError(None, "", f"expected at most {MAX_NODES:,} nodes, got {len(nodes):,}")
    return _network(nodes)


def _add(nodes: dict[str, _Node], number: int, row: dict[str, str], rounds: int) -> None:
    """Takes in one row."""
    # The names first, since every other complaint has the node's.
    name, supplier = row["node"], row["supplier"]
    if not name or name == "outside":
        raise TableError(number, name, "expected a name of a node", "'outside' is the world beyond the network")
    if not supplier:
        raise TableError(number, name, "it has no supplier", "name a node, or 'outside'")
    if supplier == name:
        raise TableError(number, name, "it is its own supplier")
    # Prompts, reports and a market's goods have all of these names in their lines.
    for column in ("node", "supplier", "tier", "region"):
        if len(text := row.get(column, "")) > MAX_NAME_CHARS or not text.isprintable():
            told = f"{column}: expected at most {MAX_NAME_CHARS} characters that print, got {text[:20]!r}"
            raise TableError(number, name, told, "give it a shorter, plain name")
    node = nodes.get(name)
    if node is not None:
        _must_agree(node, number, name, row)
    else:
        # What belongs to the node stands in its first row.
        if not row["holding"]:
            raise TableError(number, name, "holding is missing", "give cents for a unit in store and round, 0 for none")
        numbers = {
            "holding": _cents(row, "holding", number, name),
            "transit": _cents(row, "transit", number, name),
            "backlog": _cents(row, "backlog", number, name),
            "demand": _millis(row, number, name),
            "capacity": _whole(row, "capacity", number, name, 1, NO_LIMIT),
            "start_stock": _whole(row, "start_stock", number, name, -MAX_NUMBER, PLANNED),
        }
        node = nodes[name] = _Node(number, row, numbers, row.get("tier", ""), row.get("region", "") or "all")
        if numbers["start_stock"] != PLANNED and numbers["start_stock"] < 0 and not numbers["demand"]:
            raise TableError(
                number, name, "a start stock below 0 is what customers are owed, and no customer buys here", "use 0"
            )
    if supplier in node.suppliers:
        raise TableError(number, name, f"it orders of {supplier!r} twice", "give the two rows as one")
    if not row["lead_time"]:
        raise TableError(number, name, "lead_time is missing", f"give rounds from 1 to {MAX_LEAD}")
    lead = _whole(row, "lead_time", number, name, 1, 1)
    delay = _whole(row, "order_delay", number, name, 0, 0)
    if lead + delay > rounds:
        raise TableError(
            number, name, f"lead_time {lead} and order_delay {delay} are longer than the run's {rounds} rounds"
        )
    if lead + delay > MAX_LEAD:
        raise TableError(number, name, f"lead_time and order_delay are more than {MAX_LEAD} rounds")
    share = _whole(row, "share", number, name, 1, 0)
    node.suppliers[supplier] = (number, lead, delay, share or None)


def _must_agree(node: _Node, number: int, name: str, row: dict[str, str]) -> None:
    """Raises TableError where a further row of a node says otherwise than its first of what is the node's own."""
    for column in (*_NUMBERS, "tier", "region"):
        said, first = row.get(column, ""), node.cells.get(column, "")
        if said and said != first:
            told = f"{column} is {said[:20]!r}, and {first[:20]!r} in row {node.row}"
            raise TableError(number, name, told, "say it in the node's first row alone")


def _network(nodes: dict[str, _Node]) -> Network:
    """Returns the columns of nodes that fit together; TableError where they do not."""
    if not nodes:
        raise TableError(None, "", "there is no row in it", "a row for each node and supplier")
    for name, node in nodes.items():
        for supplier, (row, *_) in node.suppliers.items():
            if supplier != "outside" and supplier not in nodes:
                told = f"its supplier {supplier!r} is no node of this table{suggest(supplier, [*nodes, 'outside'])}"
                raise TableError(row, name, told)
    # Every supplier is there, none supplies itself by a detour, and somebody buys of each.
    graph = {name: [s for s in node.suppliers if s != "outside"] for name, node in nodes.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring = [str(name) for name in error.args[1]][::-1]
        raise TableError(
            nodes[ring[0]].row, ring[0], f"it supplies itself in the end: {' <- '.join(ring)}", "cut the cycle"
        ) from None
    names = tuple(nodes)
    number = {name: i for i, name in enumerate(names)} | {"outside": OUTSIDE}
    fed = {supplier for node in nodes.values() for supplier in node.suppliers}
    for name, node in nodes.items():
        if not node.numbers["demand"] and name not in fed:
            raise TableError(node.row, name, "nobody buys of it", "give it demand, or take it out")
    # [edges, 5]: buyer, supplier, lead time, delay and share.
    rows = [
        (number[name], number[supplier], lead, delay, share)
        for name, node in nodes.items()
        for (supplier, (_, lead, delay, _)), share in zip(node.suppliers.items(), _shares(name, node), strict=True)
    ]
    column = {key: np.array([node.numbers[key] for node in nodes.values()], dtype=np.int64) for key in _NUMBERS}
    start = column["start_stock"]
    owed = np.where((start < 0) & (start != PLANNED), -start, 0)
    edges = sorted_edges(Edges(*np.array(rows, dtype=np.int64).reshape(len(rows), 5).T.copy()))
    regions = tuple(dict.fromkeys(node.region for node in nodes.values()))
    # Tiers are named once the depth of each node is known.
    made = Network(
        names=names,
        tier=np.zeros(len(names), dtype=np.int64),
        tiers=(),
        region=np.array([regions.index(node.region) for node in nodes.values()], dtype=np.int64),
        regions=regions,
        demand_millis=column["demand"],
        holding_cents=column["holding"],
        transit_cents=column["transit"],
        backlog_cents=column["backlog"],
        capacity=column["capacity"],
        start_stock=np.where(owed > 0, 0, start),
        start_backlog=owed,
        edges=edges,
    )
    return with_tiers(made, [node.tier for node in nodes.values()])


def with_tiers(network: Network, named: Sequence[str]) -> Network:
    """Returns the network with the names of its tiers; where none are given they are called by their depth."""
    told = [name or f"tier {depth + 1}" for name, depth in zip(named, network.depth.tolist(), strict=True)]
    # Tiers from the customers up.
    tiers = tuple(dict.fromkeys(told[i] for i in np.argsort(network.depth, kind="stable")))
    columns = {name: getattr(network, name) for name in Network.__dataclass_fields__}
    return Network(**columns | {"tiers": tiers, "tier": np.array([tiers.index(name) for name in told])})


_NUMBERS = ("holding", "transit", "backlog", "demand", "capacity", "start_stock")


def _shares(name: str, node: _Node) -> list[int]:
    """Returns the shares of a node's suppliers in 1/1000; equal ones where none is given."""
    # Shares are given for all suppliers of a node or for none.
    given = [share for *_, share in node.suppliers.values()]
    if all(share is None for share in given):
        n = len(given)
        return [1_000 // n + (i < 1_000 % n) for i in range(n)]
    if any(share is None for share in given) or sum(share or 0 for share in given) != 1_000:
        told = ", ".join(str(share or "none") for share in given)
        raise TableError(node.row, name, f"the shares of its suppliers are {told}", "in 1/1000, 1000 together")
    return [share or 0 for share in given]


def _whole(row: dict[str, str], column: str, number: int, name: str, low: int, default: int) -> int:
    text = row.get(column, "")
    if not text:
        return default
    value = whole(text)
    if value is None:
        raise TableError(number, name, f"{column}: expected a whole number, got {text[:20]!r}")
    if not low <= value <= MAX_NUMBER:
        raise TableError(number, name, f"{column}: expected {low} to {MAX_NUMBER:,}, got {text[:20]}")
    return value


def _cents(row: dict[str, str], column: str, number: int, name: str) -> int:
    return _whole(row, column, number, name, 0, 0)


def _millis(row: dict[str, str], number: int, name: str) -> int:
    """Returns the mean demand in 1/1000 units; at most three decimals."""
    text = row.get("demand", "")
    if not text:
        return 0
    units, _, rest = text.partition(".")
    value = whole(units + rest.ljust(3, "0"))
    if value is None or not units.isdigit() or len(rest) > 3:
        raise TableError(number, name, f"demand: expected a mean of at most three decimals, got {text[:20]!r}")
    if value > MAX_NUMBER:
        raise TableError(number, name, f"demand: expected at most {MAX_NUMBER // 1_000:,}, got {text[:20]}")
    return value
