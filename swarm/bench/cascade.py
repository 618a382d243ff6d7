"""What a cascade is worth: regret removed against the share of turns that the large model is asked in.

Both models are asked in the same turns of runs that the small one decides, and rounds are cleared again for each action
of the menu. So every way to choose the turns is looked at on the same answers: by the cascade's own rule, by chance, in
none, and in all.
"""

from dataclasses import dataclass
from statistics import mean

import numpy as np
import numpy.typing as npt

from swarm.agents.forms.menu import LETTERS
from swarm.agents.mind import Seats
from swarm.agents.observation import Observation
from swarm.bench.form import Result, paired
from swarm.bench.shadow import Again, Shadow, by_seed
from swarm.config_file import resolve
from swarm.coordination.calibration import expected_calibration_error
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.seeding import draw
from swarm.simulation.cascade_outcomes import calibration

SEEDS, ROUNDS, POPULATION, LOOKED_AT = 20, 8, 16, 8
SHARES = (0.05, 0.1, 0.2, 0.4)
BUDGET_SHARE = 0.5
"""Of what a cascade without a limit spends, the share that it is given where its budget is tried."""

PAIRS = {"taught": ("value", "value"), "other": ("momentum", "value")}
"""The tiny model's temperament, and that of the rule that is asked as the larger one: its own teacher, or another."""

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """One row a turn: regrets in ticks, by what came of it and by what the menu expects, and what the rule goes by."""

    seed: npt.NDArray[np.int64]
    round: npt.NDArray[np.int64]
    margin: npt.NDArray[np.int64]
    stake: npt.NDArray[np.int64]
    small: Float64
    large: Float64
    small_expected: Float64
    large_expected: Float64
    agree: Float64


def measure(narrator: Narrator) -> list[Result]:
    """Returns the curve of each pair of models, what margins foretell, and how a budget is kept."""
    results: list[Result] = []
    for name, (small, large) in PAIRS.items():
        rows: list[tuple[int, ...]] = []
        for seed in range(SEEDS):
            narrator.phase(f"{small} asks {large}, seed {seed + 1} of {SEEDS}")
            rows += _turns(seed, small, large)
        columns = np.array(rows, dtype=np.int64).T
        turns = Turns(*columns[:4], *columns[4:].astype(np.float64))
        results += _curve(name, turns)
    return [*results, _kept(narrator)]


def _models(small: str, large: str) -> list[dict[str, object]]:
    return [
        {"name": "small", "engine": "embedded", "temperament": small},
        {"name": "large", "temperament": large, "form": "menu", "usd_per_million_prompt_tokens": 1.0},
    ]


def _turns(seed: int, small: str, large: str) -> list[tuple[int, ...]]:
    shadow = Shadow(
        resolve(
            {
                "name": "bench-cascade",
                "seed": seed,
                "rounds": ROUNDS,
                "population": POPULATION,
                "models": _models(small, large),
                "traders": {"minds": {"small": 1}},
            }
        )
    )
    found: list[tuple[int, ...]] = []

    def look(seen: Observation, again: Again) -> None:
        seats = Seats.at(seen, shadow.rows(seen, LOOKED_AT))
        answers = zip(seats.rows.tolist(), shadow.ask("small", seats), shadow.ask("large", seats), strict=True)
        for row, one, other in answers:
            menu = shadow.menus.menu(seen, row)
            chosen = [LETTERS.index(reply.text[0]) for reply in (one, other)]
            gains = [again.of_action(row, action) for action in menu.actions]
            expected = [action.expected for action in menu.actions]
            regrets = [max(gains) - gains[action] for action in chosen]
            # What the menu expects is what the teacher goes by, so its own regret by that is none.
            lost = [max(expected) - expected[action] for action in chosen]
            margin = round(1_000 * (one.margin or 0.0))
            agree = int(chosen[0] == chosen[1])
            found.append((seed, seen.public.round, margin, menu.stake_ticks, *regrets, *lost, agree))

    shadow.play(look)
    return found


def _curve(name: str, turns: Turns) -> list[Result]:
    """Regret removed by share, in rounds that the calibration was not learned from."""
    learned, held = turns.round % 2 == 1, turns.round % 2 == 0
    pairs = zip(turns.margin[learned].tolist(), (turns.small[learned] == 0).tolist(), strict=True)
    known = calibration(list(pairs))
    wrong = np.array([known.wrong_permille(int(m)) for m in turns.margin[held]]) / 1_000
    right = (turns.small[held] == 0).astype(np.float64)
    error = expected_calibration_error(1 - wrong, right)
    raw = expected_calibration_error((1 + turns.margin[held] / 1_000) / 2, right)
    seed = turns.seed[held]
    agree = turns.agree[held].mean()
    results = [
        Result(
            f"cascade_{name}_calibration_error", round(error, 4), "share", "lower", aim=0.03,
            bound=f"{held.sum():,} turns of rounds that were held out; uncalibrated {raw:.3f}; right in "
            f"{right.mean():.2f} of them",
        ),
        Result(
            f"cascade_{name}_agreement", round(float(agree), 4), "share", "higher",
            note="turns in which both models choose the same action, so that asking cannot change anything",
        ),
    ]  # fmt: skip
    worth = wrong * turns.stake[held]
    # Ties in what is at stake are broken by chance, as a threshold between two prices would.
    chance = draw(0, "bench cascade", np.arange(len(worth)))
    for kind, small, large in (
        ("realised", turns.small[held], turns.large[held]),
        ("expected", turns.small_expected[held], turns.large_expected[held]),
    ):
        order = np.lexsort((chance, -worth))
        at_random = np.argsort(chance)
        results += _points(f"cascade_{name}_{kind}", small, large, order, at_random, seed)
    return results


def _points(
    name: str,
    small: Float64,
    large: Float64,
    order: npt.NDArray[np.int64],
    at_random: npt.NDArray[np.int64],
    seed: npt.NDArray[np.int64],
) -> list[Result]:
    """The curve of one kind of regret: at each share, what the rule and chance leave of it."""
    regret = float(small.mean())
    large_over_small = paired(by_seed(large - small, seed), "ticks")
    everywhere = _removed(small, large, np.arange(len(small)), regret)
    results = [
        Result(f"{name}_regret_all_small", round(regret, 3), "ticks a turn", "lower", note="the small model alone"),
        Result(f"{name}_regret_all_large", round(float(large.mean()), 3), "ticks a turn", "lower",
               bound=f"the large model in all turns, against the small one: {large_over_small}",
               note="the large model alone"),
    ]  # fmt: skip
    for share in SHARES:
        asked = order[: round(share * len(order))]
        drawn = at_random[: round(share * len(order))]
        removed = _removed(small, large, asked, regret)
        by_chance = _removed(small, large, drawn, regret)
        gained = np.zeros(len(small))
        gained[asked] += (small - large)[asked]
        gained[drawn] -= (small - large)[drawn]
        results.append(
            Result(
                f"{name}_removed_at_{round(100 * share)}_percent",
                round(removed, 4),
                "share of regret",
                "higher",
                aim=0.5 if share == 0.1 else None,
                bound=f"at random {by_chance:.3f}, in all turns {everywhere:.3f}; rule less chance "
                f"{paired(by_seed(gained, seed), 'ticks a turn')}",
            )
        )
    return results


def _removed(small: Float64, large: Float64, asked: npt.NDArray[np.int64], regret: float) -> float:
    """Returns the share of the small model's regret that is gone where the large one is asked in these turns."""
    return float((small - large)[asked].sum() / len(small) / regret) if regret else 0.0


def _kept(narrator: Narrator) -> Result:
    """How often a run with a budget spends more than that."""
    over, shares = 0, []
    for seed in range(SEEDS):
        narrator.phase(f"budget, seed {seed + 1} of {SEEDS}")
        free = _spent(seed, None)
        budget = BUDGET_SHARE * free
        spent = _spent(seed, budget)
        over += spent > budget
        shares.append(spent / budget)
    return Result(
        "cascade_cost_above_budget",
        over / SEEDS,
        "share of runs",
        "lower",
        aim=0.05,
        runs=tuple(round(share, 4) for share in shares),
        bound=f"{over} of {SEEDS} runs with {BUDGET_SHARE:g} of what they would spend, of which they spent "
        f"{mean(shares):.2f} in the mean; {SEEDS} runs without one above prove at most 0.139 (95%)",
    )


def _spent(seed: int, budget: float | None) -> float:
    section = {"name": "cascade", "small": "small", "large": "large", "price_ticks": 0.01, "judged_per_round": 0}
    config = resolve(
        {
            "name": "bench-cascade",
            "seed": seed,
            "rounds": 8,
            "population": 10,
            "models": _models("value", "value"),
            "traders": {"cascades": [section], "minds": {"cascade": 1}},
            "budget": {"run_usd": budget},
        }
    )
    return float(play(config).summary["cascades"]["cascade"]["usd"])
