"""Which judged turns a student learns from, and what of them: pure numpy over the columns of `advantages.Judged`."""

from dataclasses import fields

import numpy as np
import numpy.typing as npt

from swarm.training.advantages import Judged
from swarm.training.corpus import MENU_ROWS, Int32
from swarm.training.recipe import Distilling

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


def lawful(judged: Judged) -> Bool:
    """Returns [prompts, MENU_ROWS]: which letters the menu of each prompt has."""
    found: Bool = np.arange(MENU_ROWS) < judged.rows[:, None]
    return found


def best_gains(judged: Judged) -> Int32:
    """Returns [prompts] ticks over passing that the best action of each menu would have brought."""
    found: Int32 = np.where(lawful(judged), judged.gains, np.iinfo(np.int32).min).max(1)
    return found


def kept(judged: Judged, margin_ticks: int, seed: int) -> Bool:
    """Returns which turns are clear: the best action beats passing by the margin, or nothing beats passing.

    Passes are kept so often that their share is that among all turns: else the student would pass too seldom or too
    often, since unclear turns are left out on one side alone.
    """
    best = best_gains(judged)
    clear, passing = best >= margin_ticks, best <= 0
    optimal = float(passing.mean()) if len(best) else 0.0
    # Solved for the passes: passes / (passes + clear) = optimal.
    wanted = round(optimal * int(clear.sum()) / max(1.0 - optimal, 1e-9))
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(passing))[:wanted]
    found: Bool = clear.copy()
    found[drawn] = True
    return found


def targets(judged: Judged, temperature_ticks: float) -> Float32:
    """Returns [prompts, MENU_ROWS] shares of each action: a softmax of the gains, so that near ties share."""
    gains = np.where(lawful(judged), judged.gains.astype(np.float64), -np.inf)
    # The best is taken off first, so that no exponent overflows; unlawful letters come to 0.
    raised = np.exp((gains - gains.max(1, keepdims=True)) / temperature_ticks)
    shares: Float32 = (raised / raised.sum(1, keepdims=True)).astype(np.float32)
    return shares


def imitated(judged: Judged) -> Float32:
    """Returns [prompts, MENU_ROWS] with 1 at the action that was taken in the run."""
    shares: Float32 = np.zeros((len(judged), MENU_ROWS), dtype=np.float32)
    shares[np.arange(len(judged)), judged.chosen] = 1.0
    return shares


def to_learn(judged: Judged, wanted: Distilling) -> tuple[Judged, Float32]:
    """Returns the turns to learn from and the share of each action in what is learnt, by the kind of labels.

    The two that imitate are there for comparison; they have no gains, so that no regret teaches beside them.
    """
    mask = kept(judged, wanted.margin_ticks, wanted.seed)
    if wanted.labels == "advantages":
        chosen = taken(judged, mask)
        return chosen, targets(chosen, wanted.temperature_ticks)
    if wanted.labels == "random":
        # As many turns as the filter keeps, drawn without looking at what they brought.
        drawn = np.random.default_rng(wanted.seed).permutation(len(judged))[: int(mask.sum())]
        mask = np.isin(np.arange(len(judged)), drawn)
    else:
        mask = np.ones(len(judged), dtype=np.bool_)
    chosen = taken(judged, mask, without_gains=True)
    return chosen, imitated(chosen)


def taken(judged: Judged, mask: Bool, without_gains: bool = False) -> Judged:
    """Returns some of the turns, with the rounds that they are of numbered anew."""
    # Every column but the public one has a row for each turn.
    columns = {f.name: getattr(judged, f.name)[mask] for f in fields(judged) if f.name != "public"}
    rounds, columns["round_of"] = np.unique(columns["round_of"], return_inverse=True)
    columns["round_of"] = columns["round_of"].astype(np.int32)
    if without_gains:
        columns["gains"] = np.zeros_like(columns["gains"])
    return Judged(public=judged.public[rounds], **columns)


def held_out(judged: Judged, share: float, seed: int) -> Bool:
    """Returns which turns to examine on: whole rounds, so that no prompt's public part is both taught and examined."""
    rounds = len(judged.public)
    drawn = np.random.default_rng(seed).permutation(rounds)[: max(1, int(rounds * share))]
    found: Bool = np.isin(judged.round_of, drawn)
    return found


def marks(judged: Judged, actions: npt.NDArray[np.int64]) -> dict[str, float]:
    """Returns what chosen actions would have brought, beside the best of each menu and what was taken in the run.

    In ticks a turn; `passes` and `passes_optimal` are shares of turns.
    """
    # A menu may hold nothing that beats passing, whose gain is 0.
    rows = np.arange(len(judged))
    best = best_gains(judged)
    return {
        "turns": len(judged),
        "gain_ticks": round(float(judged.gains[rows, actions].mean()), 2),
        "taken_ticks": round(float(judged.gains[rows, judged.chosen].mean()), 2),
        "best_ticks": round(float(best.mean()), 2),
        "passes": round(float((actions == 0).mean()), 4),
        "passes_optimal": round(float((best <= 0).mean()), 4),
    }
