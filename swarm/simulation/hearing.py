"""Says who hears what in a market: its router, what it ranks messages by, and what traders let others know."""

import numpy as np

from swarm.agents import minds
from swarm.agents.observation import PrivateViews
from swarm.coordination.gossip import contact_graph
from swarm.coordination.messages import Messages, left_over, sent
from swarm.coordination.router import Holdings, Router
from swarm.market.events import OrdersTaken, RoundCleared
from swarm.market.orders import Orders
from swarm.simulation.plan import RunPlan
from swarm.simulation.traders import Gathered


def new_router(plan: RunPlan) -> Router:
    """Returns a router that has learned nothing; who decides by a baseline reads no text."""
    traders = plan.shard.traders
    graph = contact_graph(plan.seed, plan.traders, traders.contacts(plan.traders))
    return Router(plan.seed, graph, minds.thinks(plan.shard), traders.router)


def holdings(own: PrivateViews) -> Holdings:
    """Returns what the router ranks messages by; where nobody barters, nobody needs or can spare anything."""
    nothing = np.zeros_like(own.have)
    barter = own.barter
    return Holdings(own.makes, barter.need if barter else nothing, barter.spare if barter else nothing, own.have)


def said(
    plan: RunPlan, round_: int, gathered: Gathered, orders: Orders, taken: OrdersTaken, cleared: RoundCleared
) -> Messages:
    """Returns what traders let others know: their lines and, if a router wants it, what their orders left unfilled."""
    router = plan.shard.traders.router
    offers = left_over(orders, taken, cleared.trades) if router and router.offers else Orders.empty()
    return sent(round_, gathered.turns.trader, gathered.decisions.gossip, plan.scenario.goods, offers)
