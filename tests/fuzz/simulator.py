"""The whole round loop in one process, with a virtual clock and faults that are drawn from a seed.

Loop, market, journal, shards and what decides to ask again are the real ones. What is simulated is what lies between
them: messages that are lost, doubled, overtaken or late, processes that die at any write, machines that lose power and
with it what was not synced, a disk that is full, a clock that jumps. A seed gives the same faults every time.
"""

import asyncio
import errno
import hashlib
import os
import random
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from swarm.agents.memory import Memory
from swarm.agents.observation import Observation
from swarm.agents.shard import Shard, ShardAnswer
from swarm.config_file import resolve
from swarm.errors import ClusterError, OutputError
from swarm.llm.engines.scripted.config import ScriptedModel
from swarm.llm.engines.scripted.engine import ScriptedEngine
from swarm.market import commands
from swarm.market.orders import Int64
from swarm.planning import compose, composed
from swarm.runtime.play import play
from swarm.scenarios.protocol import MarketState
from swarm.simulation import history
from swarm.simulation import world as markets
from swarm.simulation.entries import Decided
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.market import Market, MarketPlan, OutOfStep
from swarm.simulation.plan import RunPlan, WorldPlan
from swarm.simulation.remote import Lost, RemoteMarket, RemoteTraders, split
from swarm.simulation.replay import replay
from swarm.simulation.snapshot import SnapshotFolder
from swarm.simulation.traders import Gathered, RecordedTraders, ResumedTraders

ROUNDS = 6
CONFIGS = 6
MOST_LIVES = 60
"""How often a run may be killed before the faults stop, so that every simulation ends."""

FAULTS = {
    "market request lost": 0.10,
    "market answer lost": 0.10,
    "market message doubled": 0.20,
    "market dies before": 0.05,
    "market dies within a write": 0.05,
    "market dies at a sync": 0.05,
    "market dies after": 0.05,
    "power is lost with it": 0.5,
    "disk is full": 0.03,
    "snapshot is damaged": 0.6,
    "driver dies": 0.03,
    "clock jumps": 0.10,
    "shard question lost": 0.08,
    "shard dies": 0.08,
    "shard is slow": 0.10,
    "shard is late": 0.03,
}
"""Each fault, and how likely it strikes where it can, at most. Half of them are off in any one simulation."""

HARMLESS = 30.0
"""Seconds that a round has. What costs less than that changes nothing."""


class DriverDied(BaseException):
    """The driver's process is gone; no code of its own sees that, and none of its handlers run."""


class MarketDied(BaseException):
    """The market's process is gone in the middle of what it did."""


class Broken(AssertionError):
    """A property does not hold."""


class Chance:
    """The faults of one simulation."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.rates = {name: most * self.dice.random() * self.dice.choice((0, 1)) for name, most in FAULTS.items()}
        self.fired: Counter[str] = Counter()
        self.calm = False

    def strikes(self, fault: str) -> bool:
        """Whether `fault` strikes here and now."""
        # The dice are thrown in any case, so that one fault less does not change all the others.
        struck = self.dice.random() < self.rates[fault] and not self.calm
        self.fired[fault] += struck
        return struck


class Clock:
    """Virtual time."""

    def __init__(self, chance: Chance) -> None:
        self.seconds = 1_000_000.0
        self.chance = chance

    def now(self) -> float:
        """The time, which now and then jumps."""
        if self.chance.strikes("clock jumps"):
            self.seconds += self.chance.dice.uniform(-60, 60)
        return self.seconds

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class Disk:
    """A file whose unsynced end is lost with the power, and whose writer may die anywhere."""

    def __init__(self, world: "World", path: Path, keep_bytes: int | None) -> None:
        self.world, self.path = world, path
        if keep_bytes is None:
            path.touch(exist_ok=False)
        else:
            os.truncate(path, keep_bytes)
        self.synced = path.stat().st_size

    def write(self, data: bytes) -> None:
        """Append, in part where the writer dies or the disk is full."""
        chance = self.world.chance
        part = chance.dice.randrange(len(data) + 1)
        dies = chance.strikes("market dies within a write")
        full = chance.strikes("disk is full")
        with self.path.open("ab") as file:
            file.write(data[:part] if dies or full else data)
        if dies:
            raise MarketDied
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        """Make durable what was written, unless the writer dies just before or after."""
        chance = self.world.chance
        dies, before = chance.strikes("market dies at a sync"), chance.dice.random() < 0.5
        if not (dies and before):
            self.synced = self.path.stat().st_size
        if dies:
            raise MarketDied

    def close(self) -> None:
        """Nothing is kept open."""

    def lose_power(self) -> None:
        """Keep what was synced and, by chance, some of what was not."""
        size = self.path.stat().st_size
        os.truncate(self.path, self.world.chance.dice.randint(min(self.synced, size), size))


class MarketProcess:
    """A link to a market that runs in a process which dies and is started again from its journal."""

    def __init__(self, world: "World", plan: MarketPlan, path: Path) -> None:
        # How often a snapshot is written changes nothing in the history.
        self.world, self.path = world, path
        self.plan = replace(plan, snapshot_rounds=world.chance.dice.randint(0, 3))
        self.market: Market | None = None
        self.disk: Disk | None = None
        self.under_way: list[tuple[float, str, tuple[Any, ...]]] = []

    def now(self) -> float:
        """The virtual time."""
        return self.world.clock.now()

    def pause(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.world.clock.pause(seconds)

    def call(self, method: str, *arguments: Any) -> Any:
        """One message to the market and its answer, with all that can befall them."""
        chance, clock = self.world.chance, self.world.clock
        clock.pause(0.001)
        self.world.driver_may_die()
        arriving = sorted((m for m in self.under_way if m[0] <= clock.seconds), key=lambda m: m[0])
        self.under_way = [m for m in self.under_way if m not in arriving]
        for _, copied, its_arguments in arriving:
            self._overtaken(copied, its_arguments)
        if chance.strikes("market message doubled"):
            self.under_way.append((clock.seconds + chance.dice.expovariate(100), method, arguments))
        if chance.strikes("market request lost"):
            clock.pause(1.0)
            raise Lost("the request")
        if chance.strikes("market dies before"):
            self.die()
            raise Lost("the market")
        try:
            answer = self._handle(method, arguments)
        except MarketDied:
            self.die()
            raise Lost("the market") from None
        self.world.driver_may_die()
        if chance.strikes("market dies after"):
            self.die()
            raise Lost("the market")
        if chance.strikes("market answer lost"):
            clock.pause(1.0)
            raise Lost("the answer")
        return answer

    def die(self) -> None:
        """End the process, and at times the power of its machine, or what its disk has of a snapshot."""
        chance = self.world.chance
        if self.disk is not None and chance.strikes("power is lost with it"):
            self.disk.lose_power()
        for snapshot in SnapshotFolder(self.path).files():
            if chance.strikes("snapshot is damaged"):
                content = snapshot.read_bytes()
                snapshot.write_bytes(content[: chance.dice.randrange(len(content) or 1)])
        self.market = self.disk = None
        self.world.clock.pause(1.0)

    def _overtaken(self, method: str, arguments: tuple[Any, ...]) -> None:
        """A copy of an earlier message arrives; nobody waits for its answer."""
        try:
            self._handle(method, arguments)
        except OutOfStep:
            self.world.chance.fired["a copy was refused"] += 1
        except MarketDied:
            self.die()

    def _handle(self, method: str, arguments: tuple[Any, ...]) -> Any:
        if self.market is None:
            self.market = Market(self.plan, self.path, self._open, snapshots_in_background=False)
        began = self.market.snapshot_stats.began_after_round
        try:
            return getattr(self.market, method)(*arguments)
        finally:
            self.world.chance.fired["a snapshot was begun from"] += self.market.snapshot_stats.began_after_round > began

    def _open(self, path: Path, keep_bytes: int | None) -> Disk:
        self.disk = Disk(self.world, path, keep_bytes)
        return self.disk


@dataclass(slots=True, eq=False)
class Question:
    """What a shard was asked, and when its answer will be there: at no time if it was lost."""

    shard: int
    seen: Observation
    memory: Memory
    due: float
    lost: bool


class ShardProcesses:
    """A link to shards that lose questions, die over them, or answer late."""

    def __init__(self, world: "World", plan: RunPlan, traders_per_shard: int) -> None:
        self.world = world
        self.parts = split(plan.shard, traders_per_shard)
        self.shards = [Shard(part, {m.name: _engine(m) for m in plan.models}) for part in self.parts]

    def now(self) -> float:
        """The virtual time."""
        return self.world.clock.now()

    def pause(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.world.clock.pause(seconds)

    def ask(self, shard: int, seen: Observation, memory: Memory) -> Question:
        """Send a question, whose fate is drawn at once."""
        chance = self.world.chance
        takes = chance.dice.uniform(0.01, 0.5)
        if chance.strikes("shard is slow"):
            takes += chance.dice.uniform(0, 5)
        if chance.strikes("shard is late"):
            takes += chance.dice.uniform(HARMLESS, 3 * HARMLESS)
        lost = chance.strikes("shard question lost") | chance.strikes("shard dies")
        return Question(shard, seen, memory, self.world.clock.seconds + takes, lost)

    def wait(self, questions: list[Any], timeout_s: float) -> list[Any]:
        """Let time pass until all are due, or the timeout is over."""
        self.world.driver_may_die()
        end = min(self.world.clock.seconds + timeout_s, max(q.due for q in questions))
        self.world.clock.seconds = max(self.world.clock.seconds, end)
        done = [q for q in questions if q.due <= self.world.clock.seconds]
        self.world.chance.dice.shuffle(done)
        return done

    def answer(self, question: Any) -> ShardAnswer:
        """The answer to a question that is due."""
        if question.lost:
            raise Lost("the shard")
        decided = self.shards[question.shard].decide(question.seen, question.memory)
        answer: ShardAnswer = self.world.runner.run(decided)
        return answer


class Witness:
    """Sees every round that was called done, and remembers it beyond the death of whoever called it so."""

    def __init__(self) -> None:
        self.rounds: dict[int, str] = {}
        self.opening = ""
        self.late = 0

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """The opening is the same in every life."""
        seen = self._digest(opening, named)
        if self.opening not in ("", seen):
            raise Broken("the run began again with another opening")
        self.opening = seen
        self.late = 0

    def round_done(self, outcome: RoundOutcome) -> None:
        """What was once acknowledged stays as it was."""
        seen = self._digest(outcome.state, outcome.named_balances)
        before = self.rounds.setdefault(outcome.round, seen)
        if before != seen:
            raise Broken(f"round {outcome.round} was done with another outcome before a crash")
        if int(outcome.state.balances.min()) < 0:
            raise Broken(f"a trader is below zero after round {outcome.round}")
        self.late += len(outcome.gathered.late)

    def _digest(self, state: MarketState, named: Int64) -> str:
        sums = state.balances.sum(axis=0) + named.sum(axis=0)
        if sums.any():
            raise Broken(f"cash and goods are not conserved: {sums.tolist()}")
        return hashlib.sha256(state.balances.tobytes() + named.tobytes() + state.reference_ticks.tobytes()).hexdigest()


@dataclass(slots=True)
class World:
    """One simulation: its clock, its faults, and how often its driver lived."""

    seed: int
    chance: Chance
    clock: Clock
    runner: asyncio.Runner
    lives: int = 0
    halts: Counter[str] = field(default_factory=Counter)

    def driver_may_die(self) -> None:
        """A place where the driver's process may be killed."""
        if self.chance.strikes("driver dies"):
            raise DriverDied


@dataclass(frozen=True, slots=True)
class Result:
    """What a simulation came to."""

    sha256: str
    late: int
    lives: int
    fired: Counter[str]


def simulate(seed: int) -> Result:
    """Run one simulation to its end; Broken if a property does not hold."""
    chance = Chance(seed)
    witness = Witness()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, asyncio.Runner() as runner:
        world = World(seed, chance, Clock(chance), runner)
        path = Path(folder) / "journal.swarm"
        record = _config(seed % CONFIGS)
        sha256 = ""
        while not sha256:
            world.lives += 1
            chance.calm = world.lives > MOST_LIVES
            sha256 = _live(world, record, path, witness)
        result = replay(path, composed)
        if not result.holds or result.recorded_sha256 != sha256:
            raise Broken(f"the journal does not replay: {result.mismatch}")
        if result.rounds != ROUNDS or sorted(witness.rounds) != list(range(1, ROUNDS + 1)):
            raise Broken(f"{result.rounds} rounds are in the journal, {sorted(witness.rounds)} were called done")
        _no_command_twice(path)
        _learned_from_the_record(path)
        if not witness.late and sha256 != undisturbed(seed % CONFIGS):
            raise Broken("harmless faults changed the history")
        return Result(sha256, witness.late, world.lives, +chance.fired)


@cache
def undisturbed(variant: int) -> str:
    """The hash of the run that nothing befalls."""
    return play(resolve(_config(variant))).journal_sha256


def _live(world: World, record: dict[str, Any], path: Path, witness: Witness) -> str:
    """One life of the driver: the journal's hash, or nothing where it ended before the run did."""
    past = history.read(path) if history.begun(path) else None
    plan = history.recorded_plan([past], composed).run if past else _plan(record)
    process = MarketProcess(world, plan.market, path)
    links = ShardProcesses(world, plan, world.chance.dice.randint(1, plan.traders))
    market = RemoteMarket(process, 60.0)
    asked = RemoteTraders(links.parts, links, HARMLESS, lambda: False)
    recorded = RecordedTraders(plan.shards_by_round(), past.decisions if past else {})
    try:
        markets.World(WorldPlan.of(plan), [(market, ResumedTraders(recorded, asked))], (witness,)).play()
        return market.close().journal_sha256
    except DriverDied:
        world.halts["the driver died"] += 1
    except OutputError:
        # Somebody makes room on the disk and goes on with the run.
        world.halts["the disk was full"] += 1
    except ClusterError:
        world.halts["the market was given up"] += 1
    process.die()
    return ""


def _no_command_twice(path: Path) -> None:
    numbers = [r[1] for r in map(msgpack.unpackb, history.read(path).payloads()) if r[0] in commands.KINDS]
    if numbers != list(range(1, len(numbers) + 1)):
        raise Broken("a command is in the journal twice, or is missing")


class _Recomputing(RecordedTraders):
    """Recorded traders whose rule-based orders are worked out again, from nothing but the record."""

    def __init__(self, plan: RunPlan, rounds: Mapping[int, Decided]) -> None:
        super().__init__(plan.shards_by_round(), rounds)
        self.shard = Shard(plan.shard, {})
        self.memory = {trader: Memory.empty() for trader in range(plan.traders)}

    def decide(self, seen: Observation) -> Gathered:
        """The recorded round, if it is the one that everybody's memory leads to."""
        gathered = super().decide(seen)
        known = Memory.empty()
        for memory in self.memory.values():
            known = known.updated(memory)
        orders, learned = self.shard.baselines(seen, known)
        for trader in set(learned.trader.tolist()) - set(gathered.late.tolist()):
            self.memory[trader] = learned.between(trader, trader)
        expected = orders.take(~np.isin(orders.trader, gathered.late)).in_canonical_order()
        for column in ("trader", "good", "side", "limit_ticks", "quantity_lots"):
            if getattr(expected, column).tolist() != getattr(gathered.baseline_orders, column).tolist():
                raise Broken(f"in round {seen.public.round} somebody had forgotten what it had learned")
        return gathered


def _learned_from_the_record(path: Path) -> None:
    past = history.read(path)
    play(
        resolve(past.config_record),
        plan=history.recorded_plan([past], composed),
        traders=lambda plan, _: _Recomputing(plan, past.decisions),
    )


def _config(variant: int) -> dict[str, Any]:
    minds = ({"zip": 2, "zi_c": 1}, {"zip": 1, "truthful": 1, "calm": 1}, {"calm": 1, "zip": 1})[variant % 3]
    return {
        "seed": 100 + variant,
        "rounds": ROUNDS,
        "population": 7 + variant,
        "models": [{"name": "calm", "temperament": "value", "fault_rate": 0.1}],
        "traders": {"minds": minds},
        "scenario": {"name": "wood", "shocks": [{"kind": "venture", "round": 2, "rounds": 2, "good": "honey"}]},
    }


def _plan(record: dict[str, Any]) -> RunPlan:
    return compose(resolve(record)).run


def _engine(model: Any) -> ScriptedEngine:
    assert isinstance(model, ScriptedModel)
    return ScriptedEngine(model)
