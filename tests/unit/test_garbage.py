"""Cycles are looked for seldom while a run goes on, and as often as before behind it; free memory goes back."""

import gc

import pytest

from swarm.config_file import resolve
from swarm.runtime import garbage
from swarm.runtime.garbage import THRESHOLDS, collected_seldom
from swarm.runtime.play import play
from swarm.simulation.loop import RoundOutcome

CONFIG = {"rounds": 2, "population": 4, "traders": {"minds": {"zi_c": 1}}}


class _Pace:
    """A watcher that notes the pace of each round."""

    def __init__(self) -> None:
        self.found: list[tuple[int, int, int]] = []

    def started(self, *_: object) -> None:
        """Has nothing to note."""

    def round_done(self, outcome: RoundOutcome) -> None:
        """Notes the pace."""
        self.found.append(gc.get_threshold())


def test_a_run_has_a_pace_of_its_own_and_gives_the_callers_back() -> None:
    before, pace = gc.get_threshold(), _Pace()
    play(resolve(CONFIG), pace)
    assert pace.found == [THRESHOLDS] * 2
    assert gc.get_threshold() == before != THRESHOLDS


def test_a_run_that_fails_gives_it_back_too() -> None:
    before = gc.get_threshold()
    with pytest.raises(RuntimeError), collected_seldom():
        raise RuntimeError
    assert gc.get_threshold() == before


def test_memory_is_given_back_where_the_c_library_can_and_kept_where_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    for trim in (asked.append, None):
        monkeypatch.setattr(garbage, "_trim", trim)
        garbage.give_back()
    assert asked == [0]
