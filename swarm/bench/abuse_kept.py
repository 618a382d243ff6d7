"""Keeps the traces of benchmark runs in files, one a run, so that a scorecard is made piece by piece and scored anew.

What is kept are traces, labels and wealth, before any statistic: a statistic that changes needs no run again.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from swarm.errors import OutputError
from swarm.market.evidence import Traces
from swarm.market.orders import Int64

COLUMNS = tuple(field.name for field in fields(Traces) if field.name not in ("round", "news"))
DAMAGED = (OSError, EOFError, ValueError, LookupError, RuntimeError, BadZipFile, zlib.error)
"""What reading a file of columns raises where some of its bytes are others, or missing."""

Figures = dict[str, Any]
Kind = TypeVar("Kind")
Ran = tuple[list[Traces], npt.NDArray[np.bool_], Int64]
"""The traces of a run by round, who was planted, [traders], and what everybody has in the end, in cents."""


class OutOfTime(Exception):
    """No further run is begun: what is kept so far is scored, or gone on with another time."""


class Kept:
    """Runs by name; without a folder each is played, and none is begun after `seconds`."""

    def __init__(self, folder: Path | None = None, seconds: float = float("inf")) -> None:
        self._folder, self._until = folder, monotonic() + seconds

    def run(self, name: str, play: Callable[[], Ran]) -> Ran:
        """Returns a run that is kept, or plays and keeps it; OutOfTime where there is no time for it."""
        return self._one(f"{name}.npz", play, _read, _write)

    def all(self, names: Sequence[tuple[str, Callable[[], Ran]]]) -> list[Ran]:
        """Returns these runs, or the first of them, as far as there is time."""
        return list(self._while_there_is_time(self.run, names))

    def figures(self, names: Sequence[tuple[str, Callable[[], Figures]]]) -> list[Figures]:
        """Returns the figures of these runs, of which nothing else is kept, as far as there is time."""
        return list(self._while_there_is_time(self._figures, names))

    def _figures(self, name: str, play: Callable[[], Figures]) -> Figures:
        return self._one(f"{name}.json", play, _read_figures, _write_figures)

    def _one(
        self, file: str, play: Callable[[], Kind], read: Callable[[Path], Kind], write: Callable[[Path, Kind], None]
    ) -> Kind:
        path = self._folder / file if self._folder else None
        if path is not None and path.exists():
            return read(path)
        if monotonic() > self._until:
            raise OutOfTime
        ran = play()
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_name(f".{path.name}")
                write(part, ran)
                # Whole or not at all: a run that was cut off is played again.
                part.rename(path)
            except OSError as error:
                raise OutputError(f"--keep {path.parent}: this cannot be written ({error.strerror})") from error
        return ran

    def _while_there_is_time(
        self, one: Callable[[str, Callable[[], Kind]], Kind], names: Sequence[tuple[str, Callable[[], Kind]]]
    ) -> Iterator[Kind]:
        for name, play in names:
            try:
                yield one(name, play)
            except OutOfTime:
                return


def _write_figures(path: Path, figures: Figures) -> None:
    path.write_text(json.dumps(figures) + "\n", encoding="utf-8")


def _read_figures(path: Path) -> Figures:
    try:
        found: Figures = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _is_no_run(path) from error
    if not isinstance(found, dict):
        raise _is_no_run(path)
    return found


def _is_no_run(path: Path) -> OutputError:
    return OutputError(f"--keep {path}: this is no run of this benchmark; delete it to play it anew")


def _write(path: Path, ran: Ran) -> None:
    past, planted, wealth = ran
    # [rounds, traders, ...] by column, and news as rows of round, good and direction.
    columns = {name: np.stack([getattr(traces, name) for traces in past]) for name in COLUMNS}
    news = [(traces.round, *row) for traces in past for row in traces.news.tolist()]
    columns |= {
        "round": np.array([traces.round for traces in past]),
        "news": np.array(news, dtype=np.int64).reshape(-1, 3),
        "planted": planted,
        "wealth": wealth,
    }
    np.savez_compressed(path, allow_pickle=False, **columns)


def _read(path: Path) -> Ran:
    try:
        # Opened here, since numpy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            columns = {name: data[name] for name in (*COLUMNS, "round", "news", "planted", "wealth")}
    except DAMAGED as error:
        raise _is_no_run(path) from error
    past = []
    for at, round_ in enumerate(columns["round"].tolist()):
        news = columns["news"][columns["news"][:, 0] == round_][:, 1:]
        past.append(Traces(round=round_, news=news, **{name: columns[name][at] for name in COLUMNS}))
    return past, columns["planted"], columns["wealth"]
