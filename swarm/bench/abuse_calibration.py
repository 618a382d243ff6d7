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
from swarm.market.calibration import Calibration, Ground, calibrated
from swarm.market.surveillance import ABUSES, Abuse, Surveillance

CALIBRATION_SEEDS = (*range(10_000, 10_150), *range(40_000, 45_000))
"""Seeds that no other figure is made from."""


def calibrate(path: Path, runs: int, kept: Kept, market: Ground = "call") -> None:
    """Writes a market's calibration by honest runs that no other figure is made from; OutputError where that fails.

    What the file has of other markets stays. Prices that are posted are in the part of call auctions.
    """
    ran = kept.all([named(seed, market=market) for seed in CALIBRATION_SEEDS[:runs]])
    posted = [abuse_sellers.named(seed) for seed in CALIBRATION_SEEDS[:runs]] if market == "call" else []
    data = calibration_data(*([scored(one).surveillance for one in part] for part in (ran, kept.all(posted))))
    try:
        others = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if not isinstance(others, dict):
            raise ValueError("it is no calibration")
        path.write_text(json.dumps(others | {market: data}) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds something else"
        raise OutputError(f"--calibrate {path}: this file cannot be written ({why})") from error


def calibration_data(runs: Sequence[Surveillance], sellers: Sequence[Surveillance]) -> dict[str, Any]:
    """Returns the calibration by honest runs as plain values, as the magistrate's file has it.

    Who cannot collude says nothing of collusion, which is calibrated by `sellers` alone, if any.
    """
    everything = calibrated(runs)
    of: dict[Abuse, Calibration] = {abuse: everything for abuse in ABUSES if abuse != "collusion"}
    if sellers:
        of["collusion"] = calibrated(sellers)
    scores = {abuse: np.round(found.honest[abuse], 4).tolist() for abuse, found in of.items()}
    traders = {abuse: found.traders[abuse] for abuse, found in of.items()}
    return {"traders": traders, "rounds": ROUNDS, "scores": scores}
