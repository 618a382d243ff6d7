"""Feeds a run's metrics: a watcher of the round loop that takes in each round as a whole.

It counts what shards and market have returned, so a scrape never sees half a round. Its series are all there from the
start, at values from closed sets, and no trader, restart or round adds another. It knows nothing of Ray, whose own
endpoints tell of nodes, actors, Serve and vLLM.
"""

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock

from prometheus_client.registry import Collector

from swarm.market.orders import Int64
from swarm.market.quality import gini
from swarm.monitoring.counting import Counting, Names
from swarm.monitoring.metrics import FIXED_SETS
from swarm.monitoring.series import Family, Series
from swarm.monitoring.several import Several
from swarm.monitoring.spread import spread
from swarm.scenarios.protocol import MarketState
from swarm.simulation.facets.traders import wealth_cents
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.version import __version__

MAX_LABEL_CHARS = 64
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]")


def run_label(folder: Path) -> str:
    """Returns a run's name for Prometheus: its folder's name and six digits of the hash of the whole path."""
    path = folder.expanduser().resolve()
    digest = hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()[:6]
    return f"{_NOT_PLAIN.sub('_', path.name)[:MAX_LABEL_CHARS]}-{digest}"


class Hub(Collector):
    """The series of one run: a watcher that feeds them, and a collector that Prometheus' client reads them from.

    `recorded_rounds` are taken from a journal and not run. What they came to is part of the run's counters, which are
    not shown before all of it is in, so that no counter is ever seen to fall behind what an earlier process has shown.
    """

    def __init__(
        self,
        plan: RunPlan,
        runs_on: str,
        folder: Path,
        recorded_rounds: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # A fork may bring minds and models that the first plan has not; their series must be there from the start.
        plans = plan.plans()
        self.run = run_label(folder)
        self._folder = folder
        self._recorded_rounds = recorded_rounds
        self._round = 0
        self._clock = clock
        self._goods = plan.scenario.goods
        models = {model.name: model for p in plans for model in p.models}
        self._names = Names(
            minds=tuple(dict.fromkeys(mind for p in plans for mind in sorted(set(p.minds)))),
            models=tuple(models),
            priced=tuple(name for name, model in models.items() if model.usd_per_million is not None),
            streaming=tuple(name for name, m in models.items() if m.streams),
            goods=self._goods,
        )
        self._several = Several(plans)
        # The round loop writes, the HTTP server's thread reads: neither sees the other halfway.
        self._lock = Lock()
        self._series = Series(
            self.run,
            {
                **FIXED_SETS,
                "name": (plan.name,),
                "scenario": (plan.scenario_name,),
                "runs_on": (runs_on,),
                "version": (__version__,),
                "mind": self._names.minds,
                "model": self._names.models,
                "priced_model": self._names.priced,
                # What goes with each model is set below: a model has one lab and one engine, and not all of them.
                "lab": (),
                "engine": (),
                "streaming_model": self._names.streaming,
                "good": self._goods,
                "asset": ("cash", *self._goods),
                **self._several.sets,
            },
        )
        self._counting = Counting(self._series, self._names)
        # Facts that hold for the whole run are set once, here.
        self._restarts: Callable[[], int] = lambda: 0
        show = self._series.set
        show("swarm_run_info", 1, plan.name, plan.scenario_name, runs_on, __version__)
        for name, model in models.items():
            show("swarm_model_info", 1, name, model.lab, model.engine)
        show("swarm_rounds_planned", plan.last.rounds)
        for metric in ("swarm_run_finished", "swarm_round", "swarm_rounds_without_trades"):
            show(metric, 0)

    def attach(self, shards: int, restarts: Callable[[], int]) -> None:
        """Takes note of what the run's processes are; `restarts` tells how often the market has come back so far."""
        with self._lock:
            self._series.set("swarm_shards", shards)
            self._restarts = restarts

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Shows what the run begins with."""
        with self._lock:
            self._show_market(plan, opening, named, 0)
            self._series.set("swarm_last_round_timestamp_seconds", self._clock())

    def round_done(self, outcome: RoundOutcome) -> None:
        """Takes in one settled round."""
        with self._lock:
            self._round = outcome.round
            self._series.set("swarm_round", outcome.round)
            self._series.set("swarm_last_round_timestamp_seconds", self._clock())
            if len(outcome.cleared.trades.good):
                self._series.set("swarm_rounds_without_trades", 0)
            else:
                self._series.add("swarm_rounds_without_trades", 1)
            self._show_market(outcome.plan, outcome.state, outcome.named_balances, outcome.round)
            for g, good in enumerate(self._goods):
                self._series.set("swarm_unfilled_lots", int(outcome.cleared.unfilled_buy_lots[g]), good, "buy")
                self._series.set("swarm_unfilled_lots", int(outcome.cleared.unfilled_sell_lots[g]), good, "sell")
            self._counting.count(outcome)
            self._several.count(self._series, outcome)
            # Rounds that were read from a journal count, and took no time of this process.
            if outcome.round > self._recorded_rounds:
                self._counting.time(outcome)
                self._series.set("swarm_market_restarts_total", self._restarts())

    def finished(self) -> None:
        """Takes note that no further round will come."""
        with self._lock:
            self._series.set("swarm_run_finished", 1)

    def collect(self) -> Iterator[Family]:
        """Yields all series as they are after the last complete round."""
        # Asked of the disk before the lock is taken: a slow disk must not hold up a round.
        disk = shutil.disk_usage(self._folder) if self._folder.is_dir() else None
        with self._lock:
            if disk is not None:
                self._series.set("swarm_disk_free_bytes", disk.free)
                self._series.set("swarm_disk_total_bytes", disk.total)
            families = list(self._series.families(counters=self._round >= self._recorded_rounds))
        yield from families

    def _show_market(self, plan: RunPlan, state: MarketState, named: Int64, round_: int) -> None:
        show = self._series.set
        # [assets], cents and lots: all accounts together must be 0.
        sums = state.balances.sum(axis=0) + named.sum(axis=0)
        for asset, error in zip(("cash", *self._goods), sums.tolist(), strict=True):
            show("swarm_conservation_error", error, asset)
        for good, ticks in zip(self._goods, state.reference_ticks.tolist(), strict=True):
            show("swarm_price_ticks", ticks, good)
        show("swarm_round_deadline_seconds", plan.shard.budget.round_deadline_s)
        there = plan.there(round_)
        # [traders that are there] cents
        wealth = wealth_cents(plan, state)[there]
        show("swarm_wealth_gini", gini(wealth))
        self._several.show(self._series, plan, named)
        minds = self._names.minds
        traders, stats = spread(wealth, self._counting.seats(plan).mind[there], len(minds))
        for mind, n, row in zip(minds, traders.tolist(), stats.tolist(), strict=True):
            show("swarm_traders", n, mind)
            for stat, cents in zip(FIXED_SETS["stat"], row, strict=True):
                show("swarm_wealth_cents", cents, mind, stat)
