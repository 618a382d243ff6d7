"""Replay: rebuild a run from its journal alone, and say whether it comes to the recorded history.

The recorded replies are read again, the scenario and the exchange run again, and every record that this makes must be
the recorded one. No model is asked and no cluster is needed.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgpack

from swarm.errors import JournalError
from swarm.simulation.entries import Entry, RoundEnded, to_record
from swarm.simulation.history import Compose, History, read
from swarm.simulation.journal import JournalStats, packed
from swarm.simulation.loop import RoundLoop, Watcher, run_rounds
from swarm.simulation.market import Market, MarketAnswer, MarketClosing
from swarm.simulation.plan import RunPlan
from swarm.simulation.regions import Regions, RegionsPlan, as_recorded, run_regions, run_sha256
from swarm.simulation.traders import RecordedTraders
from swarm.simulation.whole import Onlookers


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay came to.

    `mismatch` says where the first record differs, or is empty. `torn_bytes` and `unfinished_records` tell what lies
    behind the last whole round of an interrupted run and is not part of the history. Of a run of several regions,
    `closings` has one for each.
    """

    plan: RunPlan
    rounds: int
    recorded_sha256: str
    replayed_sha256: str
    mismatch: str
    torn_bytes: int
    unfinished_records: int
    closing: MarketClosing
    closings: tuple[MarketClosing, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the replay came to the recorded history."""
        return not self.mismatch and self.recorded_sha256 == self.replayed_sha256


class _ComparingMarket(Market):
    """A market that holds each record it would journal against the recorded one."""

    def __init__(self, plan: RunPlan, past: History) -> None:
        super().__init__(plan.market, None)
        self._expected = past.payloads()
        self.mismatch = ""
        self._place = 0

    def execute(self, entries: Sequence[Entry], at: int | None = None) -> MarketAnswer:
        """Compare, then do as a market does."""
        for entry in entries:
            self._compare(entry)
        return super().execute(entries, at)

    def end_round(self, round_: int, at: int | None = None) -> JournalStats:
        """Compare the state's hash, then do as a market does."""
        self._compare(RoundEnded(round_, self.exchange.state_hash()))
        return super().end_round(round_, at)

    def compare_rest(self) -> None:
        """Say so if the journal goes on where the replay has ended."""
        if not self.mismatch and (found := next(self._expected, None)) is not None:
            self.mismatch = f"record {self._place} is a {_kind(found)} in the journal and nothing in the replay"

    def _compare(self, entry: Entry) -> None:
        if self.mismatch:
            return
        place, self._place = self._place, self._place + 1
        expected = next(self._expected, None)
        if expected == packed(to_record(entry)):
            return
        found = "nothing" if expected is None else _kind(expected)
        mine = repr(type(entry).__name__)
        self.mismatch = f"record {place} is a {found} in the journal and another {mine} in the replay"


def _kind(payload: bytes) -> str:
    return repr(msgpack.unpackb(payload)[0])


def replay(journal: Path, compose: Compose, watchers: tuple[Watcher, ...] = ()) -> ReplayResult:
    """Rebuild the run whose journal this is; `compose` makes a plan of a journalled config."""
    history = read(journal)
    plan = history.plan(compose)
    market = _ComparingMarket(plan, history)
    rounds = run_rounds(
        plan,
        market,
        RecordedTraders(plan.shards_by_round(), history.decisions),
        watchers,
        should_stop=_after(history.rounds),
        outside=as_recorded(history.acted),
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


def replay_regions(
    journals: Mapping[str, Path], compose: Callable[[dict[str, Any]], RegionsPlan]
) -> tuple[ReplayResult, Onlookers]:
    """Rebuild a run of several regions from their journals, by name, and the road between them from nothing else.

    What is whole is what is whole in all of them; a region that was a round ahead has that round unfinished.
    """
    first = read(next(iter(journals.values())))
    plan = compose({key: value for key, value in first.config_record.items() if key != "region"})
    for name in plan.names:
        if name not in journals:
            raise JournalError(f"{next(iter(journals.values()))}: the journal of {name}, its neighbour, is missing")
    rounds = min(read(journals[name]).rounds for name in plan.names)
    pasts = [read(journals[name], last_round=rounds) for name in plan.names]
    # As in any replay, the config is taken as the run was given it.
    plans = tuple(
        replace(
            own,
            config_sha256=past.began.config_sha256,
            config_record=past.began.config,
            software=past.began.software,
        )
        for own, past in zip(plan.plans, pasts, strict=True)
    )
    plan = replace(plan, plans=plans)
    for own, past in zip(plans, pasts, strict=True):
        past.check(own)
    markets = [_ComparingMarket(own, past) for own, past in zip(plans, pasts, strict=True)]
    onlookers = Onlookers(plan)
    loops = [
        RoundLoop(own, market, RecordedTraders(own.shards_by_round(), past.decisions), onlookers.each(number))
        for number, (own, market, past) in enumerate(zip(plans, markets, pasts, strict=True))
    ]
    onlookers.started()
    with ThreadPoolExecutor(len(loops), "region") as pool:
        done = run_regions(Regions(plan, loops, pool, (onlookers,)), _after(rounds))
    for market in markets:
        market.compare_rest()
    closings = tuple(market.close() for market in markets)
    mismatches = [f"{name}: {m.mismatch}" for name, m in zip(plan.names, markets, strict=True) if m.mismatch]
    result = ReplayResult(
        plan=plan.whole,
        rounds=done,
        recorded_sha256=run_sha256([past.sha256 for past in pasts]),
        replayed_sha256=run_sha256([closing.journal_sha256 for closing in closings]),
        mismatch="; ".join(mismatches),
        torn_bytes=sum(past.torn_bytes for past in pasts),
        unfinished_records=sum(past.unfinished for past in pasts),
        closing=closings[0],
        closings=closings,
    )
    return result, onlookers


def _after(rounds: int) -> Callable[[], bool]:
    """True from the call on that comes before round `rounds` + 1."""
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > rounds

    return stop
