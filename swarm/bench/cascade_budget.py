"""Whether a cascade keeps its budget: runs that may spend half of what they would, and what they spend."""

from statistics import mean

from swarm.bench.form import Result
from swarm.config_file import resolve
from swarm.experiments.workers import side_by_side, usual_jobs
from swarm.preflight import Narrator
from swarm.runtime.play import play

BUDGET_SHARE = 0.5
"""Of what a cascade without a limit spends, the share that it is given."""

ROUNDS, POPULATION = 12, 16


def kept(narrator: Narrator, seeds: int) -> Result:
    """Returns how often a run with a budget spends more than that."""
    narrator.phase(f"budget, {2 * seeds} runs")
    shares = side_by_side(_share_spent, [(seed,) for seed in range(seeds)], usual_jobs())
    over = sum(share > 1 for share, _ in shares)
    calls, spent = mean(calls for _, calls in shares), sorted(share for share, _ in shares)
    return Result(
        "cascade_cost_above_budget",
        over / seeds,
        "share of runs",
        "lower",
        aim=0.05,
        runs=tuple(round(share, 4) for share, _ in shares),
        bound=f"{over} of {seeds} runs with {BUDGET_SHARE:g} of what they would spend, in the mean {calls:.0f} calls "
        f"of the large model at the most that each can cost; they spent {mean(spent):.2f} of it in the mean, "
        f"{spent[0]:.2f} to {spent[-1]:.2f}; {seeds} runs without one above prove at most 0.139 (95%)",
    )


def _share_spent(seed: int) -> tuple[float, float]:
    """Returns what a run spends of its budget, and how many of the dearest calls that budget is."""
    budget = BUDGET_SHARE * _spent(seed, None)
    return _spent(seed, budget) / budget, budget / (1_000 * 1e-6)


def _spent(seed: int, budget: float | None) -> float:
    """Returns the dollars of one run, whose small model would ask almost wherever anything is at stake."""
    section = {"name": "cascade", "small": "small", "large": "large", "price_ticks": 1e-3, "judged_per_round": 0}
    models = [
        {"name": "small", "engine": "embedded", "temperament": "momentum"},
        {"name": "large", "engine": "embedded", "temperament": "profit", "usd_per_million_prompt_tokens": 1.0,
         "usd_per_million_completion_tokens": 1.0},
    ]  # fmt: skip
    config = {
        "name": "bench-cascade",
        "seed": seed,
        "rounds": ROUNDS,
        "population": POPULATION,
        "models": models,
        "traders": {"cascades": [section], "minds": {"cascade": 1}},
        "budget": {"run_usd": budget},
    }
    return float(play(resolve(config)).summary["cascades"]["cascade"]["usd"])
