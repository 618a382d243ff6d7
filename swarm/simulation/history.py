"""Reads a run's history as its journal tells it: what a replay, a resumed run and a fork begin with.

A journal is read as strictly as a config: each entry has its form, entries follow each other as a run writes them, and
what was decided is about traders, goods and models that the run has. The first record that is not so ends the reading
with one JournalError, which names the record and the field.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from swarm.agents.minds import with_turns
from swarm.errors import ConfigError, JournalError, PluginMissing
from swarm.market.orders import BUY, SELL
from swarm.market.records import RecordError, described, within
from swarm.schema import short
from swarm.simulation.entries import (
    JOURNAL_FORMAT,
    Acted,
    Decided,
    Entry,
    Forked,
    RoundEnded,
    RunBegan,
    from_record,
)
from swarm.simulation.journal import JournalReader, unbegun
from swarm.simulation.plan import RunPlan, WorldPlan, config_digest

Compose = Callable[[dict[str, Any], WorldPlan | None], WorldPlan]
"""Makes the plan of a journalled config: of a run, or of one that leaves the run of a given plan."""

REGION = "region"
"""The key that the config of a region's journal has beside those of its run."""


@dataclass(frozen=True, slots=True)
class History:
    """The content of a journal: `complete_records` up to the last complete round, whose hash is `sha256`, and a rest.

    `decisions` are by round, those of the unfinished round included, and so is what parties did in `acted`.
    `decided_indices` has the index of each round's Decided among the records, and `fork_indices` that of each fork.
    """

    path: Path
    began: RunBegan
    forks: tuple[Forked, ...]
    decisions: dict[int, Decided]
    acted: dict[int, tuple[Acted, ...]]
    rounds: int
    complete_records: int
    sha256: str
    torn_bytes: int
    unfinished: int
    decided_indices: dict[int, int] = field(default_factory=dict)
    fork_indices: tuple[int, ...] = ()

    @property
    def config_record(self) -> dict[str, Any]:
        """The config that holds at the end of the run."""
        return self.forks[-1].config if self.forks else self.began.config

    def check_forks(self, plan: RunPlan) -> None:
        """Raises JournalError if a fork changes what the past it goes on from does not let it change."""
        before = plan
        for made, index in zip(plan.forks(), self.fork_indices, strict=True):
            try:
                _check_fork(before, made.plan)
            except RecordError as error:
                raise _refused(self.path, index, f"Forked: config: {error}") from None
            before = made.plan

    def check(self, plan: RunPlan) -> None:
        """Raises JournalError if something was decided that is not about the traders, goods and models of the plan."""
        # By the first round in which each plan holds.
        plans = {1: plan, **{fork.round + 1: fork.plan for fork in plan.forks()}}
        held = plan
        for round_, decided in sorted(self.decisions.items()):
            held = plans.get(round_, held)
            try:
                _check_decided(held, decided)
            except RecordError as error:
                raise _refused(self.path, self.decided_indices[round_], f"Decided: {error}") from None

    def payloads(self) -> Iterator[bytes]:
        """Yields the packed records up to the last complete round."""
        for index, (_, payload) in enumerate(JournalReader(self.path).payloads()):
            if index == self.complete_records:
                return
            yield payload


def complete_pasts(journals: Mapping[str, Path], compose: Compose) -> list[History]:
    """Returns the histories of all markets of a run, in order, up to the last round that is complete in all of them."""
    first = read(next(iter(journals.values())))
    # The config of any journal tells which regions there are, and so whether a journal is missing.
    names: tuple[str, ...] = (next(iter(journals)),)
    if len(journals) > 1 or names[0]:
        names = _composed([first], 0, None, compose, alone=False).names
    for name in names:
        if name not in journals:
            raise JournalError(f"{first.path}: the journal of {name}, its neighbour, is missing")
    found = [read(journals[name]) for name in names]
    # A crash may leave markets a round apart; what one of them has more is no part of the run.
    rounds = min(past.rounds for past in found)
    return [past if past.rounds == rounds else read(past.path, last_round=rounds) for past in found]


def recorded_plan(pasts: Sequence[History], compose: Compose) -> WorldPlan:
    """Returns the plan of the recorded run whose markets' journals hold `pasts`; of one region alone, its own.

    JournalError where journals are not of one run, or hold what no run of their config comes to.
    """
    first = pasts[0]
    regional = REGION in first.began.config
    _must_be_of_one_run(pasts)
    # First each config by itself, then, from the last back, each plan is told what it is left for.
    plans = [_composed(pasts, 0, None, compose)]
    for number in range(1, len(first.forks) + 1):
        plans.append(_composed(pasts, number, plans[0], compose))
    plan = plans.pop()
    for number in reversed(range(len(first.forks))):
        # Under a fork, what holds before it is left for what holds after it.
        forks = [past.forks[number] for past in pasts]
        plan = plans.pop().leaving(plan, forks[0].round, [fork.parent_sha256 for fork in forks], forks[0].changes)
    software = [past.began.software for past in pasts]
    markets = tuple(replace(own, software=began) for own, began in zip(plan.markets, software, strict=True))
    run = plan.run if regional and plan.regions else markets[0]
    plan = replace(plan, markets=markets, run=replace(run, software=software[0]))
    for own, past in zip(plan.markets, pasts, strict=True):
        past.check_forks(own)
        past.check(own)
    return plan


def as_begun(plan: WorldPlan, pasts: Mapping[str, History]) -> WorldPlan:
    """Returns a plan whose markets begin as their journals do, as far as these have a record."""
    markets = []
    for name, own in zip(plan.names, plan.markets, strict=True):
        past = pasts.get(name)
        if past is not None:
            past.check(own)
            markets.append(replace(_as_given(own, past.began.config), software=past.began.software))
        else:
            markets.append(own)
    return replace(plan, markets=tuple(markets), run=plan.run if plan.regions else markets[0])


def _must_be_of_one_run(pasts: Sequence[History]) -> None:
    first = pasts[0]
    for past in pasts[1:]:
        forks = [(_of_run(fork.config), fork.round, fork.changes) for fork in past.forks]
        of_first = [(_of_run(fork.config), fork.round, fork.changes) for fork in first.forks]
        if _of_run(past.began.config) != _of_run(first.began.config) or forks != of_first:
            raise JournalError(f"{past.path}: this journal is not of the run that {first.path} is of; put it back")


def _of_run(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != REGION}


def _composed(
    pasts: Sequence[History], number: int, past: WorldPlan | None, compose: Compose, *, alone: bool = True
) -> WorldPlan:
    """Returns the plan of the first config of a run, or of that of a fork, counted from 1, as its journals have it."""
    configs = [(one.forks[number - 1].config if number else one.began.config) for one in pasts]
    first, index = pasts[0], pasts[0].fork_indices[number - 1] if number else 0
    name = configs[0].get(REGION)
    try:
        plan = compose(_of_run(configs[0]), past)
        if not alone:
            return plan
        if plan.regions and len(pasts) == 1:
            plan = plan.alone(str(name))
        if [config.get(REGION, "") for config in configs] != list(plan.names) and len(pasts) > 1:
            raise ValueError("the regions are others than the config has")
    except PluginMissing as error:
        raise JournalError(f"{first.path}: this run needs a plug-in that is not at hand: {error}") from None
    except (ConfigError, ValueError) as error:
        raise _refused(first.path, index, f"{'Forked' if index else 'RunBegan'}: config: {error}") from None
    # The config is what the run was given, so it is taken as it stands: keys of later versions are not in it.
    markets = tuple(_as_given(own, config) for own, config in zip(plan.markets, configs, strict=True))
    run = _as_given(plan.run, _of_run(configs[0])) if plan.regions else markets[0]
    return replace(plan, markets=markets, run=run)


def _as_given(plan: RunPlan, record: dict[str, Any]) -> RunPlan:
    return replace(plan, config_sha256=config_digest(record), config_record=record)


def begun(path: Path) -> bool:
    """Tells whether there is a journal with a first record; without it there is nothing to go on from."""
    if not path.exists() or unbegun(path):
        return False
    return next(JournalReader(path).payloads(), None) is not None


def read(path: Path, last_round: int | None = None) -> History:
    """Returns the history up to the last complete round, or to `last_round`; before the first, up to the opening."""
    reader = JournalReader(path)
    order = _Order()
    decisions: dict[int, Decided] = {}
    decided_indices: dict[int, int] = {}
    acted: dict[int, tuple[Acted, ...]] = {}
    forks: dict[int, Forked] = {}
    began: RunBegan | None = None
    complete, complete_sha256, rounds = 0, reader.sha256, 0
    for index, record in enumerate(reader):
        entry = _entry(path, index, record)
        try:
            order.take(entry)
        except RecordError as error:
            raise _refused(path, index, f"{type(entry).__name__}: {error}") from None
        match entry:
            case RunBegan():
                began = entry
            case Decided():
                decisions[entry.round], decided_indices[entry.round] = entry, index
            case Acted():
                acted[entry.round] = (*acted.get(entry.round, ()), entry)
            case Forked():
                forks[index] = entry
        # Complete is what ends with a round; before the first one the opening is.
        ended = isinstance(entry, RoundEnded) and (last_round is None or entry.round <= last_round)
        if ended:
            rounds = order.rounds
        if ended or (rounds == 0 and not decisions):
            complete, complete_sha256 = index + 1, reader.sha256
    # A journal of nothing, or one that was torn within its first record.
    if began is None:
        raise JournalError(f"{path}: the journal ends before the run's first record; there is nothing to replay")
    return History(
        path=path,
        began=began,
        forks=tuple(forks.values()),
        decisions=decisions,
        acted=acted,
        rounds=rounds,
        complete_records=complete,
        sha256=complete_sha256,
        torn_bytes=reader.torn_bytes,
        unfinished=reader.records - complete,
        decided_indices=decided_indices,
        fork_indices=tuple(forks),
    )


def up_to_round(path: Path, round_: int) -> Iterator[bytes]:
    """Yields a journal's packed records up to the end of round `round_`; JournalError if it does not get so far."""
    reader = JournalReader(path)
    for index, (offset, payload) in enumerate(reader.payloads()):
        yield payload
        entry = _entry(path, index, reader.unpacked(offset, payload))
        if isinstance(entry, RoundEnded) and entry.round == round_:
            return
    raise JournalError(f"{path}: the journal ends before round {round_} does")


class _Order:
    """The order of entries: a round is decided, others act, it ends; a fork comes between two rounds."""

    def __init__(self) -> None:
        self.rounds = 0
        self._began = False
        self._decided = False

    def take(self, entry: Entry) -> None:
        """Takes the next entry; RecordError if it cannot come here."""
        # Rounds follow each other without a gap, and each is decided once.
        next_round = self.rounds + 1
        if isinstance(entry, RunBegan) == self._began:
            raise RecordError("a run begins once, with its first record")
        self._began = True
        match entry:
            case Decided():
                self._expect(entry.round, next_round, not self._decided, "before it is decided")
                self._decided = True
            case Acted():
                self._expect(entry.round, next_round, self._decided, "once it is decided")
            case RoundEnded():
                self._expect(entry.round, next_round, self._decided, "once it is decided")
                self.rounds, self._decided = next_round, False
            case Forked():
                self._expect(entry.round, self.rounds, not self._decided and self.rounds > 0, "once it has ended")

    def _expect(self, round_: int, wanted: int, in_order: bool, when: str) -> None:
        if round_ != wanted or not in_order:
            raise RecordError(f"round: expected {wanted}, {when}, got {round_} here")


def _entry(path: Path, index: int, record: Any) -> Entry:
    if index == 0:
        _check_format(path, record)
    try:
        return from_record(record)
    except RecordError as error:
        raise _refused(path, index, str(error)) from None


def _check_format(path: Path, record: Any) -> None:
    """Raises JournalError if the first record is of another format, whatever that looks like."""
    match record:
        # The second form is that of format 1, whose records had no kinds of their own.
        case ["RunBegan", int(found), *_] | ["run", [int(found), *_]] if found != JOURNAL_FORMAT:
            raise JournalError(
                f"{path}: journal format {found}; this version of swarm reads {JOURNAL_FORMAT}; "
                "replay it with the version that wrote it"
            )


def _refused(path: Path, index: int, why: str) -> JournalError:
    return JournalError(f"{path}: record {index}: {why}; restore the journal from a copy")


def _check_fork(past: RunPlan, future: RunPlan) -> None:
    """Raises RecordError if a fork has other traders, goods or accounts than its past, whose balances it keeps."""
    for name, before, after in (
        ("population", past.traders, future.traders),
        ("scenario.name", past.scenario_name, future.scenario_name),
        ("market.tick_cents", past.market.config.tick_cents, future.market.config.tick_cents),
        ("market.margin", past.market.config.margin is not None, future.market.config.margin is not None),
        ("the goods", past.scenario.goods, future.scenario.goods),
        ("the accounts", past.market.named_accounts, future.market.named_accounts),
    ):
        if before != after:
            raise RecordError(f"{name}: expected {short(before)} as in the past of this fork, got {short(after)}")


def _check_decided(plan: RunPlan, decided: Decided) -> None:
    """Raises RecordError if a round's decisions name a trader, good, mind or model that the plan does not have."""
    turns, orders = decided.turns, decided.baseline_orders
    last_trader, goods = plan.traders - 1, len(plan.scenario.goods)
    within(turns.trader, "turns.trader", 0, last_trader)
    # A rule has no turns; its orders stand apart from them.
    thinking, models = with_turns(plan.shard), {model.name for model in plan.models}
    if unknown := [name for name in turns.minds if name not in thinking]:
        raise RecordError(f"turns.minds: {described(unknown[0])} is no mind of this run that asks models")
    if unknown := [name for name in turns.models if name not in models]:
        raise RecordError(f"turns.models: {described(unknown[0])} is no model of this run")
    within(decided.late, "late", 0, last_trader)
    if decided.chosen is not None:
        within(decided.chosen.trader, "chosen.trader", 0, last_trader)
        if unknown := [name for name in decided.chosen.models if name not in models]:
            raise RecordError(f"chosen.models: {described(unknown[0])} is no model of this run")
    within(orders.trader, "baseline_orders.trader", 0, last_trader)
    within(orders.good, "baseline_orders.good", 0, goods - 1)
    if not np.isin(orders.side, (BUY, SELL)).all():
        raise RecordError(f"baseline_orders.side: expected {BUY} or {SELL}")
