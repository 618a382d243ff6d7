"""The benchmark of starts: it waits for a line or for the end, and a process that fails is told in its own words."""

from time import perf_counter

import pytest

from swarm.bench import start
from swarm.bench.start import Start, started
from swarm.errors import OutputError
from swarm.runtime.run import SILENT

BUSY = "import time\nwhile time.process_time() < 0.2: pass\n"


def test_a_start_ends_with_the_line_that_is_waited_for() -> None:
    code = f"{BUSY}print('round 1/9', flush=True)\ntime.sleep(1)\nprint('round 2/9')"
    began_s = perf_counter()
    first = started(("-c", code), "round 1/")
    # The process is left to end, which is none of its start.
    assert perf_counter() - began_s > first.s + 0.3
    assert 0.15 < first.cpu_s < 0.6


def test_a_start_without_a_line_ends_with_its_process() -> None:
    found = started(("-c", BUSY))
    assert found.s >= 0.2
    assert 0.15 < found.cpu_s < 0.6


@pytest.mark.parametrize(
    ("code", "until", "told"),
    [("raise SystemExit('no such config')", "", "no such config"), ("print('round 3/9')", "round 1/", "round 3/9")],
)
def test_a_process_that_fails_is_told_in_its_own_words(code: str, until: str, told: str) -> None:
    with pytest.raises(OutputError, match=told):
        started(("-c", code), until)


def test_what_this_software_imports_and_says_of_itself_comes_soon() -> None:
    # In CPU seconds, which a busy machine does not change much; the aims are for a quiet one.
    assert min(started(start.IMPORT).cpu_s for _ in range(3)) < start.IMPORT_S_AIM
    assert min(started(start.HELP).cpu_s for _ in range(3)) < start.HELP_S_AIM


def test_each_start_has_its_seconds_and_its_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    took = {start.NOTHING: 0.02, start.IMPORT: 0.1, start.HELP: 0.4}
    monkeypatch.setattr(start, "started", lambda arguments, _="": Start(took.get(arguments, 9.0), 0.5))
    figures = {result.name: result for result in start.measure(SILENT)}
    assert {name: result.value for name, result in figures.items() if result.aim is not None} == {
        "start_import_s": 0.1,
        "start_help_s": 0.4,
        "start_run_s": 9.0,
    }
    assert figures["start_help_s"].reached is True
    assert figures["start_run_s"].reached is False
    assert figures["start_run_cpu_s"].value == 0.5
