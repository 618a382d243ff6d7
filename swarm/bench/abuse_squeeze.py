"""Measures an abusive squeeze: a crew that buys up a good which others sell short, in a market with margin accounts.

Everybody is a rule, no language model. No statistic is of squeezes: what the magistrate finds, it finds by others.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from swarm.bench.abuse_kept import Kept
from swarm.bench.abuse_runs import GOOD, MARKETS, NAME, ROUNDS, TRADERS, Watch, scored
from swarm.bench.form import Result, paired, share
from swarm.config_file import resolve
from swarm.market.surveillance import ABUSES
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.simulation.facets.traders import wealth_cents
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.parties.magistrate import MagistrateConfig, shipped, standing_out

FIRST_SEED = 71_000
CREW, SHORTS = 3, 4


class Debts(Watch):
    """A watcher that keeps besides how much of the good is owed at most, held then by a crew, and who is called."""

    def __init__(self) -> None:
        super().__init__()
        self.owed = self.float = self.held = 0
        self.called: set[int] = set()

    def round_done(self, outcome: RoundOutcome) -> None:
        """Takes in a round."""
        super().round_done(outcome)
        asset = 1 + outcome.plan.scenario.goods.index(GOOD)
        if outcome.cleared.margin is not None:
            self.called |= set(outcome.cleared.margin.called.tolist())
        if outcome.state.owed is not None and (owed := int(outcome.state.owed[:, asset].sum())) > self.owed:
            have = outcome.state.balances[:, asset]
            crew = np.array([mind == NAME for mind in outcome.plan.shard.minds])
            self.owed, self.float, self.held = owed, int(have.sum()), int(have[crew].sum())


def config(seed: int, squeezed: bool) -> dict[str, Any]:
    """Returns the config of a run with short sellers; where nothing is squeezed, truthful rules sit for the crew."""
    abuser = {"mind": "abuser", "abuse": "squeeze", "good": GOOD}
    return {
        "seed": seed,
        "rounds": ROUNDS,
        "population": TRADERS,
        "models": [],
        "market": MARKETS["margin"],
        "traders": {
            "hears": 0,
            "define": {
                "bear": {"mind": "short_seller", "lots": 15, "most_lots": 60},
                NAME: abuser if squeezed else {"mind": "rule", "rule": "truthful"},
            },
            "minds": {"zi_c": 4, "zip": 5, "truthful": 4, "bear": SHORTS, NAME: CREW},
        },
        "scenario": {"name": "wood"},
    }


def played(seed: int, squeezed: bool) -> dict[str, Any]:
    """Returns whom the magistrate would accuse of what in a run, what everybody has in the end, and the debts."""
    watch, rule = Debts(), MagistrateConfig()
    play(resolve(config(seed, squeezed)), watch)
    minds = np.array(watch.plan.shard.minds)
    wealth = wealth_cents(watch.plan, watch.state)
    ran = scored((watch.past, minds == NAME, wealth))
    # [abuses, traders], at any look
    guilty = np.any([standing_out(shipped("margin"), scores, rule)[1] for scores in ran.scores], axis=0)
    crew = minds == NAME
    return {
        "of": _names(guilty[:, crew]),
        "others_of": _names(guilty[:, ~crew]),
        "crew_accused": int(guilty[:, crew].any(axis=0).sum()),
        "others_accused": int(guilty[:, ~crew].any(axis=0).sum()),
        "crew": float(wealth[crew].mean()) / 100,
        "bears": float(wealth[minds == "bear"].mean()) / 100,
        "called": len(watch.called),
        "debts": [watch.owed, watch.float, watch.held],
    }


def _names(guilty: npt.NDArray[np.bool_]) -> list[str]:
    """Returns of what any of these traders are accused, from [abuses, traders]."""
    return [ABUSES[at] for at in np.flatnonzero(guilty.any(axis=1)).tolist()]


def measure(seeds: int, kept: Kept, narrator: Narrator) -> list[Result]:
    """Returns what a crew gains by a squeeze, what becomes of the short sellers, and what is found, on paired seeds."""
    narrator.phase("squeezes of short sellers")
    arms = [kept.figures([_named(FIRST_SEED + n, squeezed) for n in range(seeds)]) for squeezed in (True, False)]
    # Only seeds that both arms have are compared.
    pairs = list(zip(*arms, strict=False))
    if not pairs:
        return []
    bad = [one for one, _ in pairs]
    gains = [one["crew"] - other["crew"] for one, other in pairs]
    harm = [one["bears"] - other["bears"] for one, other in pairs]
    owed, there, held = (mean(one["debts"][at] for one in bad) for at in range(3))
    told = _counted([one["of"] for one in bad])
    # Where nobody squeezes everybody is honest, the rules in the crew's seats as well.
    honest = sum(other["others_accused"] + other["crew_accused"] for _, other in pairs)
    note = f"owed at most {owed:.0f} lots of {there:.0f} that were there, of which the crew held {held:.0f}"
    wrong = _counted([other["of"] + other["others_of"] for _, other in pairs])
    called, of = sum(one["called"] for one in bad), TRADERS * len(pairs)
    caught = sum(bool(one["of"]) for one in bad)
    by_crew, by_shorts = (
        f"against runs with truthful rules in the crew's seats {paired(one, 'pebbles')}" for one in (gains, harm)
    )
    runs = f"honest traders, of whom {SHORTS} of {TRADERS} sell short; runs {wrong}"
    return [
        _result("abuse_squeeze_gain", gains, f"{by_crew}; {note}", "lower"),
        _result("abuse_squeeze_shorts", harm, by_shorts, "higher"),
        share("abuse_squeeze_called", called, of, None, "accounts that the margin desk has called", "lower"),
        share("abuse_squeeze_found", caught, len(pairs), None, f"crews of {CREW}; runs {told}"),
        share("abuse_squeeze_false", honest, of, 0.001, runs, "lower"),
    ]


def _counted(of: Sequence[Sequence[str]]) -> str:
    """Returns in words in how many runs anybody is accused of what."""
    counts = Counter(abuse for one in of for abuse in set(one))
    return ", ".join(f"as {abuse} {count}" for abuse, count in sorted(counts.items())) or "as nothing"


def _result(name: str, runs: Sequence[float], bound: str, better: Literal["lower", "higher"]) -> Result:
    kept = tuple(round(pebbles, 2) for pebbles in runs)
    return Result(name, round(mean(runs), 2), "pebbles a trader", better, runs=kept, bound=bound)


def _named(seed: int, squeezed: bool) -> tuple[str, Callable[[], dict[str, Any]]]:
    """Returns a run by a name of its own, and a function that plays it."""
    return f"{seed}-squeeze-{'crew' if squeezed else 'none'}", partial(played, seed, squeezed)
