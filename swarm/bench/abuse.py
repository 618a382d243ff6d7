"""Measures the magistrate's surveillance: what it finds of scripted abusers, and how often it accuses the honest.

Every trader is a rule or a scripted policy, no language model. Runs of one kind are of different seeds; figures with
and without the magistrate are of the same ones.
"""

from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from swarm.agents.tactics import AbuseName
from swarm.bench import abuse_council, abuse_sellers, abuse_squeeze
from swarm.bench.abuse_kept import Kept, Ran
from swarm.bench.abuse_runs import FIRST_ROUND, ROUNDS, TURNED_ROUND, Watched, named, scored
from swarm.bench.form import Result, paired
from swarm.coordination.intervals import wilson
from swarm.market.calibration import Ground
from swarm.market.evidence import Float64
from swarm.market.surveillance import ABUSES, Abuse
from swarm.preflight import Narrator
from swarm.simulation.parties.magistrate import MagistrateConfig, Step, shipped, standing_out

PLAYED: tuple[AbuseName, ...] = ("layering", "marking", "wash", "corner", "insider", "floor", "sybil", "pump", "turned")
PLAYED_IN: Mapping[Ground, tuple[AbuseName, ...]] = {
    "call": PLAYED,
    "continuous": ("spoof", *PLAYED),
    "margin": PLAYED,
}
EVASIONS = (0, 1, 2)
PREVALENCES_PERMILLE = (1, 10, 50)
FIRST_SEED, HONEST_SEED = 21_000, 45_000
BEGINS: Mapping[str, int] = {"turned": TURNED_ROUND, "collusion": 1}
"""The round in which an abuse begins, where it is another one."""

LADDER: tuple[Step, ...] = ("fine", "freeze")
"""What the magistrate sentences to where gains are compared with and without it."""

NO_TIME = "no time for a run"

Bool = npt.NDArray[np.bool_]


def sign_of(abuse: AbuseName | Abuse) -> Abuse:
    """Returns by which statistic an abuse is looked for: bids that are taken back are idle as layers are."""
    return "layering" if abuse == "spoof" else cast(Abuse, abuse)


def measure(
    injections: int, honest: int, seeds: int, kept: Kept, narrator: Narrator, *, market: Ground = "call"
) -> list[Result]:
    """Returns the figures of `honest` runs without abusers, then of each abuse at each level of evasion.

    In a continuous market, or where accounts borrow, nothing else is measured. What abusers gain is told by so many
    `seeds`, with the magistrate and without. Runs come from `kept`, or are played as far as there is time: of what is
    not there, no figure is made.
    """
    narrator.phase(f"{honest} honest runs")
    name = "abuse" if market == "call" else f"abuse_{market}"
    ran = kept.all([named(HONEST_SEED + number, market=market) for number in range(honest)])
    clean = [scored(one, market) for one in ran]
    if not clean:
        return [Result(f"{name}_false_accusations", None, "per trader and run", "lower", 0.001, note=NO_TIME)]
    marks = [accusations(run) for run in clean]
    found, false_share = _of_honest(name, clean, marks)
    # The plainest of all kinds come first: they are what is aimed at. Covert ones show where it ends.
    for evasion in EVASIONS:
        for abuse in PLAYED_IN[market]:
            runs = injections if evasion == 0 else max(injections // 2, 1)
            narrator.phase(f"{runs} runs with {abuse}, evasion {evasion}")
            ran = kept.all([named(FIRST_SEED + number, abuse, evasion, market=market) for number in range(runs)])
            if planted := [scored(one, market) for one in ran]:
                found.append(_of_abuse(f"{name}_{abuse}_evasion_{evasion}", abuse, planted, clean, false_share))
    if market != "call":
        return found
    found += _of_sellers(injections, kept, narrator)
    found += abuse_council.measure(injections, max(honest // 2, 1), kept, narrator)
    for gainful in PLAYED if seeds else ():
        narrator.phase(f"{gainful} with and without the magistrate")
        found += _gains(gainful, seeds, kept)
    return found + abuse_squeeze.measure(seeds, kept, narrator)


def accusations(run: Watched) -> Bool:
    """Returns who is accused of what at which look, [looks, abuses, traders], by the rule of the magistrate."""
    rule = MagistrateConfig()
    return np.stack([standing_out(shipped(run.market), scores, rule)[1] for scores in run.scores])


def _of_honest(name: str, runs: Sequence[Watched], marks: Sequence[Bool]) -> tuple[list[Result], float]:
    """Returns how often the honest are accused, and the share of them that any rule accuses in a run."""
    ever = np.concatenate([mark.any(axis=(0, 1)) for mark in marks])
    first = [int(mark.any(axis=0).sum()) for mark in marks]
    rounds = sum(len(run.planted) for run in runs) * ROUNDS
    by_rule = {abuse: sum(int(mark[:, i].any(axis=0).sum()) for mark in marks) for i, abuse in enumerate(ABUSES)}
    told = ", ".join(f"{abuse} {count}" for abuse, count in by_rule.items() if count) or "by no rule"
    hits = int(ever.sum())
    note = f"{hits} of {len(ever)} honest traders in {len(runs)} runs ({_bounds(hits, len(ever))}); {told}"
    per_1000 = 1_000.0 * sum(first) / rounds
    return [
        Result(
            f"{name}_false_accusations", round(float(ever.mean()), 5), "per trader and run", "lower", 0.001, bound=note
        ),
        Result(f"{name}_false_per_1000", round(per_1000, 4), "per 1,000 trader-rounds", "lower", bound=note),
    ], max(float(ever.mean()), 1.0 / (len(ever) + 1))


def _of_sellers(injections: int, kept: Kept, narrator: Narrator) -> list[Result]:
    """Returns how often honest sellers are said to collude, and what is found of pairs that do."""
    narrator.phase("markets of two sellers")
    ran = kept.all([abuse_sellers.named(HONEST_SEED + number) for number in range(injections)])
    if not (clean := [scored(one) for one in ran]):
        return []
    ever = np.concatenate([accusations(run).any(axis=(0, 1)) for run in clean])
    note = f"{int(ever.sum())} of {len(ever)} honest sellers ({_bounds(int(ever.sum()), len(ever))})"
    share = round(float(ever.mean()), 5)
    found = [Result("abuse_false_collusion", share, "per seller and run", "lower", 0.001, bound=note)]
    false_share = max(float(ever.mean()), 1.0 / (len(ever) + 1))
    for pair in abuse_sellers.PAIRS:
        ran = kept.all([abuse_sellers.named(FIRST_SEED + number, pair) for number in range(injections)])
        if planted := [scored(one) for one in ran]:
            found.append(_of_abuse(f"abuse_collusion_{pair}", "collusion", planted, clean, false_share))
    return found


def _bounds(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{low:.4f} to {high:.4f}"


def _of_abuse(
    name: str, abuse: AbuseName | Abuse, runs: Sequence[Watched], clean: Sequence[Watched], false_share: float
) -> Result:
    own = ABUSES.index(sign_of(abuse))
    looks: list[int] = []
    anything = 0
    for run in runs:
        # [looks, abuses, planted]: found by its own statistic, or by any.
        marks = accusations(run)[:, :, run.planted]
        anything += bool(marks.any())
        named = np.flatnonzero(marks[:, own].any(axis=1))
        if len(named):
            looks.append(run.looks[int(named[0])] - BEGINS.get(abuse, FIRST_ROUND))
    low, high = wilson(len(looks), len(runs))
    recall = len(looks) / len(runs)
    # What an accusation is worth depends on how many abusers there are: by Bayes, with the honest share measured above.
    worth = []
    for permille in PREVALENCES_PERMILLE:
        share = permille / 1_000
        right, wrong = share * recall, (1.0 - share) * false_share
        worth.append(f"{right / (right + wrong):.2f} at {permille / 10:g}%")
    note = (
        f"{len(looks)} of {len(runs)} ({low:.2f} to {high:.2f}), by any rule {anything}; "
        f"precision {', '.join(worth)}; PR-AUC {_pr_auc(own, runs, clean):.2f}; "
        f"{median(looks) if looks else '-'} rounds to detection"
    )
    aim = None if name.endswith(("_1", "_2")) else 0.9
    return Result(name, round(recall, 4), "recall", "higher", aim, bound=note)


def _pr_auc(own: int, runs: Sequence[Watched], clean: Sequence[Watched]) -> float:
    """Returns the mean precision over all recalls, ranking abusers and the honest by one statistic's p-values."""

    def least(run: Watched) -> Float64:
        found: Float64 = np.min([shipped(run.market).p_values(ABUSES[own], of[own]) for of in run.scores], axis=0)
        return found

    guilty = [float(least(run)[run.planted].min()) for run in runs]
    honest = np.concatenate([least(run) for run in clean])
    ranked = sorted(guilty)
    # At each abuser found, how many of those ranked as high are abusers.
    return mean((rank + 1) / (rank + 1 + int((honest <= p).sum())) for rank, p in enumerate(ranked))


def _gains(abuse: AbuseName, seeds: int, kept: Kept) -> list[Result]:
    """Returns what abusers gain by it, and what it costs the honest, with and without the magistrate."""
    arms = [(honest_seats, court) for court in ((), LADDER) for honest_seats in (False, True)]
    of_arm = [kept.all([named(FIRST_SEED + n, abuse, 0, seats, court) for n in range(seeds)]) for seats, court in arms]
    # Only seeds that all four arms have are compared.
    quartets = list(zip(*of_arm, strict=False))
    if not quartets:
        return []
    gain: list[list[float]] = [[], []]
    harm: list[list[float]] = [[], []]
    for bad, good, bad_in_court, good_in_court in quartets:
        for side, (one, other) in enumerate(((bad, good), (bad_in_court, good_in_court))):
            # Pebbles by trader, against a truthful rule in the same seat.
            gain[side].append(_pebbles(one, one[1]) - _pebbles(other, other[1]))
            harm[side].append(_pebbles(one, ~one[1]) - _pebbles(other, ~other[1]))
    found = []
    sides: tuple[tuple[str, Literal["lower", "higher"], list[list[float]]], ...] = (
        ("gain", "lower", gain),
        ("honest", "higher", harm),
    )
    for name, better, (without, with_court) in sides:
        note = f"with the magistrate {paired(with_court, 'pebbles')}, without {paired(without, 'pebbles')}"
        runs = tuple(round(pebbles, 2) for pebbles in with_court)
        value = round(mean(with_court), 2)
        found.append(Result(f"abuse_{abuse}_{name}", value, "pebbles a trader", better, runs=runs, bound=note))
    return found


def _pebbles(run: Ran, who: Bool) -> float:
    return float(run[2][who].mean()) / 100.0
