"""Replay: rebuild a run from its journal alone, and say whether it comes to the recorded history.

The recorded replies are read again, the scenario and the exchange run again, and every record that this makes must be
the recorded one. No model is asked and no cluster is needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.market.commands import Command, to_record
from swarm.simulation.history import Compose, read
from swarm.simulation.journal import JournalStats
from swarm.simulation.loop import Watcher, run_rounds
from swarm.simulation.market import Market, MarketAnswer, MarketClosing, Note
from swarm.simulation.plan import RunPlan
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


class _ComparingMarket(Market):
    """A market that holds each record it would journal against the recorded one."""

    def __init__(self, plan: RunPlan, recorded: list[Any]) -> None:
        super().__init__(plan.market, None)
        self._expected = recorded
        self.mismatch = ""
        self._place = 0

    def execute(self, entries: Sequence[Command | Note], at: int | None = None) -> MarketAnswer:
        """Compare, then do as a market does."""
        for entry in entries:
            self._compare([entry.kind, entry.body] if isinstance(entry, Note) else to_record(entry))
        return super().execute(entries, at)

    def end_round(self, round_: int, at: int | None = None) -> JournalStats:
        """Compare the state's hash, then do as a market does."""
        self._compare(["round", [round_, self.exchange.state_hash()]])
        return super().end_round(round_, at)

    def compare_rest(self) -> None:
        """Say so if the journal goes on where the replay has ended."""
        if not self.mismatch and self._place < len(self._expected):
            found = self._expected[self._place][0]
            self.mismatch = f"record {self._place} is a {found!r} in the journal and nothing in the replay"

    def _compare(self, record: list[Any]) -> None:
        place, self._place = self._place, self._place + 1
        if self.mismatch or (place < len(self._expected) and self._expected[place] == record):
            return
        found = self._expected[place][0] if place < len(self._expected) else "nothing"
        self.mismatch = f"record {place} is a {found!r} in the journal and another {record[0]!r} in the replay"


def replay(journal: Path, compose: Compose, watchers: tuple[Watcher, ...] = ()) -> ReplayResult:
    """Rebuild the run whose journal this is; `compose` makes a plan of a journalled config."""
    history = read(journal)
    plan = history.plan(compose)
    market = _ComparingMarket(plan, history.records)
    rounds = run_rounds(
        plan,
        market,
        RecordedTraders(plan.shards_by_round(), history.decisions),
        watchers,
        should_stop=_after(history.rounds),
    )
    market.compare_rest()
    closing = market.close()
    return ReplayResult(
        plan=plan.last,
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
