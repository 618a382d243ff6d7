"""Plays the markets of two sellers that collusion is looked for in: honest sellers, grim pairs and pairs of learners.

Nobody here is a language model. In these markets prices are posted, so nothing but collusion can be seen in them.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from swarm.bench.abuse_kept import Ran
from swarm.bench.abuse_runs import Watch
from swarm.config_file import resolve
from swarm.runtime.play import play
from swarm.simulation.facets.traders import wealth_cents

Pair = Literal["grim", "q_learner"]
PAIRS: tuple[Pair, ...] = ("grim", "q_learner")
ROUNDS, HONEST_SELLERS = 60, 20

HONEST = {"best-reply": "best_reply", "chance": "chance"}
"""Who competes: sellers that reply best to their rival, and sellers that name any price."""


def named(seed: int, pair: Pair | None = None) -> tuple[str, Callable[[], Ran]]:
    """Returns a run by a name of its own, and a function that plays it: one pair of a kind, or honest sellers alone."""
    # A pair alone, so that both sellers of its market are of the same kind.
    rules = {pair.replace("_", "-"): pair} if pair else HONEST
    config = {
        "seed": seed,
        "rounds": ROUNDS,
        "population": 2 if pair else HONEST_SELLERS,
        "scenario": {"name": "duopoly"},
        "traders": {
            "hears": 0,
            "define": {name: {"mind": "own", "rule": rule} for name, rule in rules.items()},
            "minds": dict.fromkeys(rules, 1),
        },
    }

    def play_it() -> Ran:
        watch = Watch()
        play(resolve(config), watch)
        planted = np.full(watch.plan.traders, pair is not None)
        return watch.past, planted, wealth_cents(watch.plan, watch.state)

    return f"{seed}-sellers-{pair or 'honest'}", play_it
