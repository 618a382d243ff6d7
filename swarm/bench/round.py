"""What a round costs in one process and over Ray, with 1,000 traders and an engine that answers at once."""

from statistics import median

from swarm.bench.form import RUNS, Result, median_of
from swarm.config import RunConfig, compose, resolve
from swarm.runtime.run import Narrator, Place, open_ports
from swarm.scenarios.protocol import MarketState
from swarm.simulation.loop import RoundOutcome, run_rounds
from swarm.simulation.plan import RunPlan

TRADERS = 1_000
WARM_UP_ROUNDS = 3
ROUNDS = 10
ALLOWED_RATIO = 1.5
ALLOWED_EXTRA_S = 0.05


class _Stopwatch:
    """A watcher that keeps how long rounds took."""

    def __init__(self) -> None:
        self.durations_s: list[float] = []

    def started(self, plan: RunPlan, opening: MarketState, named: object) -> None:
        """Nothing to time yet."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Keep the round's duration once the processes are warm."""
        if outcome.round > WARM_UP_ROUNDS:
            self.durations_s.append(outcome.duration_s)


def config() -> RunConfig:
    """The wood with five scripted models and 1,000 traders."""
    temperaments = ("value", "momentum", "maker", "hoarder", "panic")
    return resolve(
        {
            "name": "bench-round",
            "rounds": WARM_UP_ROUNDS + ROUNDS,
            "population": TRADERS,
            "models": [{"name": f"scripted-{t}", "temperament": t} for t in temperaments],
        }
    )


def measure(narrator: Narrator) -> list[Result]:
    """Local and Ray runs in turn, five of each; a run's figure is the median of its warm rounds."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for attempt in range(RUNS):
        for local in (True, False):
            narrator.phase(f"run {attempt + 1} of {RUNS}, {'one process' if local else 'Ray'}")
            seconds[local].append(_round_s(local, narrator))
    local_s, ray_s = median(seconds[True]), median(seconds[False])
    allowed = ALLOWED_RATIO * local_s + ALLOWED_EXTRA_S
    ratios = [r / s for r, s in zip(seconds[False], seconds[True], strict=True)]
    return [
        median_of(
            "round_local_s_1000",
            seconds[True],
            "s",
            "lower",
            bound="one core renders, counts, answers and reads 1,000 prompts; the market takes a few percent of it",
        ),
        median_of(
            "round_ray_s_1000",
            seconds[False],
            "s",
            "lower",
            aim=round(allowed, 6),
            bound="the same work spread over the cores, plus one message to and from each shard, deployment and market",
            of_bound=round(local_s / ray_s, 3),
        ),
        median_of("round_ray_over_local_1000", ratios, "ratio", "lower", aim=round(allowed / local_s, 4)),
    ]


def _round_s(local: bool, narrator: Narrator) -> float:
    run = config()
    plan = compose(run)
    watch = _Stopwatch()
    with open_ports(run, plan, Place(local=local), None, narrator, lambda: False) as ports:
        run_rounds(plan, ports.market, ports.traders, (watch,))
    return median(watch.durations_s)
