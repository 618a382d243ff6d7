"""Adds rounds to a run's series: turns, tokens, dollars, messages, orders, and how long it all took."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarm.agents.minds import guests_of, own_models
from swarm.market.orders import Int64
from swarm.monitoring.metrics import FIXED_SETS
from swarm.monitoring.series import Series
from swarm.monitoring.spread import counts
from swarm.simulation.journal import JournalStats
from swarm.simulation.loop import RoundOutcome
from swarm.simulation.plan import RunPlan
from swarm.simulation.spending import spending


@dataclass(frozen=True, slots=True)
class Names:
    """The closed sets of names that a run's series are from, those of all its forks together."""

    minds: tuple[str, ...]
    models: tuple[str, ...]
    priced: tuple[str, ...]
    streaming: tuple[str, ...]
    goods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seats:
    """The mind and model of each trader, as indices of names; the model is -1 where none or several decide."""

    plan: RunPlan
    mind: Int64  # [traders]
    model: Int64  # [traders]
    rule: "np.ndarray[Any, np.dtype[np.bool_]]"  # [traders], true where nobody is asked


class Counting:
    """Adds rounds to the series of a run."""

    def __init__(self, series: Series, names: Names) -> None:
        self._series, self._names = series, names
        self._mind = {name: i for i, name in enumerate(names.minds)}
        self._model = {name: i for i, name in enumerate(names.models)}
        self._seats: Seats | None = None
        self._journal = JournalStats()

    def seats(self, plan: RunPlan) -> Seats:
        """Returns who decides for each trader under a plan."""
        if self._seats is None or self._seats.plan is not plan:
            asks, guests = own_models(plan.shard), guests_of(plan.shard)
            # Of several models the first stands for what is lost before any was asked; what asks none is a rule.
            model = {mind: self._model[models[0]] if models else -1 for mind, models in asks.items()}
            self._seats = Seats(
                plan,
                np.array([self._mind[mind] for mind in plan.minds], dtype=np.int64),
                np.array([model[mind] for mind in plan.minds], dtype=np.int64),
                np.array([not asks[mind] and mind not in guests for mind in plan.minds], dtype=np.bool_),
            )
        return self._seats

    def count(self, outcome: RoundOutcome) -> None:
        """Adds what the round came to."""
        self._series.add("swarm_rounds_total", 1)
        self._count_turns(outcome)
        self._count_calls(outcome)
        self._count_errors(outcome)
        self._count_messages(outcome)
        self._count_market(outcome)

    def time(self, outcome: RoundOutcome) -> None:
        """Adds what the round took, which only a process that ran it can tell."""
        # The round's duration holds that of its two parts; the rest is the scenario's, the journal's and the watchers'.
        self._series.set("swarm_last_round_duration_seconds", outcome.duration_s)
        for name, seconds in (
            ("swarm_round_duration_seconds", outcome.duration_s),
            ("swarm_decide_duration_seconds", outcome.decide_s),
            ("swarm_clear_duration_seconds", outcome.clear_s),
        ):
            self._series.observe(name, np.array([seconds]))
        turns = outcome.gathered.turns
        calls, model = turns.calls, self._models_of_calls(outcome)
        self._series.observe("swarm_decision_latency_seconds", calls.latency_s, model)
        for number, name in enumerate(self._names.streaming):
            # Calls of this model that said when their first token came.
            told = (model == self._model[name]) & ~np.isnan(calls.first_token_s)
            first = calls.first_token_s[told]
            self._series.observe("swarm_time_to_first_token_seconds", first, np.full(len(first), number))
        self._count_journal(outcome.journal)

    def _models_of_calls(self, outcome: RoundOutcome) -> Int64:
        """Returns [calls] indices into all models of the run."""
        turns = outcome.gathered.turns
        index = np.array([self._model[name] for name in turns.models], dtype=np.int64)
        return index[turns.calls.model]

    def _count_turns(self, outcome: RoundOutcome) -> None:
        gathered, turns = outcome.gathered, outcome.gathered.turns
        seats, size = self.seats(outcome.plan), len(self._names.minds)
        late = counts(seats.mind[gathered.late], size)
        # A baseline has no row among the turns: all of its traders that are there decide, but for those whose shard was
        # late.
        by_rule = seats.rule.copy()
        by_rule[gathered.late] = False
        by_rule[~outcome.plan.there(outcome.round)] = False
        asked = np.array([self._mind[name] for name in turns.minds], dtype=np.int64)[turns.mind]
        decided = counts(asked, size) + counts(seats.mind[by_rule], size)
        for mind, turns_done, turns_lost in zip(self._names.minds, decided.tolist(), late.tolist(), strict=True):
            self._series.add("swarm_turns_total", turns_done, mind)
            self._series.add("swarm_late_traders_total", turns_lost, mind)
        self._series.set("swarm_woken_traders", int(decided.sum() + late.sum()))

    def _count_calls(self, outcome: RoundOutcome) -> None:
        turns, size = outcome.gathered.turns, len(self._names.models)
        spent = spending(turns, outcome.plan.models)
        columns = (spent.prompt_tokens, spent.cached_prompt_tokens, spent.completion_tokens)
        for i, name in enumerate(spent.models):
            self._series.add("swarm_replies_total", int(spent.calls[i]), name)
            for kind, column in zip(FIXED_SETS["token"], columns, strict=True):
                self._series.add("swarm_tokens_total", int(column[i]), name, kind)
            if not np.isnan(spent.usd[i]):
                self._series.add("swarm_cost_dollars_total", float(spent.usd[i]), name)
        # Unanswered are calls that ran into the deadline, and one for each turn that was lost with its shard.
        overdue = np.array([reason == "deadline" for reason in turns.calls.finish_reason], dtype=np.bool_)
        late = self.seats(outcome.plan).model[outcome.gathered.late]
        unanswered = counts(self._models_of_calls(outcome)[overdue], size) + counts(late[late >= 0], size)
        for name, n in zip(self._names.models, unanswered.tolist(), strict=True):
            self._series.set("swarm_queued_requests", n, name)

    def _count_errors(self, outcome: RoundOutcome) -> None:
        """Counts each spoilt turn for the model of its last call, and who was never asked for its own."""
        turns = outcome.gathered.turns
        last, own = turns.last_model.tolist(), self.seats(outcome.plan).model
        errors = Counter(
            (turns.models[last[row]] if last[row] >= 0 else self._names.models[own[turns.trader[row]]], str(error))
            for row, error in enumerate(outcome.gathered.decisions.errors)
            if error is not None
        )
        for (name, kind), n in errors.items():
            self._series.add("swarm_decision_errors_total", n, name, kind)

    def _count_messages(self, outcome: RoundOutcome) -> None:
        gathered, turns = outcome.gathered, outcome.gathered.turns
        delivery = outcome.delivery
        for reason, n in delivery.pruned.items():
            self._series.add("swarm_messages_total", n, str(reason))
        # Delivered is what the router let through; what was lost after that is counted beside it, not taken off.
        self._series.add("swarm_messages_total", delivery.delivered, "delivered")
        self._series.add("swarm_messages_total", int(turns.pruned_messages.sum()), "prompt_full")
        self._series.add("swarm_messages_total", outcome.staffed.unheard, "run_budget")
        self._series.add("swarm_messages_total", int(np.isin(delivery.receiver, gathered.late).sum()), "late")
        self._series.add("swarm_messages_total", gathered.decisions.cut_gossip, "cut_to_length")

    def _count_market(self, outcome: RoundOutcome) -> None:
        self._series.add("swarm_orders_total", outcome.taken.accepted, "accepted")
        for reason, n in Counter(outcome.taken.rejected_reason).items():
            self._series.add("swarm_orders_total", n, str(reason))
        trades = counts(outcome.cleared.trades.good, len(self._names.goods)).tolist()
        for good, n, lots in zip(self._names.goods, trades, outcome.cleared.volume_lots.tolist(), strict=True):
            # A trade fills two orders.
            self._series.add("swarm_fills_total", 2 * n, good)
            self._series.add("swarm_volume_lots_total", lots, good)

    def _count_journal(self, now: JournalStats) -> None:
        before, self._journal = self._journal, now
        self._series.set("swarm_journal_bytes", now.bytes)
        # A market that came back counts its syncs from 0 again.
        again = now.syncs < before.syncs
        self._series.add("swarm_journal_syncs_total", now.syncs - (0 if again else before.syncs))
        self._series.add("swarm_journal_sync_seconds_total", now.sync_s - (0 if again else before.sync_s))
