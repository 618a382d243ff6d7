"""A hundred honest runs, none of which ends in a sanction; the magistrate was calibrated on others."""

import pytest

from swarm.bench.abuse_runs import config
from swarm.runtime.play import play

HONEST_SEED, RUNS, OF_EACH = 80_000, 100, 10


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, RUNS, OF_EACH))
def test_nobody_is_sentenced_in_honest_runs(first: int) -> None:
    for number in range(first, first + OF_EACH):
        played = play(config(HONEST_SEED + number, None, court=("warn", "fine", "freeze", "exile")))
        assert "cases" not in played.summary, (number, played.summary["cases"])
