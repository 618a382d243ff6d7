"""Replay: rebuild a run from its journal alone, and say whether it comes to the recorded history.

The recorded replies are read again, the scenario and the exchange run again, and every record that this makes must be
the recorded one. No model is asked and no cluster is needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from swarm.errors import JournalError
from swarm.market.commands import Command, to_record
from swarm.simulation.journal import JournalReader
from swarm.simulation.loop import Watcher, run_rounds
from swarm.simulation.market import Market, MarketAnswer, MarketClosing, Note
from swarm.simulation.plan import JOURNAL_FORMAT, RunPlan, config_digest
from swarm.simulation.traders import RecordedTraders


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay came to.

    `mismatch` says where the first record differs, or is empty. `torn_bytes` and `unfinished_records` tell what lies
    behind the last whole round of an interrupted run and is not part of the history.
    """

    plan: RunPlan
    rounds: int
    recorded_sha256: str
    replayed_sha256: str
    mismatch: str
    torn_bytes: int
    unfinished_records: int
    closing: MarketClosing

    @property
    def holds(self) -> bool:
        """Whether the replay came to the recorded history."""
        return not self.mismatch and self.recorded_sha256 == self.replayed_sha256


@dataclass(frozen=True, slots=True)
class _History:
    header: list[Any]
    records: list[Any]
    decisions: dict[int, list[Any]]
    rounds: int
    sha256: str
    torn_bytes: int
    unfinished: int


class _ComparingMarket(Market):
    """A market that holds each record it would journal against the recorded one."""

    def __init__(self, plan: RunPlan, recorded: list[Any]) -> None:
        super().__init__(plan.market, None)
        self.recorded = recorded
        self.mismatch = ""
        self._next = 0

    def execute(self, entries: Sequence[Command | Note]) -> MarketAnswer:
        """Compare, then do as a market does."""
        for entry in entries:
            self._compare([entry.kind, entry.body] if isinstance(entry, Note) else to_record(entry))
        return super().execute(entries)

    def end_round(self, round_: int) -> None:
        """Compare the state's hash, then do as a market does."""
        self._compare(["round", [round_, self.exchange.state_hash()]])
        super().end_round(round_)

    def compare_rest(self) -> None:
        """Say so if the journal goes on where the replay has ended."""
        if not self.mismatch and self._next < len(self.recorded):
            found = self.recorded[self._next][0]
            self.mismatch = f"record {self._next} is a {found!r} in the journal and nothing in the replay"

    def _compare(self, record: list[Any]) -> None:
        place, self._next = self._next, self._next + 1
        if self.mismatch or (place < len(self.recorded) and self.recorded[place] == record):
            return
        found = self.recorded[place][0] if place < len(self.recorded) else "nothing"
        self.mismatch = f"record {place} is a {found!r} in the journal and another {record[0]!r} in the replay"


def replay(
    journal: Path, compose: Callable[[dict[str, Any]], RunPlan], watchers: tuple[Watcher, ...] = ()
) -> ReplayResult:
    """Rebuild the run whose journal this is; `compose` makes a plan of a journalled config."""
    history = _read(journal)
    config_record = history.header[2]
    # The config is what the run was given, so it is taken as it stands: keys that later versions add are not in it.
    plan = replace(compose(config_record), config_sha256=config_digest(config_record), config_record=config_record)
    market = _ComparingMarket(plan, history.records)
    rounds = run_rounds(
        plan,
        market,
        RecordedTraders(plan.shard, history.decisions),
        watchers,
        should_stop=_after(history.rounds),
    )
    market.compare_rest()
    closing = market.close()
    return ReplayResult(
        plan=plan,
        rounds=rounds,
        recorded_sha256=history.sha256,
        replayed_sha256=closing.journal_sha256,
        mismatch=market.mismatch,
        torn_bytes=history.torn_bytes,
        unfinished_records=history.unfinished,
        closing=closing,
    )


def _after(rounds: int) -> Callable[[], bool]:
    """True from the call on that comes before round `rounds` + 1."""
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > rounds

    return stop


def _read(path: Path) -> _History:
    """The records up to the last whole round; before the first round, the opening counts as whole."""
    reader = JournalReader(path)
    records: list[Any] = []
    decisions: dict[int, list[Any]] = {}
    whole, whole_sha256, rounds = 0, reader.sha256, 0
    for record in reader:
        if not _is_record(record):
            raise JournalError(f"{path}: record {len(records)} is no record of a run")
        records.append(record)
        kind = record[0]
        if kind == "decisions":
            decisions[record[1][0]] = record[1][1]
        if kind == "round":
            rounds = record[1][0]
        if kind == "round" or (rounds == 0 and not decisions):
            whole, whole_sha256 = len(records), reader.sha256
    if not records or records[0][0] != "run":
        raise JournalError(f"{path}: the journal ends before the run's first record; there is nothing to replay")
    if records[0][1][0] != JOURNAL_FORMAT:
        raise JournalError(f"{path}: journal format {records[0][1][0]}; this version of swarm reads {JOURNAL_FORMAT}")
    if missing := next((r for r in range(1, rounds + 1) if r not in decisions), 0):
        raise JournalError(f"{path}: the journal has no decisions for round {missing}; restore the file from a copy")
    return _History(
        header=records[0][1],
        records=records[:whole],
        decisions=decisions,
        rounds=rounds,
        sha256=whole_sha256,
        torn_bytes=reader.torn_bytes,
        unfinished=len(records) - whole,
    )


def _is_record(record: Any) -> bool:
    """Whether a record has the form of one, as far as reading a journal relies on it."""
    match record:
        case ["run", [int(journal_format), *rest]] if journal_format != JOURNAL_FORMAT or _is_header(rest):
            return True
        case ["decisions", [int(), list()]] | ["round", [int(), str()]]:
            return True
        case ["run" | "decisions" | "round", *_]:
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
