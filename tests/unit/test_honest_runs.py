"""A hundred honest runs: nobody is sanctioned, and no more are warned than the rule is set to, calibrated on others."""

import pytest

from swarm.bench.abuse_runs import TRADERS, config
from swarm.coordination.intervals import wilson
from swarm.runtime.play import play
from swarm.simulation.parties.magistrate import MagistrateConfig

HONEST_SEED, RUNS = 80_000, 100


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_nobody_is_sanctioned_in_honest_runs_and_hardly_anybody_is_warned() -> None:
    accused: list[tuple[int, str, str]] = []
    for seed in range(HONEST_SEED, HONEST_SEED + RUNS):
        played = play(config(seed, None, court=("warn", "fine", "freeze", "exile")))
        files = {file["trader"]: file for file in played.summary.get("case_files", [])}
        accused += [(seed, file["sentence"], f"{file['abuse']} {file['score']}") for file in files.values()]
    # A warning takes nothing; whatever follows it does.
    assert not [one for one in accused if one[1] != "warn"], accused
    # What is beyond chance: even the lower bound of the share is above the rate.
    assert wilson(len(accused), RUNS * TRADERS)[0] <= MagistrateConfig().accuse_rate, accused
