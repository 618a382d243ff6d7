"""A run's history as its journal tells it: what a replay and a resumed run begin with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swarm.errors import JournalError
from swarm.simulation.journal import MAGIC, JournalReader
from swarm.simulation.plan import JOURNAL_FORMAT, Fork, RunPlan, config_digest

Compose = Callable[[dict[str, Any]], RunPlan]


@dataclass(frozen=True, slots=True)
class RecordedFork:
    """Where a run left the history of another: after `round`, for another config."""

    round: int
    parent_sha256: str
    changes: tuple[str, ...]
    config_record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class History:
    """What a journal holds. The history is `records`; what lies behind the last whole round is unfinished.

    `decisions` are by round, those of the unfinished round included, and `sha256` is the hash of the whole rounds.
    `dispatches` are, in the journal of one of several regions, the records of what the road sent it, by round.
    """

    header: list[Any]
    forks: tuple[RecordedFork, ...]
    records: list[Any]
    decisions: dict[int, list[Any]]
    rounds: int
    sha256: str
    torn_bytes: int
    unfinished: int
    dispatches: dict[int, list[list[Any]]] = field(default_factory=dict)

    @property
    def config_record(self) -> dict[str, Any]:
        """The config that holds at the end of the run."""
        return self.forks[-1].config_record if self.forks else dict(self.header[2])

    def plan(self, compose: Compose) -> RunPlan:
        """The recorded run's plan; `compose` makes a plan of a journalled config."""
        then: Fork | None = None
        for fork in reversed(self.forks):
            future = replace(_as_recorded(fork.config_record, compose), fork=then)
            then = Fork(fork.round, fork.parent_sha256, fork.changes, future)
        return replace(_as_recorded(self.header[2], compose), fork=then)


def _as_recorded(record: dict[str, Any], compose: Compose) -> RunPlan:
    # The config is what the run was given, so it is taken as it stands: keys that later versions add are not in it.
    return replace(compose(record), config_sha256=config_digest(record), config_record=record)


def begun(path: Path) -> bool:
    """Whether there is a journal with a first record; without it there is nothing to go on from."""
    if not path.exists() or path.stat().st_size < len(MAGIC):
        return False
    return next(JournalReader(path).payloads(), None) is not None


def read(path: Path, last_round: int | None = None) -> History:
    """The history up to the last whole round, or to `last_round`; before the first, the opening counts as whole."""
    reader = JournalReader(path)
    records: list[Any] = []
    decisions: dict[int, list[Any]] = {}
    forks: list[RecordedFork] = []
    dispatches: dict[int, list[list[Any]]] = {}
    sent: list[list[Any]] | None = None
    whole, whole_sha256, rounds = 0, reader.sha256, 0
    for record in reader:
        if not _is_record(record):
            raise JournalError(f"{path}: record {len(records)} is no record of a run")
        records.append(record)
        kind = record[0]
        if kind == "decisions":
            decisions[record[1][0]] = record[1][1]
        if kind == "fork":
            round_, parent, changes, _, config_record, _ = record[1]
            forks.append(RecordedFork(round_, parent, tuple(changes), config_record))
        if kind == "road":
            dispatches[record[1][0]] = sent = []
        if kind in ("round", "decisions"):
            sent = None
        if sent is not None:
            sent.append(record)
        ended = kind == "round" and (last_round is None or record[1][0] <= last_round)
        if ended:
            rounds = record[1][0]
        if ended or (rounds == 0 and not decisions):
            whole, whole_sha256 = len(records), reader.sha256
    if not records or records[0][0] != "run":
        raise JournalError(f"{path}: the journal ends before the run's first record; there is nothing to replay")
    if records[0][1][0] != JOURNAL_FORMAT:
        raise JournalError(f"{path}: journal format {records[0][1][0]}; this version of swarm reads {JOURNAL_FORMAT}")
    if missing := next((r for r in range(1, rounds + 1) if r not in decisions), 0):
        raise JournalError(f"{path}: the journal has no decisions for round {missing}; restore the file from a copy")
    return History(
        header=records[0][1],
        forks=tuple(forks),
        records=records[:whole],
        decisions=decisions,
        rounds=rounds,
        sha256=whole_sha256,
        torn_bytes=reader.torn_bytes,
        unfinished=len(records) - whole,
        dispatches=dispatches,
    )


def up_to_round(path: Path, round_: int) -> Iterator[bytes]:
    """The packed records of a journal up to the end of round `round_`; JournalError if it does not get so far."""
    reader = JournalReader(path)
    for offset, payload in reader.payloads():
        yield payload
        record = reader.unpacked(offset, payload)
        if record[0] == "round" and record[1][0] == round_:
            return
    raise JournalError(f"{path}: the journal ends before round {round_} does")


def _is_record(record: Any) -> bool:
    """Whether a record has the form of one, as far as reading a journal relies on it."""
    match record:
        case ["run", [int(journal_format), *rest]] if journal_format != JOURNAL_FORMAT or _is_header(rest):
            return True
        case ["decisions", [int(), list()]] | ["round", [int(), str()]]:
            return True
        case ["fork", [int(), str(), list(), str(), dict(), list()]]:
            return True
        case ["road", [int(), list(news)]]:
            return all(isinstance(told, list) and len(told) == 2 for told in news)
        case ["run" | "decisions" | "round" | "fork" | "road", *_]:
            return False
        case [str(), *_]:
            return True
        case _:
            return False


def _is_header(rest: list[Any]) -> bool:
    """Whether these are what follows the format in the first record: the config's digest and the config."""
    match rest:
        case [str(), dict()]:
            return True
        case _:
            return False
