"""What a cascade is worth: regret removed against the share of turns that the large model is asked in.

All models are asked in the same turns of runs that the small one decides, and rounds are cleared again for each action
of the menu. So every way to choose the turns is looked at on the same answers: by the cascade's own rule, by chance, by
an estimate that is learned, and by who knows what will come of it. What is learned, margins' worth too, is learned from
other seeds than those that it is tried on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.agents.forms.menus import LETTERS
from swarm.agents.mind import Seats
from swarm.agents.observation import Observation
from swarm.bench.cascade_budget import kept
from swarm.bench.form import Result, paired
from swarm.bench.shadow import Again, Shadow, by_seed
from swarm.config_file import resolve
from swarm.coordination.calibration import expected_calibration_error
from swarm.experiments.workers import side_by_side, usual_jobs
from swarm.preflight import Narrator
from swarm.seeding import draw
from swarm.simulation.cascade_outcomes import calibration

SEEDS, ROUNDS, POPULATION, LOOKED_AT = 20, 8, 16, 8
TRAINED_FROM = 1_000
"""The first of as many seeds that are learned from, none of which is tried."""

SHARES = (0.05, 0.1, 0.2, 0.4)

RULE, SCHOOLED = "rule", "schooled"
LARGE: dict[str, dict[str, Any]] = {
    RULE: {"temperament": "value", "form": "menu"},
    SCHOOLED: {"engine": "embedded", "temperament": "profit"},
}
"""What is asked as the larger model: the rule that taught tiny models, or a tiny model of another schooling."""

PAIRS = {
    "taught": ("value", RULE),
    "other": ("momentum", RULE),
    "schooled": ("value", SCHOOLED),
    "other_schooled": ("momentum", SCHOOLED),
}
"""The tiny model's temperament, and who is asked as the larger model."""

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """One row a turn: regrets in ticks, by what came of it and by what the menu expects, and what is known before.

    `features` is [turns, features], what may be learned from. `large`, `large_expected` and `agree` are by who is asked
    as the large model.
    """

    seed: npt.NDArray[np.int64]
    margin: npt.NDArray[np.int64]
    stake: Float64
    features: Float64
    small: Float64
    small_expected: Float64
    large: dict[str, Float64]
    large_expected: dict[str, Float64]
    agree: dict[str, Float64]

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]]) -> "Turns":
        """Returns the columns of these rows."""

        def column(key: str) -> Any:
            return np.array([row[key] for row in rows])

        def by_large(key: str) -> dict[str, Float64]:
            return {name: np.array([row[key][name] for row in rows], dtype=np.float64) for name in LARGE}

        lost = {key: column(key).astype(np.float64) for key in ("small", "small_expected", "features", "stake")}
        return cls(
            seed=column("seed"),
            margin=column("margin"),
            large=by_large("large"),
            large_expected=by_large("large_expected"),
            agree=by_large("agree"),
            **lost,
        )


def measure(narrator: Narrator) -> list[Result]:
    """Returns the curve of each pair of models, what margins foretell, and how a budget is kept."""
    narrator.phase(f"{2 * SEEDS} runs of each small model")
    smalls = sorted({small for small, _ in PAIRS.values()})
    seeds = [*range(SEEDS), *range(TRAINED_FROM, TRAINED_FROM + SEEDS)]
    # None is timed, so that every core has a run.
    found = side_by_side(_turns, [(seed, small) for small in smalls for seed in seeds], usual_jobs())
    by_small = {small: found[i * len(seeds) : (i + 1) * len(seeds)] for i, small in enumerate(smalls)}
    results: list[Result] = []
    for name, (small, large) in PAIRS.items():
        tried, learned = (
            Turns.of([row for rows in part for row in rows])
            for part in (by_small[small][:SEEDS], by_small[small][SEEDS:])
        )
        results += _curve(name, large, learned, tried)
    return [*results, kept(narrator, SEEDS)]


def _turns(seed: int, small: str) -> list[dict[str, Any]]:
    """One run: what the small model and all larger ones choose in some of its turns, and what comes of it."""
    models = [
        {"name": "small", "engine": "embedded", "temperament": small},
        *({"name": name, **keys} for name, keys in LARGE.items()),
    ]
    config = {
        "name": "bench-cascade",
        "seed": seed,
        "rounds": ROUNDS,
        "population": POPULATION,
        "models": models,
        "traders": {"minds": {"small": 1}},
    }
    shadow, found = Shadow(resolve(config)), list[dict[str, Any]]()

    def look(seen: Observation, again: Again) -> None:
        seats = Seats.at(seen, shadow.rows(seen, LOOKED_AT))
        answers = {name: shadow.ask(name, seats) for name in ("small", *LARGE)}
        for i, row in enumerate(seats.rows.tolist()):
            menu = shadow.menus.menu(seen, row)
            chosen = {name: LETTERS.index(replies[i].text[0]) for name, replies in answers.items()}
            own = menu.actions[chosen["small"]]
            gains = [again.of_action(row, action) for action in menu.actions]
            # What the menu expects is what the rule goes by, so its own regret by that is none.
            expected = [action.expected for action in menu.actions]
            lost = {name: max(gains) - gains[action] for name, action in chosen.items()}
            lost_expected = {name: max(expected) - expected[action] for name, action in chosen.items()}
            margin, stake = round(1_000 * (answers["small"][i].margin or 0.0)), menu.beyond(own)
            gained = [action.gain for action in menu.actions]
            found.append(
                {
                    "seed": seed,
                    "margin": margin,
                    "stake": stake,
                    "features": (1, margin, stake, menu.stake_ticks, max(expected), max(gained), own.expected,
                                 own.gain, own.edge, len(gains)),
                    "small": lost["small"],
                    "small_expected": lost_expected["small"],
                    "large": lost,
                    "large_expected": lost_expected,
                    "agree": {name: action == chosen["small"] for name, action in chosen.items()},
                }
            )  # fmt: skip

    shadow.play(look)
    return found


def _curve(name: str, large: str, learned: Turns, tried: Turns) -> list[Result]:
    """Regret removed by share, on seeds that nothing was learned from."""
    known = calibration(list(zip(learned.margin.tolist(), (learned.small == 0).tolist(), strict=True)))
    wrong = np.array([known.wrong_permille(margin) for margin in tried.margin.tolist()]) / 1_000
    right = (tried.small == 0).astype(np.float64)
    error = expected_calibration_error(1 - wrong, right)
    raw = expected_calibration_error((1 + tried.margin / 1_000) / 2, right)
    of_seeds = np.array(by_seed(right, tried.seed))
    results = [
        Result(
            f"cascade_{name}_calibration_error", round(error, 4), "share", "lower", aim=0.03,
            bound=f"{len(right):,} turns of {SEEDS} seeds that were held out, the curve from {len(learned.margin):,} "
            f"of others; uncalibrated {raw:.3f}; right in {right.mean():.3f} of them, in the others "
            f"{(learned.small == 0).mean():.3f}, with a standard error over seeds of "
            f"{of_seeds.std(ddof=1) / len(of_seeds) ** 0.5:.3f}; a margin tells right from wrong with an AUC of "
            f"{_auc(tried.margin, right):.2f}",
        ),
        Result(
            f"cascade_{name}_agreement", round(float(tried.agree[large].mean()), 4), "share", "higher",
            note="turns in which both models choose the same action, so that asking cannot change anything",
        ),
    ]  # fmt: skip
    # What asking brought in the turns that are learned from, by all that is known before asking.
    scale = learned.features.std(axis=0) + 1e-9
    scale[0] = 1.0
    seen, brought = learned.features / scale, learned.small - learned.large[large]
    fitted = np.linalg.solve(seen.T @ seen + np.eye(seen.shape[1]), seen.T @ brought)
    chance = draw(0, "bench cascade", np.arange(len(wrong))) / 2.0**64
    ways = {"": wrong * tried.stake, "learned": tried.features / scale @ fitted, "random": chance}
    results += _points(f"cascade_{name}_realised", tried.small, tried.large[large], ways, tried.seed)
    if large == RULE:
        # Another model than the rule does not go by what the menu expects.
        lost = tried.large_expected[large]
        results += _points(f"cascade_{name}_expected", tried.small_expected, lost, ways, tried.seed)
    return results


def _points(
    name: str, small: Float64, large: Float64, ways: dict[str, Float64], seed: npt.NDArray[np.int64]
) -> list[Result]:
    """The curve of one kind of regret: at each share, what each way to choose the turns removes of it."""
    regret, gained = float(small.mean()), small - large
    results = [
        Result(f"{name}_regret_all_small", round(regret, 3), "ticks a turn", "lower", note="the small model alone"),
        Result(f"{name}_regret_all_large", round(float(large.mean()), 3), "ticks a turn", "lower",
               bound=f"the large model in all turns, against the small one: {paired(by_seed(-gained, seed), 'ticks')}",
               note="the large model alone"),
    ]  # fmt: skip
    # Ties in what is at stake are broken by chance, as a threshold between two prices would.
    orders = {way: np.lexsort((ways["random"], -score)) for way, score in {**ways, "oracle": gained}.items()}
    for share in SHARES:
        asked = {way: order[: round(share * len(small))] for way, order in orders.items()}
        removed = {way: float(gained[of].sum() / len(small) / regret) if regret else 0.0 for way, of in asked.items()}
        over = np.zeros(len(small))
        over[asked[""]] += gained[asked[""]]
        over[asked["random"]] -= gained[asked["random"]]
        results.append(
            Result(
                f"{name}_removed_at_{round(100 * share)}_percent", round(removed[""], 4), "share of regret", "higher",
                aim=0.5 if share == 0.1 else None,
                bound=f"at random {removed['random']:.3f}, by a learned estimate {removed['learned']:.3f}, by who "
                f"knows what comes of it {removed['oracle']:.3f}; rule less chance "
                f"{paired(by_seed(over, seed), 'ticks a turn')}",
            )
        )  # fmt: skip
    return results


def _auc(score: npt.NDArray[Any], right: Float64) -> float:
    """Returns the chance that a turn which was right has the higher score of two; half a chance where they tie."""
    ahead = score[right == 1][:, None] - score[right == 0][None, :]
    return float((ahead > 0).mean() + (ahead == 0).mean() / 2) if ahead.size else 0.5
