"""The time of a round in one process and over Ray, with 1,000 traders and an engine that answers at once."""

from statistics import median

from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.runs import Warm, scripted
from swarm.config import RunConfig
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.runtime.ports import RunsOn

TRADERS = 1_000
WARM_UP_ROUNDS = 3
ROUNDS = 10
ALLOWED_RATIO = 1.5
ALLOWED_EXTRA_S = 0.05


def config() -> RunConfig:
    """Returns the wood with five scripted models and 1,000 traders."""
    return scripted("bench-round", rounds=WARM_UP_ROUNDS + ROUNDS, population=TRADERS)


def measure(narrator: Narrator) -> list[Result]:
    """Returns the figures of local and Ray runs in turn, five of each.

    A run counts by the median of its warm rounds.
    """
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for attempt in range(RUNS):
        for local in (True, False):
            narrator.phase(f"run {attempt + 1} of {RUNS}, {'one process' if local else 'Ray'}")
            seconds[local].append(_round_s(local, narrator))
    local_s, ray_s = median(seconds[True]), median(seconds[False])
    # What Ray may add: a share for its messages, and a constant for what does not depend on size.
    allowed = ALLOWED_RATIO * local_s + ALLOWED_EXTRA_S
    # Neighbouring runs are compared, which share the machine's state.
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
    watch = Warm(WARM_UP_ROUNDS)
    play(config(), watch, runs_on=RunsOn(local=local), narrator=narrator)
    return watch.median_s
