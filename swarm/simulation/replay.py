"""Rebuilds a run from its journal alone, and says whether it comes to the recorded history.

The recorded replies are read again, the scenario and the exchange run again, and every record that this makes must be
the recorded one. No model is asked and no cluster is needed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgpack

from swarm.market.ledger import ROAD
from swarm.simulation.entries import Entry, RoundEnded, to_record
from swarm.simulation.history import Compose, History, complete_pasts, recorded_plan
from swarm.simulation.joint import joint_closing
from swarm.simulation.journal import JournalStats
from swarm.simulation.journal_integers import packed
from swarm.simulation.loop import Watcher
from swarm.simulation.market import Market, MarketAnswer, MarketClosing
from swarm.simulation.parties import recorded
from swarm.simulation.plan import RunPlan, run_sha256
from swarm.simulation.traders import RecordedTraders
from swarm.simulation.world import World


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The result of a replay.

    `mismatch` says where the first record differs, or is empty. `torn_bytes` and `unfinished_records` tell what lies
    behind the last complete round of an interrupted run and is not part of the history. Each market has a closing.
    """

    plan: RunPlan
    rounds: int
    recorded_sha256: str
    replayed_sha256: str
    mismatch: str
    torn_bytes: int
    unfinished_records: int
    closings: tuple[MarketClosing, ...]

    @property
    def closing(self) -> MarketClosing:
        """What all markets say together at the end."""
        return joint_closing(self.closings)

    @property
    def holds(self) -> bool:
        """Tells whether the replay came to the recorded history."""
        return not self.mismatch and self.recorded_sha256 == self.replayed_sha256


class _ComparingMarket(Market):
    """A market that holds each record it would journal against the recorded one."""

    def __init__(self, plan: RunPlan, past: History) -> None:
        super().__init__(plan.market, None)
        self._expected = past.payloads()
        self.mismatch = ""
        self._index = 0

    def execute(self, entries: Sequence[Entry], at: int | None = None) -> MarketAnswer:
        """Compares, then does as a market does."""
        for entry in entries:
            self._compare(entry)
        return super().execute(entries, at)

    def end_round(self, round_: int, at: int | None = None) -> JournalStats:
        """Compares the state's hash, then does as a market does."""
        self._compare(RoundEnded(round_, self.exchange.state_hash()))
        return super().end_round(round_, at)

    def compare_rest(self) -> None:
        """Says so if the journal goes on where the replay has ended."""
        if not self.mismatch and (found := next(self._expected, None)) is not None:
            self.mismatch = f"record {self._index} is a {_kind(found)} in the journal and nothing in the replay"

    def _compare(self, entry: Entry) -> None:
        # Only the first difference is told: all that follow may come of it.
        if self.mismatch:
            return
        index, self._index = self._index, self._index + 1
        expected = next(self._expected, None)
        if expected == packed(to_record(entry)):
            return
        found = "nothing" if expected is None else _kind(expected)
        mine = repr(type(entry).__name__)
        self.mismatch = f"record {index} is a {found} in the journal and another {mine} in the replay"


def _kind(payload: bytes) -> str:
    return repr(msgpack.unpackb(payload)[0])


def replay(
    journals: Path | Mapping[str, Path],
    compose: Compose,
    watchers: Sequence[Watcher] = (),
    through: int | None = None,
) -> ReplayResult:
    """Rebuilds the run whose journals these are, by market; a path is that of a single one.

    With `through`, only the rounds up to that one: then `mismatch` tells of these, and hashes are not to be compared.

    What is complete is what is complete in all of them; a market that was a round ahead has that round unfinished. The
    journal of one region alone goes by what it says that came from the others.
    """
    pasts = complete_pasts({"": journals} if isinstance(journals, Path) else journals, compose)
    plan = recorded_plan(pasts, compose)
    markets = [_ComparingMarket(own, past) for own, past in zip(plan.markets, pasts, strict=True)]
    traders = [
        RecordedTraders(own.shards_by_round(), past.decisions) for own, past in zip(plan.markets, pasts, strict=True)
    ]
    # The road is worked out anew and compared; other parties may have read what nobody kept.
    others = recorded([past.acted for past in pasts], without=(ROAD,) if plan.regions else ())
    world = World(plan, list(zip(markets, traders, strict=True)), watchers, lambda _: others)
    # Up to the last complete round; what lies behind it is no part of the history.
    rounds = world.play(_after(pasts[0].rounds if through is None else min(through, pasts[0].rounds)))
    for market in markets if through is None else ():
        market.compare_rest()
    closings = tuple(market.close() for market in markets)
    # What differs is told with its market's name, which a single market has none of.
    told = [f"{name}: {m.mismatch}" if name else m.mismatch for name, m in zip(plan.names, markets, strict=True)]
    return ReplayResult(
        plan=plan.last.run,
        rounds=rounds,
        recorded_sha256=run_sha256([past.sha256 for past in pasts]),
        replayed_sha256=run_sha256([closing.journal_sha256 for closing in closings]),
        mismatch="; ".join(one for one, market in zip(told, markets, strict=True) if market.mismatch),
        torn_bytes=sum(past.torn_bytes for past in pasts),
        unfinished_records=sum(past.unfinished for past in pasts),
        closings=closings,
    )


def _after(rounds: int) -> Callable[[], bool]:
    """Returns a function that says to stop from the call on that comes before round `rounds` + 1."""
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > rounds

    return stop
