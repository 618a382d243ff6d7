"""What people look at stays small however many traders a run has, and long runs take no more as they go on."""

from pathlib import Path

import pytest

from swarm.bench.long import course
from swarm.config_file import resolve
from swarm.live.feed import Feed
from swarm.live.state import MAX_STATE_BYTES
from swarm.runtime.ports import IN_THIS_PROCESS
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder

MOST_REPORT_BYTES = 2_000_000
"""How long a report may be, however many traders its run had; nearly all of it is what draws the charts."""


def shown(path: Path, traders: int) -> tuple[int, int, int]:
    """The bytes of a run's report, of its longest state on the live page, and of what the page gets once."""
    feed = Feed()
    config = resolve({"rounds": 3, "population": traders, "traders": {"minds": {"zi_c": 1, "zip": 1}}})
    result = Session(IN_THIS_PROCESS, RunFolder(path / str(traders)), watchers=(feed,)).execute(config)
    states = [feed.of_round(round_) or b"" for round_ in range(1, 4)]
    return result.folder.report.stat().st_size, max(map(len, states)), len(feed.newest.sent)


@pytest.mark.slow
def test_report_and_live_page_of_twenty_thousand_are_no_longer_than_those_of_five_thousand(tmp_path: Path) -> None:
    few, many = shown(tmp_path, 5_000), shown(tmp_path, 20_000)
    assert many[0] < MOST_REPORT_BYTES
    assert many[0] < 1.05 * few[0]
    assert 0 < many[1] <= MAX_STATE_BYTES
    assert 0 < many[2] <= MAX_STATE_BYTES


@pytest.mark.slow
def test_a_long_run_takes_no_more_as_it_goes_on() -> None:
    found = course(2_000, 20)
    # In CPU time of one process, whose noise a quarter covers; a cost that grew with rounds would be several times.
    assert found.ratio < 1.25
    # Rows of tables go to files: what is left is a few columns of numbers for each round.
    assert found.mb[-1] - found.mb[1] < 40
