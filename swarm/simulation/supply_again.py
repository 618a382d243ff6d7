"""Plays the rounds of a supply chain again with other decisions: the same customers, chance and rules, and no mind.

By contracts and at auction alike, with a ledger and a market of its own that journals nothing; prices come out as the
other orders make them. What parties did and what forks changed is not in it.
"""

from collections.abc import Mapping
from dataclasses import replace

from swarm.market.commands import CloseRound, SubmitOrders
from swarm.market.events import RoundCleared
from swarm.scenarios.supply_chain.auction import build
from swarm.scenarios.supply_chain.chain import SupplyChain
from swarm.scenarios.supply_chain.departures import Departures
from swarm.simulation.loop import with_priority
from swarm.simulation.market import Market
from swarm.simulation.numbering import Numbers, market_accounts
from swarm.simulation.opening import opening
from swarm.simulation.plan import RunPlan


def played_again(
    plan: RunPlan, chain: SupplyChain, rounds: int, decided: Mapping[int, Departures]
) -> Mapping[str, int]:
    """Returns the sums of all nodes' columns after `rounds`; nobody departs from its plan in a round without entry."""
    scenario = build(chain.config, chain.seed, plan.traders, chain.rounds, plan.market.config)
    fresh = replace(plan, scenario=scenario)
    market, numbers, accounts = Market(plan.market, None), Numbers(), market_accounts(fresh)
    follows = Departures.none(len(chain.network))
    answer = market.execute([numbers.command(one, accounts) for one in opening(fresh)])
    for round_ in range(1, rounds + 1):
        # The phases of a round are those of the round loop.
        resolved = scenario.resolve(round_, decided.get(round_, follows).choices(), answer.state)
        orders = with_priority(plan.seed, round_, resolved.orders)
        answer = market.execute([SubmitOrders(numbers.next(), round_, orders), CloseRound(numbers.next(), round_)])
        cleared = next(event for event in answer.events if isinstance(event, RoundCleared))
        answer = market.execute([numbers.command(one, accounts) for one in resolved.consequences])
        happens = scenario.after_clearing(round_, answer.state, cleared)
        answer = market.execute([numbers.command(one, accounts) for one in happens])
    return {name: int(column.sum()) for name, column in scenario.trader_columns().items()}
