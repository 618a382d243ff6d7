"""Lists a run's metrics in one table: names, kinds, labels, and the closed sets that labels are from.

It knows nothing of what feeds them nor of how they are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from swarm.agents.decision import DecisionError
from swarm.agents.escalation import Reason
from swarm.coordination.router import PruneReason
from swarm.market.events import Rejection

# Bounds of histograms' buckets: for rounds with models, for clearing, and for a model's reply.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
SHORT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REPLY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table. `labels` gives, for each label besides `run`, the closed set that its values are from."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, str] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()


METRICS = (
    Metric("swarm_run_info", "gauge", "What run this is; always 1.", {"name": "name", "scenario": "scenario",
           "runs_on": "runs_on", "version": "version"}),
    Metric("swarm_model_info", "gauge", "What each model is; always 1, to join to what has the label model.",
           {"model": "model", "lab": "lab", "engine": "engine"}),
    Metric("swarm_round", "gauge", "The last round that is settled and durable."),
    Metric("swarm_rounds_planned", "gauge", "The rounds that the run is to have."),
    Metric("swarm_run_finished", "gauge", "1 once the run has ended and no further round will come, else 0."),
    Metric("swarm_last_round_timestamp_seconds", "gauge", "When the last round ended, in seconds since 1970."),
    Metric("swarm_rounds_total", "counter", "Rounds done, those of the run before it was resumed among them."),
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
    Metric("swarm_replies_total", "counter", "Calls of models that ended, well or badly.", {"model": "model"}),
    Metric("swarm_mind_calls_total", "counter", "Calls of models by minds that ask several, by mind and by the model "
           "that was called.", {"mind": "several_mind", "model": "member"}),
    Metric("swarm_vetoes_total", "counter", "Decisions of a council that its oversight has vetoed.",
           {"mind": "council"}),
    Metric("swarm_escalations_total", "counter", "Turns in which a cascade asked its large model, by why.",
           {"mind": "cascade", "reason": "escalation"}),
    Metric("swarm_awards_total", "counter", "Work that auctions have awarded, by the model that won it.",
           {"model": "tier"}),
    Metric("swarm_compute_cents", "gauge", "What traders have paid for models' tokens, in the account COMPUTE; missing "
           "where nobody is charged."),
    Metric("swarm_tokens_total", "counter", "Tokens as the engine counts them; those of cached_prompt are part of "
           "those of prompt, and begin at 0 where a run is resumed, since no journal has them.",
           {"model": "model", "kind": "token"}),
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
"""Everything that is exported. Every series also has the label `run`, which tells one run's folder from all others.

Counters are the run's: where a run is resumed they begin with what its journal has. What no journal has, durations,
latencies and syncs, is the process's, and begins at 0.
"""

FIXED_SETS: Mapping[str, tuple[str, ...]] = {
    "order": ("accepted", *(str(reason) for reason in Rejection)),
    "side": ("buy", "sell"),
    "token": ("prompt", "cached_prompt", "completion"),
    # Late turns have a metric of their own, by mind, since a lost shard's turns may have asked no model.
    "error": tuple(str(kind) for kind in DecisionError if kind is not DecisionError.LATE),
    "message": ("delivered", *map(str, PruneReason), "prompt_full", "run_budget", "late", "cut_to_length"),
    "escalation": tuple(str(reason) for reason in Reason if reason is not Reason.NONE),
    "stat": ("mean", "p10", "p50", "p90"),
}
"""The sets of labels that are the same for all runs; the others follow from the run's plan."""
