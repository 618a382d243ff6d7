"""Ten thousand rounds of two hundred baselines in a folder: whether a round stays as fast and as small as it was.

The report and the tables of the end are part of it: what they take beyond the rounds is told beside it. A machine that
others use slows by itself, so that young runs are played between the rounds, by which the course is told as well.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import process_time

import psutil

from swarm.bench.form import Result
from swarm.bench.young import Young, young
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.preflight import Narrator
from swarm.runtime.ports import IN_THIS_PROCESS
from swarm.runtime.run import Session
from swarm.scenarios.protocol import MarketState
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan

ROUNDS, TRADERS = 10_000, 200
RATIO_AIM = 1.05
TENTHS = 10
LOOK_EVERY_S = 0.05
YOUNG_PER_TENTH, YOUNG_ROUNDS = 20, 5
"""How many young runs are played beside each tenth, and of how many rounds behind the first."""


@dataclass(frozen=True, slots=True)
class Course:
    """The course of a run by tenths of its rounds: [tenths] CPU seconds, and the most MB that each had at once.

    `young_s` are [tenths] CPU seconds of the young runs that were played beside each, all of the same work. `end_mb`
    and `end_s` are the most MB, and the CPU seconds, from the last round on: tables, summary and report.
    """

    cpu_s: tuple[float, ...]
    young_s: tuple[float, ...]
    mb: tuple[float, ...]
    end_mb: float
    end_s: float
    journal_bytes: int
    table_bytes: int
    report_bytes: int

    @property
    def ratio(self) -> float:
        """Returns the CPU of the last tenth over that of the first."""
        return self.cpu_s[-1] / self.cpu_s[0]

    @property
    def beside_young(self) -> tuple[float, ...]:
        """Returns the CPU of each tenth over that of the young runs beside it, as multiples of the first tenth's."""
        over = [own / young for own, young in zip(self.cpu_s, self.young_s, strict=True)]
        return tuple(one / over[0] for one in over)


class _Memory:
    """Looks at the memory of this process from a thread, and keeps the most since it was last asked."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._ended = Event()
        self._most = 0.0
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()

    def most_mb(self) -> float:
        """Returns the most megabytes since the last time, without pages of files, and begins anew."""
        most, self._most = max(self._most, self._mb()), 0.0
        return most

    def end(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            self._most = max(self._most, self._mb())

    def _mb(self) -> float:
        # Linux tells pages of files apart, which it takes back where memory is short.
        used = self._process.memory_info()
        return float(used.rss - getattr(used, "shared", 0)) / 1e6


class _Watch:
    """A watcher that looks at clock and memory after each tenth of the rounds, and plays young runs in between."""

    def __init__(self, rounds: int, memory: _Memory, beside: Young) -> None:
        self._tenth = rounds // TENTHS
        self._memory = memory
        self._beside = beside
        self.aside_s = 0.0
        self.seconds: list[float] = []
        self.young_s: list[float] = []
        self.mb: list[float] = []

    def started(self, plan: RunPlan, opening: MarketState, named: object) -> None:
        """Begins the first tenth."""
        self.seconds.append(process_time())

    def round_done(self, outcome: RoundOutcome) -> None:
        """Plays a young run where one is due, and ends a tenth."""
        at = (outcome.round - 1) % self._tenth
        if at == 0:
            self.young_s.append(0.0)
        if at % max(1, self._tenth // YOUNG_PER_TENTH) == 0:
            began_s = process_time()
            self.young_s[-1] += self._beside.cpu_s()
            # What asking for it takes in this process is no part of the rounds.
            self.aside_s += process_time() - began_s
        if at == self._tenth - 1:
            self.seconds.append(process_time() - self.aside_s)
            self.mb.append(self._memory.most_mb())


def course(rounds: int, traders: int) -> Course:
    """Plays a run in a folder to its report, and returns its course; `rounds` are a multiple of ten."""
    config = _config(rounds, traders)
    memory = _Memory()
    try:
        with (
            young(_config(1 + YOUNG_ROUNDS, traders)) as beside,
            tempfile.TemporaryDirectory(prefix="swarm-long-") as kept,
        ):
            watch = _Watch(rounds, memory, beside)
            folder = Session(IN_THIS_PROCESS, RunFolder(Path(kept, "run")), (watch,)).execute(config).folder
            end_mb, end_s = memory.most_mb(), process_time() - watch.aside_s - watch.seconds[-1]
            tables = sum(path.stat().st_size for path in (folder.path / "tables").iterdir())
            sizes = folder.journal.stat().st_size, tables, folder.report.stat().st_size
    finally:
        memory.end()
    spent = tuple(after - before for before, after in zip(watch.seconds, watch.seconds[1:], strict=False))
    return Course(spent, tuple(watch.young_s), tuple(watch.mb), end_mb, end_s, *sizes)


def _config(rounds: int, traders: int) -> RunConfig:
    return resolve({"rounds": rounds, "population": traders, "traders": {"minds": {"zi_c": 1, "zip": 1}}})


def measure(narrator: Narrator, rounds: int = ROUNDS, traders: int = TRADERS) -> list[Result]:
    """Returns the figures of one run; its tenths are compared with each other, which share one sitting."""
    narrator.phase(f"{rounds:,} rounds of {traders:,} traders")
    found = course(rounds, traders)
    of = f"{rounds:,} rounds of {traders:,} traders"
    # Whether time grows, whether memory does, what the end takes, and what all of it takes on the disk.
    return [
        *_over_time(found, of),
        Result("long_round_cpu_ms", round(sum(found.cpu_s) / rounds * 1_000, 2), "ms", "lower", bound="CPU of a round"),
        Result(
            "long_mb_last_less_second",
            round(found.mb[-1] - found.mb[1], 1),
            "MB",
            "lower",
            runs=tuple(round(mb, 1) for mb in found.mb),
            bound="the most memory of the last tenth less that of the second, all in `runs`",
        ),
        Result(
            "long_end_mb",
            round(found.end_mb - found.mb[-1], 1),
            "MB",
            "lower",
            bound="what tables, summary and report take at once beyond the rounds, the charts' libraries included",
        ),
        Result("long_end_cpu_s", round(found.end_s, 2), "s", "lower", bound="CPU of tables, summary and report"),
        Result(
            "long_journal_bytes",
            round(found.journal_bytes / rounds / traders, 2),
            "B",
            "lower",
            bound="the journal, of a trader and round, where records are short",
        ),
        Result(
            "long_table_bytes",
            round(found.table_bytes / rounds / traders, 2),
            "B",
            "lower",
            bound="the tables, of a trader and round",
        ),
        Result(
            "long_report_kb", round(found.report_bytes / 1_000, 1), "kB", "lower", bound="the page, libraries included"
        ),
    ]


def _over_time(found: Course, of: str) -> list[Result]:
    """Returns how the CPU of a round goes, by itself and beside young runs."""
    # The second is the run's own share of the first, and the third the machine's.
    return [
        Result(
            "long_cpu_last_over_first",
            round(found.ratio, 3),
            "ratio",
            "lower",
            RATIO_AIM,
            tuple(round(s / found.cpu_s[0], 3) for s in found.cpu_s),
            f"CPU of the last tenth of {of} over that of the first, all in `runs`",
        ),
        Result(
            "long_cpu_beside_young_runs",
            round(found.beside_young[-1], 3),
            "ratio",
            "lower",
            RATIO_AIM,
            tuple(round(ratio, 3) for ratio in found.beside_young),
            f"the same over the CPU of {YOUNG_PER_TENTH} young runs of {YOUNG_ROUNDS} rounds beside each tenth, in a "
            "process of their own",
        ),
        Result(
            "long_young_last_over_first",
            round(found.young_s[-1] / found.young_s[0], 3),
            "ratio",
            "lower",
            runs=tuple(round(s / found.young_s[0], 3) for s in found.young_s),
            bound="the same work beside the last tenth over that beside the first: what the machine alone does",
        ),
    ]
