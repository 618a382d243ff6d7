"""What the road is worth at auction: a region runs short, and its stores hurry in no round, every third or all.

Who hurries is fixed beforehand and is no mind's choice, so it says what can be had and nothing of who has it.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

from swarm.bench.form import Result
from swarm.bench.supply_minds import filled, summed
from swarm.bench.supply_runs import SHIFTED
from swarm.config_file import resolve
from swarm.planning import compose
from swarm.scenarios.supply_chain.chain import CENTS
from swarm.scenarios.supply_chain.departures import Departures
from swarm.simulation.facets.supply import COSTS
from swarm.simulation.supply_again import played_again

ROUNDS, SHIFT_ROUND, REGION = 120, 61, "coast"
EVERY: dict[str, Sequence[int]] = {
    "in_no_round": (),
    "in_every_third": range(SHIFT_ROUND + 1, ROUNDS + 1, 3),
    "in_all": range(SHIFT_ROUND + 1, ROUNDS + 1),
}
"""In which rounds after the shift of demand the region's stores hurry."""


def roads(seeds: int, pool: Executor) -> list[Result]:
    """Returns the costs and the fill of a hundred nodes at auction, by how often the stores of a region hurry."""
    results: list[Result] = []
    for name, rounds in EVERY.items():
        runs = list(pool.map(partial(_hurrying, rounds), range(seeds)))
        called, told = f"supply_market_hurrying_{name}", "100 nodes at auction, fixed beforehand, no mind"
        results += [
            summed(called, [total for total, _ in runs], told, None, None),
            filled(called, [fill for _, fill in runs]),
        ]
    return results


def _hurrying(rounds: Sequence[int], seed: int) -> tuple[float, float]:
    """Returns what a run costs a round, and its fill."""
    config = resolve(
        {
            "name": "road",
            "seed": seed,
            "rounds": ROUNDS,
            "population": 100,
            "scenario": {
                "name": "supply_chain",
                "mode": "market",
                "shifts": [{**one, "first_round": SHIFT_ROUND} for one in SHIFTED],
            },
            "market": {"tick_cents": 10, "max_quantity_lots": 1_000},
            "traders": {"define": {"plan": {"mind": "own", "rule": "plan"}}, "minds": {"plan": 1}},
        }
    )
    plan = compose(config).run
    chain: Any = plan.scenario
    network = chain.network
    departs = Departures.none(len(network))
    departs.hurries[:] = network.sells & (network.region == network.regions.index(REGION))
    sums = played_again(plan, chain, ROUNDS, dict.fromkeys(rounds, departs))
    cents = sum(sums[f"{part}_cents"] for part in COSTS)
    return cents / CENTS / ROUNDS, sums["served_at_once_units"] / sums["demand_units"]
