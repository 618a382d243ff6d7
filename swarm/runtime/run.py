"""Runs one run: a config in, a finished folder out, in this process or over Ray."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, perf_counter, sleep
from typing import TYPE_CHECKING

from swarm.config import RunConfig
from swarm.config_file import load, resolve
from swarm.errors import ConfigError, OutputError
from swarm.planning import compose, composed
from swarm.preflight import Narrator, check
from swarm.runtime.guests.tokens import tokens_of
from swarm.runtime.ports import RunsOn, open_ports, told
from swarm.simulation import history
from swarm.simulation.folder import RunFolder
from swarm.simulation.history import History
from swarm.simulation.journal_disk import wait_for_writer
from swarm.simulation.loop import Watcher
from swarm.simulation.parties import of_run
from swarm.simulation.party import Party
from swarm.simulation.plan import RunPlan, WorldPlan, run_sha256
from swarm.simulation.record import RunRecord
from swarm.simulation.traders import AskableTraders, RecordedTraders, ResumedTraders, TradersPort
from swarm.simulation.world import World, never
from swarm.simulation.world_record import WorldRecorder

if TYPE_CHECKING:
    from swarm.monitoring.hub import Hub
    from swarm.runtime.guests.opening import Guests

LINGER_POLL_S = 0.2
"""How often a run that stays for its metrics looks whether it was told to stop."""


class Silent:
    """A narrator who says nothing."""

    def phase(self, text: str) -> None:
        """Says nothing."""


SILENT = Silent()


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that ended: `finished` is False if it was told to stop before its last round.

    `untouched` says that it had been finished before, so that nothing was played or written.
    """

    folder: RunFolder
    record: RunRecord
    finished: bool
    untouched: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A run of a config: where it runs, where it is kept, and who looks on; `stop` is asked before every round.

    `hands` are parties beside those of the config, through which somebody acts who looks on. Without `report` no page
    is written; `swarm report` makes it later.
    """

    runs_on: RunsOn
    folder: RunFolder
    watchers: tuple[Watcher, ...] = ()
    narrator: Narrator = SILENT
    stop: Callable[[], bool] = never
    report: bool = True
    hands: tuple[Party, ...] = ()

    def execute(self, config: RunConfig) -> RunResult:
        """Runs to the end, or to the last complete round once `stop` says so, and writes the folder."""
        plan = compose(config)
        self._check(config, plan)
        with self.folder.begun():
            self.folder.write_config(config.record(), plan.run.config_sha256)
            self.folder.write_runs_on(self.runs_on.local)
            recorder = WorldRecorder()
            try:
                return self._play(config, plan, recorder, {})
            except BaseException:
                # What ended before its first round has left nothing to keep.
                if not recorder.rounds_done:
                    self.folder.discard()
                raise

    def resume(self) -> RunResult:
        """Goes on with a run that was stopped or killed, from the last record of each journal, and writes the folder.

        The rounds that a journal has are run again from what it holds, which asks nobody and takes a fraction of their
        time; the history comes out as if the run had never ended. One market may have come further than another. Of a
        finished run nothing changes.
        """
        with self.folder.reopened():
            config = load(self.folder.config)
            pasts = self._pasts(config)
            if len(pasts) == len(config.market_names):
                plan = history.recorded_plan(list(pasts.values()), composed)
            else:
                # A market that has no record yet begins as the config says.
                plan = history.as_begun(compose(config), pasts)
            if (finished := self._finished(plan, pasts)) is not None:
                return RunResult(self.folder, finished, finished=True, untouched=True)
            self._check(config, plan.last)
            self.folder.write_runs_on(self.runs_on.local)
            if pasts:
                self.narrator.phase(f"going on after round {_complete_rounds(plan, pasts)}{_left_out(pasts)}")
            return self._play(config, plan, WorldRecorder(), pasts)

    def _finished(self, plan: WorldPlan, pasts: Mapping[str, History]) -> RunRecord | None:
        """The record of a run whose journals have all rounds, as the folder has it; None where there is more to do."""
        hashes = [pasts[name].sha256 for name in plan.names if name in pasts]
        unfinished = any(past.unfinished or past.torn_bytes for past in pasts.values())
        complete = len(hashes) == len(plan.names) and _complete_rounds(plan, pasts) == plan.last.run.rounds
        if unfinished or not complete or self.folder.recorded_sha256() != run_sha256(hashes):
            return None
        # Without its tables, or with a report still to be written, the run is ended anew from its journals.
        try:
            record = self.folder.read_record()
        except OutputError:
            return None
        return record if record.summary.get("finished") and self.folder.report.exists() else None

    def _check(self, config: RunConfig, plan: WorldPlan) -> None:
        tokens_of(config.traders.guests, os.environ)
        check(config, plan.run, self.runs_on.own_cluster, self.runs_on.address is None, self.narrator)

    def _pasts(self, config: RunConfig) -> dict[str, History]:
        """Returns the history of each market whose journal was begun; ConfigError where one is of another config."""
        pasts: dict[str, History] = {}
        for name in config.market_names:
            journal = self.folder.market(name).journal
            wait_for_writer(journal)
            if not history.begun(journal):
                continue
            past = pasts[name] = history.read(journal)
            record = dict(past.config_record)
            if record.pop(history.REGION, "") != name:
                raise ConfigError(str(journal), f"this is not the journal of {name or 'this run'}", "put it back")
            if resolve(record).sha256() != config.sha256():
                raise ConfigError(
                    str(self.folder.config),
                    f"this is not the config that the journal {journal.relative_to(self.folder.path)} was begun with",
                    "put it back, or try another future with `swarm fork`",
                )
        return pasts

    def _play(
        self, config: RunConfig, plan: WorldPlan, recorder: WorldRecorder, pasts: Mapping[str, History]
    ) -> RunResult:
        recorded = max((len(past.decisions) for past in pasts.values()), default=0)
        with metrics(config, plan.run, self.runs_on, self.folder, recorded, self.narrator) as exported:
            result = self._rounds(config, plan, recorder, pasts, exported)
            if exported is not None:
                exported.hub.finished()
                linger(config.runtime.metrics_linger_s, exported.address, self.narrator, self.stop)
        return result

    def _rounds(
        self,
        config: RunConfig,
        plan: WorldPlan,
        recorder: WorldRecorder,
        pasts: Mapping[str, History],
        exported: "Exported | None",
    ) -> RunResult:
        begun = perf_counter()
        folders = [self.folder.market(name) for name in plan.names]
        for own in folders:
            own.path.mkdir(parents=True, exist_ok=True)
        journals = [own.journal for own in folders]
        with (
            open_ports(config, plan, self.runs_on, journals, self.narrator, self.stop) as ports,
            guests(config, plan, self.folder, self.narrator, self.stop) as seated,
        ):
            # The recorder comes first: others may fail, and its tables are the run's record.
            watchers: tuple[Watcher, ...] = (recorder, *self.watchers)
            if exported is not None:
                shards = sum(int(port.layout()["shards"]) for port in ports)
                exported.hub.attach(shards, lambda: sum(len(port.outages_s()) for port in ports))
                watchers = (recorder, exported.hub, *self.watchers)
            watchers = (*watchers, seated.statements) if seated else watchers
            # Everything is up: what is told as the run's time begins here.
            set_up_s = perf_counter() - begun
            self.narrator.phase("running")
            seats = [
                (port.market, _traders(own, _asked(own, port.traders, seated), pasts.get(name)))
                for own, name, port in zip(plan.markets, plan.names, ports, strict=True)
            ]
            rounds_before = _complete_rounds(plan, pasts)
            acted = [pasts[name].acted if name in pasts else {} for name in plan.names]

            def parties(now: WorldPlan) -> tuple[Party, ...]:
                return of_run(now.run.config_record, now.run.seed, acted, rounds_before, self.hands)

            world = World(plan, seats, watchers, parties)
            # What is recorded is taken in whole, however early the run is told to stop: the tables need all of it.
            recorded = max((len(past.decisions) for past in pasts.values()), default=0)
            done = world.play(from_call(recorded + 1, self.stop))
            closings = [port.market.close() for port in ports]
            finished = done == plan.last.run.rounds
            if seated:
                seated.end("finished" if finished else "stopped")
            extra = {
                "finished": finished,
                "resumed_after_round": rounds_before,
                "runs_on": str(self.runs_on),
                "metrics_address": exported.address if exported else None,
                **told(ports, closings),
                "set_up_s": round(set_up_s, 3),
                "run_s": round(perf_counter() - begun - set_up_s, 3),
            }
            record = recorder.finish(closings, extra)
            self.folder.write_record(record)
        if not self.report:
            return RunResult(self.folder, record, finished)
        return reported(self.folder, record, self.narrator, finished=finished)


def _complete_rounds(plan: WorldPlan, pasts: Mapping[str, History]) -> int:
    """Returns how many rounds the journals of all markets have whole."""
    return min((pasts[name].rounds if name in pasts else 0) for name in plan.names)


def _left_out(pasts: Mapping[str, History]) -> str:
    """What is said of the bytes that a crash has torn at the journals' ends."""
    torn = sum(past.torn_bytes for past in pasts.values())
    return f"; {torn:,} bytes of a torn record behind it are cut off" if torn else ""


def _asked(plan: RunPlan, traders: AskableTraders, seated: "Guests | None") -> AskableTraders:
    """Returns the traders of a market with the run's guests among them."""
    return seated.among(plan, traders) if seated else traders


def _traders(plan: RunPlan, asked: AskableTraders, past: History | None) -> TradersPort:
    """Returns the traders of a market, who say again what its journal has of them."""
    if past is None or not past.decisions:
        return asked
    return ResumedTraders(RecordedTraders(plan.shards_by_round(), past.decisions), asked)


def reported(folder: RunFolder, record: RunRecord, narrator: Narrator, *, finished: bool) -> RunResult:
    """Returns the result of a run whose report is written, too."""
    narrator.phase("writing the report")
    # The charts' libraries take half a second to import, which belongs at the end of a run and not at its start.
    from swarm.report.page import render

    folder.write_report(render(record))
    return RunResult(folder, record, finished)


def from_call(first: int, should_stop: Callable[[], bool]) -> Callable[[], bool]:
    """Returns a function that answers no up to its call number `first`, and from then on what `should_stop` says."""
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls >= first and should_stop()

    return stop


@dataclass(frozen=True, slots=True)
class Exported:
    """A run's metrics, and where they are read."""

    hub: "Hub"
    address: str


@contextmanager
def metrics(
    config: RunConfig, plan: RunPlan, runs_on: RunsOn, folder: RunFolder, recorded_rounds: int, narrator: Narrator
) -> Iterator[Exported | None]:
    """Serves the metrics of a run while the block runs, and yields them; None where the config has none."""
    runtime = config.runtime
    if runtime.metrics_port is None:
        yield None
        return
    # A run without metrics does not owe the import of an HTTP server.
    from swarm.monitoring import hub, port

    one = hub.Hub(plan, str(runs_on), folder.path, recorded_rounds)
    with port.exported(one, runtime.metrics_host, runtime.metrics_port) as address:
        narrator.phase(f"metrics at {address}")
        yield Exported(one, address)


@contextmanager
def guests(
    config: RunConfig, plan: WorldPlan, folder: RunFolder, narrator: Narrator, should_stop: Callable[[], bool]
) -> Iterator["Guests | None"]:
    """Hears the guests of a run while the block runs, and yields them; None where the config has none."""
    if not config.traders.guests:
        yield None
        return
    # As above: whoever has no guests owes no server.
    from swarm.runtime.guests.opening import opened

    with opened(config, plan, folder, narrator, should_stop) as seated:
        yield seated


def linger(seconds: float, address: str, narrator: Narrator, should_stop: Callable[[], bool]) -> None:
    """Keeps the metrics for a while, or until the run is told to stop."""
    end = monotonic() + seconds
    if seconds and not should_stop():
        narrator.phase(f"keeping the metrics at {address} for {seconds:g} s; Ctrl-C ends this")
    while not should_stop() and (left := end - monotonic()) > 0:
        sleep(min(left, LINGER_POLL_S))
