"""The metrics of a run, all in one place: the table that defines them, what feeds them, and the port they are read at.

The hub is a watcher of the round loop. It takes in each round as a whole, from what shards and market have returned, so
a scrape never sees half a round. Its series are all there from the start, at values from closed sets, and no trader,
restart or round adds another. It knows nothing of Ray, whose own endpoints tell of nodes, actors, Serve and vLLM.
"""

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from socket import AI_PASSIVE, SOCK_STREAM, gaierror, getaddrinfo
from threading import Lock, Thread
from typing import Any, Literal
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from swarm import __version__
from swarm.agents.decision import DecisionError
from swarm.agents.turns import NEVER_ASKED
from swarm.coordination.router import PruneReason
from swarm.errors import ConfigError
from swarm.market.events import Rejection
from swarm.market.orders import Int64
from swarm.market.quality import gini
from swarm.scenarios.protocol import MarketState
from swarm.simulation.journal import JournalStats
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.record import wealth_cents

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
SHORT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REPLY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)

END_POLL_S = 0.05
"""How often the server looks whether it is to end."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table. `labels` gives, for each label besides `run`, the closed set that its values are from."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, str] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()


METRICS = (
    Metric("swarm_run_info", "gauge", "What run this is; always 1.", {"scenario": "scenario", "place": "place",
           "version": "version"}),
    Metric("swarm_model_info", "gauge", "What each model is; always 1, to join to what has the label model.",
           {"model": "model", "lab": "lab", "engine": "engine"}),
    Metric("swarm_round", "gauge", "The last round that is settled and durable."),
    Metric("swarm_rounds_planned", "gauge", "The rounds that the run is to have."),
    Metric("swarm_run_finished", "gauge", "1 once the run has ended and no further round will come, else 0."),
    Metric("swarm_last_round_timestamp_seconds", "gauge", "When the last round ended, in seconds since 1970."),
    Metric("swarm_rounds_total", "counter", "Rounds done by this process; those taken from a journal do not count."),
    Metric("swarm_turns_total", "counter", "Turns of traders that decided in time, by mind.", {"mind": "mind"}),
    Metric("swarm_woken_traders", "gauge", "Traders that were asked in the last round."),
    Metric("swarm_late_traders_total", "counter", "Turns that were lost since the trader's shard did not answer in "
           "time.", {"mind": "mind"}),
    Metric("swarm_orders_total", "counter", "Orders by what the exchange said: accepted, or why not.",
           {"outcome": "order"}),
    Metric("swarm_fills_total", "counter", "Fills, two for each trade.", {"good": "good"}),
    Metric("swarm_volume_lots_total", "counter", "Lots traded.", {"good": "good"}),
    Metric("swarm_rounds_without_trades", "gauge", "How many rounds up to the last one had no trade at all, in a row."),
    Metric("swarm_price_ticks", "gauge", "Reference price at the end of the last round, in ticks.", {"good": "good"}),
    Metric("swarm_unfilled_lots", "gauge", "Lots left over when the last round was cleared.",
           {"good": "good", "side": "side"}),
    Metric("swarm_tokens_total", "counter", "Tokens as the engine counts them; those of cached_prompt are part of "
           "those of prompt.", {"model": "model", "kind": "token"}),
    Metric("swarm_cost_dollars_total", "counter", "What the tokens cost at the config's prices, in US dollars; "
           "missing where a price is unknown.", {"model": "priced_model"}),
    Metric("swarm_decision_errors_total", "counter", "Turns that a model spoilt, by kind; late ones are in "
           "swarm_late_traders_total.", {"model": "model", "kind": "error"}),
    Metric("swarm_queued_requests", "gauge", "Requests of the last round that the model had not answered when the time "
           "was up.", {"model": "model"}),
    Metric("swarm_messages_total", "counter", "Messages, once for everybody who hears their sender: delivered, or why "
           "not; of the delivered, those that a prompt, a run's budget or a late shard lost; and lines that were cut.",
           {"outcome": "message"}),
    Metric("swarm_round_duration_seconds", "histogram", "Duration of rounds.", buckets=SECONDS),
    Metric("swarm_last_round_duration_seconds", "gauge", "Duration of the last round."),
    Metric("swarm_round_deadline_seconds", "gauge", "The time within which a round's decisions must come."),
    Metric("swarm_decide_duration_seconds", "histogram", "Time from a round's start until all decisions are in.",
           buckets=SECONDS),
    Metric("swarm_clear_duration_seconds", "histogram", "Time to journal and clear a round's orders.",
           buckets=SHORT_SECONDS),
    Metric("swarm_decision_latency_seconds", "histogram", "Time from a model's request to its reply.",
           {"model": "model"}, REPLY_SECONDS),
    Metric("swarm_time_to_first_token_seconds", "histogram", "Time from a model's request to the first token of its "
           "reply, for engines that tell: endpoints with `stream: true`.", {"model": "streaming_model"}, REPLY_SECONDS),
    Metric("swarm_conservation_error", "gauge", "Sum of an asset over all accounts, cents for cash and lots for goods; "
           "anything but 0 is a broken ledger.", {"asset": "asset"}),
    Metric("swarm_journal_bytes", "gauge", "Length of the journal."),
    Metric("swarm_journal_syncs_total", "counter", "Syncs of the journal to the disk."),
    Metric("swarm_journal_sync_seconds_total", "counter", "Time spent in syncs of the journal."),
    Metric("swarm_market_restarts_total", "counter", "How often the market's process was lost and came back."),
    Metric("swarm_shards", "gauge", "Shards that host the traders."),
    Metric("swarm_traders", "gauge", "Traders by mind.", {"mind": "mind"}),
    Metric("swarm_wealth_cents", "gauge", "Cash and stock at reference prices, in cents.",
           {"mind": "mind", "stat": "stat"}),
    Metric("swarm_wealth_gini", "gauge", "Gini coefficient of the wealth of all traders."),
    Metric("swarm_disk_free_bytes", "gauge", "Free space on the disk of the run's folder."),
    Metric("swarm_disk_total_bytes", "gauge", "Size of the disk of the run's folder."),
)  # fmt: skip
"""Everything that is exported. Every series also has the label `run`, the config's name."""

FIXED_SETS: Mapping[str, tuple[str, ...]] = {
    "order": ("accepted", *(str(reason) for reason in Rejection)),
    "side": ("buy", "sell"),
    "token": ("prompt", "cached_prompt", "completion"),
    "error": tuple(str(kind) for kind in DecisionError if kind is not DecisionError.LATE),
    "message": ("delivered", *map(str, PruneReason), "prompt_full", "run_budget", "late", "cut_to_length"),
    "stat": ("mean", "p10", "p50", "p90"),
}
"""The sets of labels that are the same for all runs; the others follow from the run's plan."""


class _Histogram:
    """Counts by series and bucket, the last of which is for what lies beyond all bounds."""

    def __init__(self, bounds: tuple[float, ...], series: list[tuple[str, ...]]) -> None:
        self.series = series
        self.counts = np.zeros((len(series), len(bounds) + 1), dtype=np.int64)
        self.sums = np.zeros(len(series))
        self._bounds = np.array(bounds)

    def observe(self, number: Int64, values: npt.NDArray[np.float64]) -> None:
        """Count many values at once, each in the series of this number."""
        rows, columns = self.counts.shape
        place = number * columns + np.searchsorted(self._bounds, values)
        self.counts += np.bincount(place, minlength=rows * columns).reshape(rows, columns)
        self.sums += np.bincount(number, weights=values, minlength=rows)


@dataclass(frozen=True, slots=True)
class _Seats:
    """Who decides for each trader, as numbers; -1 where no model does."""

    plan: RunPlan
    mind: Int64
    model: Int64


class Hub(Collector):
    """All series of one run, a watcher that feeds them and a collector that Prometheus' client reads them from.

    `recorded_rounds` are taken from a journal and not run: they move the gauges, and are no work that is counted.
    """

    def __init__(
        self,
        plan: RunPlan,
        place: str,
        folder: Path,
        recorded_rounds: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        plans = [plan, *(fork.plan for fork in plan.forks())]
        self._run = plan.name
        self._folder = folder
        self._recorded_rounds = recorded_rounds
        self._clock = clock
        self._minds = tuple(dict.fromkeys(mind for p in plans for mind in sorted(set(p.minds))))
        models = {model.name: model for p in plans for model in p.models}
        self._models = tuple(models)
        self._streaming = tuple(name for name, m in models.items() if m.streams)
        self._goods = plan.scenario.goods
        self._usd = {name: prices for name, model in models.items() if (prices := model.usd_per_million) is not None}
        self._sets = {
            **FIXED_SETS,
            "scenario": (plan.scenario_name,),
            "place": (place,),
            "version": (__version__,),
            "mind": self._minds,
            "model": self._models,
            "priced_model": tuple(self._usd),
            # What goes with each model is set below: a model has one lab and one engine, and not all of them.
            "lab": (),
            "engine": (),
            "streaming_model": self._streaming,
            "good": self._goods,
            "asset": ("cash", *self._goods),
        }
        self._lock = Lock()
        self._values: dict[str, dict[tuple[str, ...], float]] = {}
        self._histograms: dict[str, _Histogram] = {}
        for metric in METRICS:
            series = list(product(*(self._sets[name] for name in metric.labels.values())))
            if metric.kind == "histogram":
                self._histograms[metric.name] = _Histogram(metric.buckets, series)
            else:
                # What is not known yet is no number, which no alert takes for one.
                start = 0.0 if metric.kind == "counter" else math.nan
                self._values[metric.name] = dict.fromkeys(series, start)
        self._seats = self._seated(plan)
        self._journal = JournalStats()
        self._restarts: Callable[[], int] = lambda: 0
        self._set("swarm_run_info", 1, plan.scenario_name, place, __version__)
        for name, model in models.items():
            self._set("swarm_model_info", 1, name, model.lab, model.engine)
        self._set("swarm_rounds_planned", plan.last.rounds)
        self._set("swarm_run_finished", 0)
        self._set("swarm_round", 0)
        self._set("swarm_rounds_without_trades", 0)

    def attach(self, shards: int, restarts: Callable[[], int]) -> None:
        """Take note of what the run's processes are; `restarts` tells how often the market has come back so far."""
        with self._lock:
            self._set("swarm_shards", shards)
            self._restarts = restarts

    def started(self, plan: RunPlan, opening: MarketState, named: Int64) -> None:
        """Show what the run begins with."""
        with self._lock:
            self._show_market(plan, opening, named, 0)
            self._set("swarm_last_round_timestamp_seconds", self._clock())

    def round_done(self, outcome: RoundOutcome) -> None:
        """Take in one round."""
        with self._lock:
            self._set("swarm_round", outcome.round)
            self._set("swarm_last_round_timestamp_seconds", self._clock())
            if len(outcome.cleared.trades.good):
                self._set("swarm_rounds_without_trades", 0)
            else:
                self._add("swarm_rounds_without_trades", 1)
            self._show_market(outcome.plan, outcome.state, outcome.named_balances, outcome.round)
            for g, good in enumerate(self._goods):
                self._set("swarm_unfilled_lots", int(outcome.cleared.unfilled_buy_lots[g]), good, "buy")
                self._set("swarm_unfilled_lots", int(outcome.cleared.unfilled_sell_lots[g]), good, "sell")
            if outcome.round > self._recorded_rounds:
                self._count(outcome)

    def finished(self) -> None:
        """No further round will come."""
        with self._lock:
            self._set("swarm_run_finished", 1)

    def collect(self) -> Iterator[Family]:
        """All series as they are after the last whole round."""
        disk = shutil.disk_usage(self._folder) if self._folder.is_dir() else None
        with self._lock:
            if disk is not None:
                self._set("swarm_disk_free_bytes", disk.free)
                self._set("swarm_disk_total_bytes", disk.total)
            families = [self._family(metric) for metric in METRICS]
        yield from families

    def _set(self, name: str, value: float, *labels: str) -> None:
        self._values[name][labels] = value

    def _add(self, name: str, amount: float, *labels: str) -> None:
        self._values[name][labels] += amount

    def _family(self, metric: Metric) -> Family:
        names = ("run", *metric.labels)
        if metric.kind == "histogram":
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=names)
            counted = self._histograms[metric.name]
            bounds = [*map(floatToGoString, metric.buckets), "+Inf"]
            cumulated = np.cumsum(counted.counts, axis=1).tolist()
            for labels, counts, seconds in zip(counted.series, cumulated, counted.sums.tolist(), strict=True):
                histogram.add_metric((self._run, *labels), list(zip(bounds, counts, strict=True)), seconds)
            return histogram
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=names)
        for labels, value in self._values[metric.name].items():
            family.add_metric((self._run, *labels), value)
        return family

    def _seated(self, plan: RunPlan) -> _Seats:
        desks = plan.shard.desks
        models = [desks[mind].model if mind in desks else mind for mind in plan.minds]
        mind_number = {name: i for i, name in enumerate(self._minds)}
        model_number = {name: i for i, name in enumerate(self._models)}
        return _Seats(
            plan,
            np.array([mind_number[mind] for mind in plan.minds], dtype=np.int64),
            np.array([model_number.get(model, -1) for model in models], dtype=np.int64),
        )

    def _show_market(self, plan: RunPlan, state: MarketState, named: Int64, round_: int) -> None:
        sums = state.balances.sum(axis=0) + named.sum(axis=0)
        for asset, error in zip(("cash", *self._goods), sums.tolist(), strict=True):
            self._set("swarm_conservation_error", error, asset)
        for good, ticks in zip(self._goods, state.reference_ticks.tolist(), strict=True):
            self._set("swarm_price_ticks", ticks, good)
        self._set("swarm_round_deadline_seconds", plan.shard.budget.round_deadline_s)
        if self._seats.plan is not plan:
            self._seats = self._seated(plan)
        present = plan.present(round_)
        wealth = wealth_cents(plan, state)[:present]
        self._set("swarm_wealth_gini", gini(wealth))
        traders, stats = _spread(wealth, self._seats.mind[:present], len(self._minds))
        for mind, n, row in zip(self._minds, traders.tolist(), stats.tolist(), strict=True):
            self._set("swarm_traders", n, mind)
            for stat, cents in zip(FIXED_SETS["stat"], row, strict=True):
                self._set("swarm_wealth_cents", cents, mind, stat)

    def _count(self, outcome: RoundOutcome) -> None:
        """Add what the round took and what it came to."""
        self._add("swarm_rounds_total", 1)
        self._set("swarm_last_round_duration_seconds", outcome.duration_s)
        for name, seconds in (
            ("swarm_round_duration_seconds", outcome.duration_s),
            ("swarm_decide_duration_seconds", outcome.decide_s),
            ("swarm_clear_duration_seconds", outcome.clear_s),
        ):
            self._histograms[name].observe(np.zeros(1, dtype=np.int64), np.array([seconds]))
        self._count_turns(outcome)
        self._count_messages(outcome)
        self._count_market(outcome)
        self._count_journal(outcome.journal)

    def _count_turns(self, outcome: RoundOutcome) -> None:
        gathered, turns = outcome.gathered, outcome.gathered.turns
        seats = self._seats
        late = _counts(seats.mind[gathered.late], len(self._minds))
        # A baseline has no row among the turns: all of its traders that are there decide, but for those whose shard was
        # late.
        by_rule = seats.model < 0
        by_rule[gathered.late] = False
        by_rule[outcome.plan.present(outcome.round) :] = False
        decided = _counts(seats.mind[turns.trader], len(self._minds)) + _counts(seats.mind[by_rule], len(self._minds))
        for mind, turns_done, turns_lost in zip(self._minds, decided.tolist(), late.tolist(), strict=True):
            self._add("swarm_turns_total", turns_done, mind)
            self._add("swarm_late_traders_total", turns_lost, mind)
        self._set("swarm_woken_traders", int(decided.sum() + late.sum()))
        model = seats.model[turns.trader]
        asked = np.array([text != NEVER_ASKED for text in turns.text], dtype=np.bool_)
        overdue = np.array([reason == "deadline" for reason in turns.finish_reason], dtype=np.bool_)
        late_model = seats.model[gathered.late]
        unanswered = _counts(model[overdue], len(self._models)) + _counts(
            late_model[late_model >= 0], len(self._models)
        )
        columns = (turns.prompt_tokens, turns.cached_prompt_tokens, turns.completion_tokens)
        # As floating-point numbers, which are exact up to 2^53 tokens a round.
        tokens = np.array([np.bincount(model, weights=column, minlength=len(self._models)) for column in columns])
        for name, spent, n in zip(self._models, tokens.T.tolist(), unanswered.tolist(), strict=True):
            for kind, amount in zip(FIXED_SETS["token"], spent, strict=True):
                self._add("swarm_tokens_total", amount, name, kind)
            self._set("swarm_queued_requests", n, name)
            if name in self._usd:
                per_prompt, per_completion = self._usd[name]
                self._add("swarm_cost_dollars_total", (spent[0] * per_prompt + spent[2] * per_completion) / 1e6, name)
        self._histograms["swarm_decision_latency_seconds"].observe(model[asked], turns.latency_s[asked])
        for number, name in enumerate(self._streaming):
            told = (model == self._models.index(name)) & ~np.isnan(turns.first_token_s)
            place = np.full(int(told.sum()), number)
            self._histograms["swarm_time_to_first_token_seconds"].observe(place, turns.first_token_s[told])
        errors = Counter(
            (number, str(error))
            for number, error in zip(model.tolist(), gathered.decisions.errors, strict=True)
            if error is not None
        )
        for (number, kind), n in errors.items():
            self._add("swarm_decision_errors_total", n, self._models[number], kind)

    def _count_messages(self, outcome: RoundOutcome) -> None:
        gathered, turns = outcome.gathered, outcome.gathered.turns
        delivery = outcome.delivery
        for reason, n in delivery.pruned.items():
            self._add("swarm_messages_total", n, str(reason))
        self._add("swarm_messages_total", delivery.delivered, "delivered")
        self._add("swarm_messages_total", int(turns.pruned_messages.sum()), "prompt_full")
        self._add("swarm_messages_total", outcome.attended.unheard, "run_budget")
        self._add("swarm_messages_total", int(np.isin(delivery.receiver, gathered.late).sum()), "late")
        self._add("swarm_messages_total", gathered.decisions.cut_gossip, "cut_to_length")

    def _count_market(self, outcome: RoundOutcome) -> None:
        self._add("swarm_orders_total", outcome.taken.accepted, "accepted")
        for reason, n in Counter(outcome.taken.rejected_reason).items():
            self._add("swarm_orders_total", n, str(reason))
        trades = _counts(outcome.cleared.trades.good, len(self._goods)).tolist()
        for good, n, lots in zip(self._goods, trades, outcome.cleared.volume_lots.tolist(), strict=True):
            self._add("swarm_fills_total", 2 * n, good)
            self._add("swarm_volume_lots_total", lots, good)

    def _count_journal(self, now: JournalStats) -> None:
        before, self._journal = self._journal, now
        self._set("swarm_journal_bytes", now.bytes)
        # A market that came back counts its syncs from 0 again.
        again = now.syncs < before.syncs
        self._add("swarm_journal_syncs_total", now.syncs - (0 if again else before.syncs))
        self._add("swarm_journal_sync_seconds_total", now.sync_s - (0 if again else before.sync_s))
        self._set("swarm_market_restarts_total", self._restarts())


@contextmanager
def exported(hub: Hub, host: str, port: int) -> Iterator[str]:
    """Serve the hub's metrics over HTTP while the block runs, and give their address; ConfigError if that cannot be."""
    registry = CollectorRegistry()
    registry.register(hub)
    try:
        server = _listening(host, port, registry)
    except gaierror as error:
        raise ConfigError(
            "runtime.metrics_host", f"{host!r} is no address of this machine ({error.strerror})", "try 127.0.0.1"
        ) from error
    except (OSError, OverflowError) as error:
        raise ConfigError(
            "runtime.metrics_port",
            f"port {port} of {host} cannot be used ({getattr(error, 'strerror', None) or error})",
            "choose another, 0 for any that is free, or null for no metrics",
        ) from error
    # The client's own server looks only twice a second whether it is to end, which each run would wait for.
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": END_POLL_S}, daemon=True)
    thread.start()
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(WSGIRequestHandler):
    """Answers without a line on the terminal for each scrape."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _listening(host: str, port: int, registry: CollectorRegistry) -> WSGIServer:
    """A server of the registry, bound to its port; OSError if that cannot be."""
    family = getaddrinfo(host, port, type=SOCK_STREAM, flags=AI_PASSIVE)[0][0]
    server = type("Server", (ThreadingWSGIServer,), {"address_family": family})
    return make_server(host, port, make_wsgi_app(registry), server_class=server, handler_class=_Handler)


def _spread(values: npt.NDArray[Any], group: Int64, groups: int) -> tuple[Int64, npt.NDArray[np.float64]]:
    """The size of each group, and its mean, p10, p50 and p90 as `np.quantile` has them; NaN for an empty one."""
    sizes = _counts(group, groups)
    filled = np.maximum(sizes, 1)
    ordered = values[np.lexsort((values, group))].astype(np.float64)
    place = np.array([[0.1], [0.5], [0.9]]) * (filled - 1)
    below = np.floor(place).astype(np.int64)
    start = np.minimum(np.cumsum(sizes) - sizes, max(len(ordered) - 1, 0))
    low, high = ordered[start + below], ordered[start + np.minimum(below + 1, filled - 1)]
    mean = np.bincount(group, weights=values, minlength=groups) / filled
    stats = np.vstack([mean, low + (high - low) * (place - below)]).T
    stats[sizes == 0] = math.nan
    return sizes, stats


def _counts(numbers: Int64 | Iterable[int], size: int) -> Int64:
    """How often each of 0 .. size-1 occurs."""
    counted: Int64 = np.bincount(np.asarray(numbers, dtype=np.int64), minlength=size)
    return counted
