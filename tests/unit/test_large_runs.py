"""What people look at stays small however many traders a run has, and long runs take no more as they go on."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swarm.bench import long
from swarm.bench.long import Course, course
from swarm.config_file import resolve
from swarm.live.feed import Feed
from swarm.live.state import MAX_STATE_BYTES
from swarm.runtime.ports import IN_THIS_PROCESS
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder

MOST_REPORT_BYTES = 2_000_000
"""How long a report may be, however many traders its run had; nearly all of it is what draws the charts."""


def shown(path: Path, traders: int, rounds: int = 3) -> tuple[int, int, int]:
    """The bytes of a run's report, of its longest state on the live page, and of what the page gets once."""
    feed = Feed()
    config = resolve({"rounds": rounds, "population": traders, "traders": {"minds": {"zi_c": 1, "zip": 1}}})
    result = Session(IN_THIS_PROCESS, RunFolder(path / str(traders)), watchers=(feed,)).execute(config)
    states = [feed.of_round(round_) or b"" for round_ in range(1, rounds + 1)]
    return result.folder.report.stat().st_size, max(map(len, states)), len(feed.newest.sent)


def test_report_and_live_page_of_twenty_thousand_keep_within_their_limits(tmp_path: Path) -> None:
    report, state, sent = shown(tmp_path, 20_000, rounds=1)
    assert report < MOST_REPORT_BYTES
    # A tenth of a byte a trader: aggregates and samples, and never a row of each.
    assert 0 < state < 2_000
    assert 0 < sent < 2_000


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
    # Over young runs beside it, whose noise a quarter covers; a cost that grew with rounds would be several times.
    assert found.beside_young[-1] < 1.25
    # Rows of tables go to files: what is left is a few columns of numbers for each round.
    assert found.mb[-1] - found.mb[1] < 40


def test_a_machine_that_slows_is_not_taken_for_a_run_that_does() -> None:
    slowing = tuple(1 + tenth / 20 for tenth in range(10))
    found = Course(tuple(10 * slow for slow in slowing), slowing, (), 0.0, 0.0, 0, 0, 0)
    assert found.ratio == pytest.approx(1.45)
    assert found.beside_young == pytest.approx((1.0,) * 10)


def test_what_young_runs_take_is_none_of_the_tenth_that_they_are_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(long, "process_time", lambda: clock[0])

    class Beside:
        def cpu_s(self) -> float:
            clock[0] += 100.0
            return 3.0

    watch: Any = long._Watch(400, cast(Any, SimpleNamespace(most_mb=lambda: 1.0)), cast(Any, Beside()))
    watch.started(None, None, None)
    for round_ in range(1, 401):
        clock[0] += 0.5
        watch.round_done(SimpleNamespace(round=round_))
    assert [after - before for before, after in pairwise(watch.seconds)] == [20.0] * 10
    # Twenty beside each tenth.
    assert watch.young_s == [60.0] * 10
