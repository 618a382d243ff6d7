"""Whatever a network looks like and its nodes decide: units, orders and backlogs are conserved in every round."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from swarm.market.config import MarketConfig
from swarm.market.ledger import ISSUE, Ledger
from swarm.market.orders import Orders
from swarm.scenarios.protocol import Choices, MarketState, Movement
from swarm.scenarios.supply_chain import books
from swarm.scenarios.supply_chain.chain import SupplyChain
from swarm.scenarios.supply_chain.config import SupplyConfig
from swarm.scenarios.supply_chain.form import Replenish
from swarm.scenarios.supply_chain.planning import RULES

ROUNDS = 12
HEAD = "node,supplier,lead_time,order_delay,holding,transit,backlog,demand,capacity,start_stock\n"
DECISIONS = st.builds(Replenish, st.integers(-2, 2), st.booleans(), st.booleans())


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, int]:
    """Returns a network whose nodes order of nodes behind them, or of outside, and how many nodes it has."""
    nodes = draw(st.integers(2, 7))
    lines = []
    for i in range(nodes):
        # The last node always orders of outside; each node before it may sell to customers.
        above = draw(st.lists(st.integers(i + 1, nodes), min_size=1, max_size=3, unique=True))
        limit, start = draw(st.sampled_from(("", "1", "8"))), draw(st.sampled_from(("", "0", "5", "-3")))
        holding = draw(st.integers(0, 9))
        for own in above:
            supplier = "outside" if own == nodes else f"n{own}"
            lead, delay = draw(st.integers(1, 4)), draw(st.integers(0, 2))
            lines.append(f"n{i},{supplier},{lead},{delay},{holding},1,5,4,{limit},{start}")
    return HEAD + "\n".join(lines), nodes


class Books:
    """A ledger that makes the postings of a scenario, and checks itself after each."""

    def __init__(self, chain: SupplyChain, nodes: int) -> None:
        self.ledger = Ledger(nodes, len(chain.goods) + 1, chain.named_accounts)
        self.nodes = nodes

    def post(self, moves: object) -> None:
        for move in moves:  # type: ignore[attr-defined]
            assert isinstance(move, Movement)
            source, target = (
                np.full(len(move.amount), self.ledger.account(side)) if isinstance(side, str) else side
                for side in (move.source, move.target)
            )
            self.ledger.post(source, target, move.asset, move.amount)
            self.ledger.check(move.cause)

    @property
    def state(self) -> MarketState:
        return MarketState(self.ledger.balances[: self.nodes].copy(), np.ones(4, dtype=np.int64))

    def of(self, name: str) -> list[int]:
        balance: list[int] = self.ledger.balances[self.ledger.account(name)].tolist()
        return balance


@given(tables(), st.sampled_from(RULES), st.data())
def test_units_orders_and_backlogs_are_conserved(table: tuple[str, int], rule: str, data: st.DataObject) -> None:
    text, nodes = table
    config = SupplyConfig.model_validate(
        {"network": "table", "table": text, "plan": {"rule": rule, "levels": (9,)}, "purse_cents": 10_000}
    )
    chain = SupplyChain(config, data.draw(st.integers(0, 99)), nodes, ROUNDS, MarketConfig())
    own = Books(chain, nodes)
    own.post(chain.opening())
    for round_ in range(1, ROUNDS + 1):
        picked = data.draw(st.dictionaries(st.integers(0, nodes - 1), DECISIONS, max_size=nodes))
        chosen = Choices(
            np.array(sorted(picked), dtype=np.int64), tuple(picked[n] for n in sorted(picked)), Orders.empty()
        )
        before = chain._kept
        resolved = chain.resolve(round_, chosen, own.state)
        # Nothing holds before the round is over.
        assert chain._kept is before
        own.post(resolved.consequences)
        chain.after_clearing(round_, own.state, None)  # type: ignore[arg-type]
        goods, network = chain._kept.goods, chain.network
        balances = own.state.balances
        assert balances[:, books.UNITS].tolist() == goods.stock.tolist()
        assert balances[:, books.UNDER_WAY].tolist() == goods.under_way(network).tolist()
        assert balances[:, books.ORDERED].tolist() == goods.on_order(network).tolist()
        assert balances[:, books.OWED].tolist() == goods.owed.tolist()
        # Papers for what is under way are as many as units in the account between nodes.
        assert own.of(books.ROAD)[books.UNITS] == balances[:, books.UNDER_WAY].sum()
        assert min(goods.stock.min(), goods.owed.min(), goods.pipe.min(), goods.mail.min(), goods.due.min()) >= 0
        # What outside has ever sent lies with a node, on the road or with a customer.
        assert (
            -own.of(ISSUE)[books.UNITS] == goods.stock.sum() + goods.pipe.sum() + own.of(books.CUSTOMERS)[books.UNITS]
        )
        # Who owes customers has nothing in store.
        assert not goods.stock[goods.owed > 0].any()
    counts = chain.trader_columns()
    spent = sum(int(counts[f"{part}_cents"].sum()) for part in ("holding", "transit", "backlog", "expedite"))
    got = sum(own.of(name)[0] for name in (books.STORAGE, books.CUSTOMERS, books.CARRIER))
    # Total cost is cash that left the purses, but for what could not be paid, which is counted.
    assert got <= spent <= got + int(counts["unpaid_cents"].sum())
