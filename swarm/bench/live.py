"""The cost of the live page: a run of 1,000 traders with it open in twenty tabs, against the same run without it.

Beside it what the page weighs, how much and how often it is sent, and, where there is a browser, when it first paints.
"""

import gzip
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, thread_time

from swarm.bench import paint
from swarm.bench.form import RUNS, Result, median_of
from swarm.bench.runs import scripted
from swarm.config import RunConfig
from swarm.live.files import files
from swarm.live.opened import Address, Opened, of_run
from swarm.planning import composed
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.scenarios.protocol import Int64, MarketState
from swarm.simulation.folder import RunFolder
from swarm.simulation.hand import Hand
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

AIM_RATIO = 1.02
TABS = 20
WARM_UP_ROUNDS = 3
ROUNDS = 15
READER = """
import sys, threading, time, urllib.request
came = []
def follow():
    own = []
    came.append(own)
    stream = urllib.request.urlopen(sys.argv[1] + "/events", timeout=60)
    while line := stream.readline():
        if line.startswith(b"data:"):
            own.append(time.monotonic())
tabs = [threading.Thread(target=follow, daemon=True) for _ in range(int(sys.argv[2]))]
[tab.start() for tab in tabs]
print("open", flush=True)
sys.stdin.read()
print(max(sum(0 <= other - at < 1 for other in own) for own in came for at in own))
"""
"""A process of its own, as a browser is; each of its threads reads all that it is sent.

It ends with its input, and then tells the most states that a tab got within a second.
"""

READER_S = 60.0
AIM_PAGE_KB, AIM_STATE_KB, AIM_PER_S, AIM_PAINT_S = 400.0, 5.0, 4.0, 2.0


class _Timed:
    """A watcher that times a run's warm rounds and, where there is a page, what its watchers do in the run's thread."""

    def __init__(self, page: Opened | None) -> None:
        self._page = page
        self.page_s = self.cpu_s = self.wall_s = 0.0
        self.state_bytes = self.per_s = 0
        self.paint_s: float | None = None
        self.journal_sha256 = ""
        self._warm = 0.0, 0.0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Lets the page's watchers take in the opening."""
        for watcher in self._page.watchers if self._page else ():
            watcher.started(plan, opening, named)

    def round_settled(self, outcome: RoundOutcome) -> None:
        """Lets the page show the round."""
        begun = thread_time()
        if self._page is not None:
            self._page.feed.round_settled(outcome)
        self._add(outcome, begun)

    def round_done(self, outcome: RoundOutcome) -> None:
        """Lets the page's watchers take in the round."""
        begun = thread_time()
        for watcher in self._page.watchers if self._page else ():
            watcher.round_done(outcome)
        self._add(outcome, begun)
        if self._page is not None:
            self.state_bytes = max(self.state_bytes, len(self._page.feed.newest.sent))
        now = process_time(), perf_counter()
        if outcome.round == WARM_UP_ROUNDS:
            self._warm = now
        self.cpu_s, self.wall_s = now[0] - self._warm[0], now[1] - self._warm[1]

    def _add(self, outcome: RoundOutcome, begun: float) -> None:
        # The thread's own CPU: what the server does meanwhile, in its thread, is in the process's.
        if outcome.round > WARM_UP_ROUNDS:
            self.page_s += thread_time() - begun


def config() -> RunConfig:
    """Returns a run of 1,000 traders and policies that answer at once, so that little else is in a round."""
    return scripted("bench-live", rounds=WARM_UP_ROUNDS + ROUNDS, population=1_000)


def measure(narrator: Narrator) -> list[Result]:
    """Returns the figures of runs with and without the page in turn; a ratio is that of two runs next to each other."""
    costs: dict[bool, list[_Timed]] = {True: [], False: []}
    for attempt in range(RUNS):
        # Who goes first takes turns, since a machine that slows down would favour one of them.
        for on in (attempt % 2 == 0, attempt % 2 == 1):
            narrator.phase(f"run {attempt + 1} of {RUNS}, the page {f'open in {TABS} tabs' if on else 'off'}")
            costs[on].append(_run(on))
    pairs = list(zip(costs[True], costs[False], strict=True))
    bare_s = median(cost.cpu_s for cost in costs[False])
    shares = [cost.page_s / cost.cpu_s for cost in costs[True]]
    return [
        median_of(
            "live_overhead_ratio_1000",
            [a.cpu_s / b.cpu_s for a, b in pairs],
            "ratio",
            "lower",
            aim=AIM_RATIO,
            bound=f"CPU of the run's process: a state once a round, sent to {TABS} tabs at most 4 times a second",
            of_bound=round(bare_s / median(cost.cpu_s for cost in costs[True]), 4),
        ),
        median_of(
            "live_wall_ratio_1000",
            [a.wall_s / b.wall_s for a, b in pairs],
            "ratio",
            "lower",
            aim=AIM_RATIO,
            bound="the same, and whatever else the machine does",
        ),
        median_of(
            "live_page_share_1000",
            shares,
            "ratio",
            "lower",
            aim=round(AIM_RATIO - 1, 4),
            bound="what the page's own clock says of the run's thread, within one run and almost without noise",
        ),
        median_of("live_ms_per_round_1000", [1_000 * c.page_s / ROUNDS for c in costs[True]], "ms", "lower"),
        *_of_page(costs[True]),
        Result(
            "live_same_history",
            sum(a.journal_sha256 == b.journal_sha256 for a, b in pairs) / len(pairs),
            "of all",
            "higher",
            aim=1.0,
            bound="pairs of runs with and without the page that came to one journal hash",
        ),
    ]


def _of_page(opened: list[_Timed]) -> list[Result]:
    """Returns what the page weighs, what is sent of a run, and when a browser first paints something of it."""
    page_kb = sum(len(gzip.compress(content)) for _, content in files().values()) / 1_000
    missing = paint.lacking()
    painted = [one.paint_s for one in opened if one.paint_s is not None]
    bound = "from the call of its address, in a browser that never saw it, of a run that is over"
    return [
        Result("live_page_kb", round(page_kb, 3), "kB", "lower", aim=AIM_PAGE_KB, bound="all of its files, by gzip"),
        median_of(
            "live_state_kb", [one.state_bytes / 1_000 for one in opened], "kB", "lower", aim=AIM_STATE_KB,
            bound="the longest state of a run",
        ),
        median_of(
            "live_states_per_s", [float(one.per_s) for one in opened], "1/s", "lower", aim=AIM_PER_S,
            bound="the most that a tab got within a second",
        ),
        median_of("live_first_paint_s", painted, "s", "lower", aim=AIM_PAINT_S, bound=bound)
        if painted
        else Result("live_first_paint_s", None, "s", "lower", aim=AIM_PAINT_S, bound=bound, note=missing),
    ]  # fmt: skip


def _run(on: bool) -> _Timed:
    with tempfile.TemporaryDirectory() as name, _page(Path(name), on) as page:
        timed = _Timed(page)
        with _tabs(timed, page):
            played = play(config(), timed, journals_in=Path(name), hands=page.hands if page else ())
        timed.journal_sha256 = played.journal_sha256
        if page is not None and not paint.lacking():
            timed.paint_s = paint.first_paint_s(page.url)
        return timed


@contextmanager
def _page(folder: Path, on: bool) -> Iterator[Opened | None]:
    """Yields the page of a run, or none."""
    if not on:
        yield None
        return
    run, hands = RunFolder(folder), (Hand("visitor"),)
    with of_run(Address(port=0), lambda: {"": run.journal}, composed, hands, 0.0, lambda: False) as page:
        yield page


@contextmanager
def _tabs(timed: _Timed, page: Opened | None) -> Iterator[None]:
    """Has the page open in all tabs while the block runs, and keeps how often a tab was sent a state."""
    if page is None:
        yield
        return
    command = [sys.executable, "-c", READER, page.url, str(TABS)]
    reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        if reader.stdout is not None:
            reader.stdout.readline()
        yield
        told, _ = reader.communicate(timeout=READER_S)
        timed.per_s = int(told)
    finally:
        reader.kill()
        reader.communicate()
