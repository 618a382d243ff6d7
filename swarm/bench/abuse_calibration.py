"""Calibrates the magistrate by honest runs that no other figure is made from."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from swarm.bench import abuse_sellers
from swarm.bench.abuse_kept import Kept
from swarm.bench.abuse_runs import ROUNDS, named, scored
from swarm.errors import OutputError
from swarm.market.surveillance import ABUSES, Surveillance, calibrated

CALIBRATION_SEEDS = (*range(10_000, 10_150), *range(40_000, 45_000))
"""Seeds that no other figure is made from."""


def calibrate(path: Path, runs: int, kept: Kept) -> None:
    """Writes the calibration by honest runs that no other figure is made from; OutputError where that fails."""
    ran = kept.all([named(seed) for seed in CALIBRATION_SEEDS[:runs]])
    sellers = kept.all([abuse_sellers.named(seed) for seed in CALIBRATION_SEEDS[:runs]])
    data = calibration_data(*([scored(one).surveillance for one in part] for part in (ran, sellers)))
    try:
        path.write_text(json.dumps(data) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"--calibrate {path}: this file cannot be written ({error.strerror})") from error


def calibration_data(runs: Sequence[Surveillance], sellers: Sequence[Surveillance]) -> dict[str, Any]:
    """Returns the calibration by honest runs as plain values, as the magistrate's file has it.

    Who cannot collude says nothing of collusion, which is calibrated by `sellers` alone.
    """
    everything, collusion = calibrated(runs), calibrated(sellers)
    of = {abuse: collusion if abuse == "collusion" else everything for abuse in ABUSES}
    scores = {abuse: np.round(found.honest[abuse], 4).tolist() for abuse, found in of.items()}
    traders = {abuse: found.traders[abuse] for abuse, found in of.items()}
    return {"traders": traders, "rounds": ROUNDS, "scores": scores}
