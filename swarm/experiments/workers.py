"""Runs many runs side by side: each from one process, several after another in the same, until all are done or stopped.

A run that was begun before goes on from its journal. A process whose parent has died ends at once; its journal holds.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, TypeVar

from swarm.config_file import load, resolve
from swarm.errors import OutputError, SwarmError, called
from swarm.runtime.ports import IN_THIS_PROCESS, RunsOn
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.loop import Interrupted

Done = TypeVar("Done")

LOOK_S = 0.5
"""How often it is looked whether to stop, while nothing is done."""


@dataclass(frozen=True, slots=True)
class Job:
    """A run to be done: its folder, and its config in plain values."""

    folder: Path
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that ended: finished, failed with an error in one line, or neither, since it was told to stop."""

    job: Job
    finished: bool
    error: str = ""


def usual_jobs() -> int:
    """Returns how many processes run side by side if nobody says: as many as there are cores for this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_by_side(work_on: Callable[..., Done], jobs: Sequence[tuple[Any, ...]], processes: int) -> list[Done]:
    """Returns what a function comes to for each job's arguments, in their order; one process is this one."""
    if processes == 1:
        return [work_on(*job) for job in jobs]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pool.starmap(work_on, jobs, chunksize=1)


def run_all(
    todo: Sequence[Job], processes: int, stop: Callable[[], bool], runs_on: RunsOn = IN_THIS_PROCESS
) -> Iterator[Ended]:
    """Yields each job as it ends; once `stop` says so, those that go on end after their round and no other begins."""
    # Spawned and not forked: libraries of the parent have threads, which a fork would lose.
    context = multiprocessing.get_context("spawn")
    told = context.Event()
    waiting = list(reversed(todo))
    running: set[Future[Ended]] = set()
    pool = ProcessPoolExecutor(min(processes, len(todo)) or 1, context, initializer=_begin, initargs=(told,))
    try:
        while waiting or running:
            if stop():
                told.set()
                waiting.clear()
            # Handed out one by one, so that a stop finds nothing in a queue.
            while waiting and len(running) < processes:
                running.add(pool.submit(work, waiting.pop(), runs_on))
            done, running = wait(running, LOOK_S, FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise OutputError(
            "a process of the sweep was killed, for want of memory perhaps, or could not start: a script calls sweep "
            f"below `if __name__ == '__main__':`; the same sweep, with fewer {called('--jobs', '`jobs`')}, goes on "
            "where this one stopped"
        ) from error
    finally:
        told.set()
        pool.shutdown(cancel_futures=True)


def work(job: Job, runs_on: RunsOn) -> Ended:
    """Does a run, or goes on with it where it was begun; what a user can cause is returned, since it ends no other."""
    session = Session(runs_on, RunFolder(job.folder), stop=_told_to_stop, report=False)
    try:
        config = resolve(job.config)
        if session.folder.config.exists():
            if load(session.folder.config).sha256() != config.sha256():
                raise OutputError(f"{job.folder}: this run has another config; remove it, and the sweep does it anew")
            return Ended(job, session.resume().finished)
        # What was killed before it had written its config has left files without a name of their own.
        for part in job.folder.glob(".*.part"):
            part.unlink()
        return Ended(job, session.execute(config).finished)
    except Interrupted:
        return Ended(job, finished=False)
    except SwarmError as error:
        return Ended(job, finished=False, error=str(error))


_stop: Event | None = None


def _told_to_stop() -> bool:
    return _stop is not None and _stop.is_set()


def _begin(told: Event) -> None:
    """Makes a process ready: Ctrl-C is its parent's, who tells it to stop, and it ends when the parent has died."""
    global _stop  # noqa: PLW0603 - the one thing that a process of a pool is given when it begins
    _stop = told
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            connection.wait([parent.sentinel])
        os._exit(1)
