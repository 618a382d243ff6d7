"""What an action or a decision would have gained a trader in a round that is cleared again, in ticks."""

from swarm.agents.decision import Decision, DecisionError
from swarm.agents.forms.menus import Action
from swarm.agents.observation import Observation
from swarm.market.counterfactual import Counterfactual
from swarm.market.events import Trades
from swarm.market.orders import BUY, SELL, Orders


def realised_ticks(before: Counterfactual, trader: int, action: Action, seen: Observation, row: int) -> int:
    """Returns what an action of a menu would have brought its trader, in ticks, by the fills that it would have had.

    A lot is worth what the trader was told it is; beyond its need half of that, as the menu reckons too.
    """
    if not action.legs:
        return 0
    return gain_of(before.trades_had(trader, orders_of(action, trader)), trader, seen, row)


def gain_of(trades: Trades, trader: int, seen: Observation, row: int) -> int:
    """Returns what a trader's fills gained it, in ticks: worth less price of what it bought, and the reverse."""
    barter = seen.private.bartering
    worth, need = barter.worth_ticks[row].tolist(), barter.need[row].tolist()
    gain = 0
    for good in range(len(worth)):
        own = trades.good == good
        lots, price = trades.quantity_lots, trades.price_ticks
        bought, sold = own & (trades.buyer == trader), own & (trades.seller == trader)
        # A lot within the need counts in full, one beyond it by half.
        got = int(lots[bought].sum())
        gain += worth[good] * (got + min(got, need[good])) // 2 - int((lots[bought] * price[bought]).sum())
        gain += int((lots[sold] * price[sold]).sum()) - worth[good] * int(lots[sold].sum())
    return gain


def orders_of(action: Action, trader: int) -> Orders:
    """Returns the orders of an action of a menu, without a priority."""
    rows = [
        (trader, sequence, good, BUY if buys else SELL, price, quantity, 0)
        for sequence, (buys, good, price, quantity) in enumerate(action.legs)
    ]
    return Orders.of_rows(rows)


def orders_decided(decision: Decision | DecisionError, trader: int, goods: tuple[str, ...]) -> Orders:
    """Returns the orders of a decision, without a priority; none of what is no decision."""
    if isinstance(decision, DecisionError):
        return Orders.empty()
    rows = [
        (trader, sequence, goods.index(o.good), BUY if o.side == "buy" else SELL, o.price, o.quantity, 0)
        for sequence, o in enumerate(decision.orders)
    ]
    return Orders.of_rows(rows)
