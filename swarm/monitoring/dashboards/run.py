"""Builds the dashboard of a run at a glance: how far it is, how fast, what it cost, and whether anything is wrong.

It knows the names of a run's metrics, and nothing of the run.
"""

from typing import Any

from swarm.monitoring.dashboards.panels import (
    BAD,
    FAIR,
    RATE,
    Query,
    board,
    lines,
    number,
    per_round,
    quantile,
    row,
    variable,
)

RUN = 'run="$run"'


def dashboard() -> Any:
    """Returns the dashboard, built."""
    return board(
        "swarm-run",
        "Swarm: the run at a glance",
        "How far a run is, how fast it goes, what it has cost, and whether anything is wrong.",
        [variable("run", "Run", "swarm_run_info", "run", "The run's folder, and six digits of its path.")],
        [
            *_state(),
            *_health(),
            row("Pace"),
            *_pace(),
            row("What traders do"),
            *_deeds(),
            row("What is lost"),
            *_losses(),
            row("The record"),
            *_record(),
        ],
    )


def _state() -> list[Any]:
    # Two rows of six figures together with `_health`.
    return [
        number(
            "Round",
            "The last round that is settled and durable in the journal.",
            "none",
            Query(f"swarm_round{{{RUN}}}", "round"),
        ),
        number(
            "Progress",
            "Rounds done as a share of the rounds planned.",
            "percentunit",
            Query(f"swarm_round{{{RUN}}} / swarm_rounds_planned{{{RUN}}}", "done"),
            decimals=0,
        ),
        number(
            "Rounds a minute",
            "Rounds that are settled per minute, over the last few scrapes.",
            "none",
            Query(f"60 * rate(swarm_rounds_total{{{RUN}}}[{RATE}])", "rounds a minute"),
            decimals=1,
        ),
        # Kept finite while no round passes: a figure that is far too long is noticed, an empty one is not.
        number(
            "Time left",
            "Rounds that are still to come at the present pace; 0 once all are done, very long while none passes.",
            "s",
            Query(
                f"(swarm_rounds_planned{{{RUN}}} - swarm_round{{{RUN}}}) "
                f"/ clamp_min(rate(swarm_rounds_total{{{RUN}}}[{RATE}]), 1e-6)",
                "left",
            ),
            decimals=0,
        ),
        number(
            "Traders",
            "Traders of all minds together.",
            "short",
            Query(f"sum(swarm_traders{{{RUN}}})", "traders"),
            decimals=0,
        ),
        number(
            "Tokens",
            "Prompt and completion tokens so far, as the engines count them; tokens from a prefix cache are in them.",
            "short",
            Query(f'sum(swarm_tokens_total{{{RUN},kind=~"prompt|completion"}})', "tokens"),
        ),
    ]


def _health() -> list[Any]:
    # Colours begin where somebody should look: one cent is too much, a few spoilt turns are not.
    return [
        number(
            "Unexplained",
            "Cents and lots that the double-entry ledger cannot explain, of all assets together. Anything but 0 is a "
            "broken ledger: stop, and keep the journal.",
            "none",
            Query(f"sum(abs(swarm_conservation_error{{{RUN}}}))", "unexplained"),
            decimals=0,
            steps=[(1, BAD)],
        ),
        number(
            "Turns spoilt",
            "Share of all turns so far that a model spoilt: an unreadable reply, an engine's failure, a missed "
            "deadline. The trader then passes.",
            "percentunit",
            Query(
                f"sum(swarm_decision_errors_total{{{RUN}}}) / clamp_min(sum(swarm_turns_total{{{RUN}}}), 1)", "spoilt"
            ),
            decimals=1,
            steps=[(0.02, FAIR), (0.1, BAD)],
        ),
        number(
            "Turns late",
            "Turns so far that were lost because the trader's shard did not answer before the deadline.",
            "short",
            Query(f"sum(swarm_late_traders_total{{{RUN}}})", "late"),
            decimals=0,
            steps=[(1, FAIR)],
        ),
        number(
            "Market restarts",
            "How often the market's process was lost and came back from its journal.",
            "none",
            Query(f"swarm_market_restarts_total{{{RUN}}}", "restarts"),
            decimals=0,
            steps=[(1, FAIR), (3, BAD)],
        ),
        # Two figures without a verdict: what is dear, or little room, depends on the run.
        number(
            "Cost",
            "What the tokens have cost so far at the config's prices. No data: the config gives no prices.",
            "currencyUSD",
            Query(f"sum(swarm_cost_dollars_total{{{RUN}}})", "cost"),
        ),
        number(
            "Disk free",
            "Free space on the disk that the run's folder lies on, as a share of its size.",
            "percentunit",
            Query(f"swarm_disk_free_bytes{{{RUN}}} / swarm_disk_total_bytes{{{RUN}}}", "free"),
            decimals=0,
        ),
    ]


def _pace() -> list[Any]:
    decide, clear, round_ = (f"swarm_{part}_duration_seconds" for part in ("decide", "clear", "round"))
    # Sums over counts give a mean per round, whatever the window.
    rounds = f"rate({round_}_count{{{RUN}}}[{RATE}])"
    return [
        lines(
            "Where a round's time goes",
            "Mean seconds per round: until all decisions are in, to journal and clear the orders, and the rest "
            "(observing, settling, syncing, watching).",
            "s",
            Query(f"rate({decide}_sum{{{RUN}}}[{RATE}]) / {rounds}", "decide"),
            Query(f"rate({clear}_sum{{{RUN}}}[{RATE}]) / {rounds}", "clear"),
            Query(
                f"(rate({round_}_sum{{{RUN}}}[{RATE}]) - rate({decide}_sum{{{RUN}}}[{RATE}]) "
                f"- rate({clear}_sum{{{RUN}}}[{RATE}])) / {rounds}",
                "rest",
            ),
            width=8,
            stacked=True,
        ),
        lines(
            "Seconds a round",
            "Median and 95th percentile of rounds' durations, and the deadline by which a round's decisions must be "
            "in: at the deadline a round goes on without those that are missing.",
            "s",
            Query(quantile(0.5, f"{round_}_bucket{{{RUN}}}"), "median"),
            Query(quantile(0.95, f"{round_}_bucket{{{RUN}}}"), "95th percentile"),
            Query(f"swarm_last_round_duration_seconds{{{RUN}}}", "last round"),
            width=8,
        ),
        lines(
            "Latency of decisions",
            "Time from a request to its reply, over all models: median, 95th and 99th percentile.",
            "s",
            *(
                Query(quantile(q, f"swarm_decision_latency_seconds_bucket{{{RUN}}}"), name)
                for q, name in ((0.5, "median"), (0.95, "95th percentile"), (0.99, "99th percentile"))
            ),
            width=8,
        ),
    ]


def _deeds() -> list[Any]:
    # First what traders think, then what comes of it.
    return [
        lines(
            "Turns a second by mind",
            "Turns in which a trader decided in time, by what decides for it.",
            "short",
            Query(f"sum by (mind) (rate(swarm_turns_total{{{RUN}}}[{RATE}]))", "{{mind}}"),
            width=8,
            stacked=True,
        ),
        lines(
            "Tokens a second",
            "Tokens by kind. Tokens from a prefix cache are part of the prompt's and cost no computing.",
            "short",
            Query(f'sum(rate(swarm_tokens_total{{{RUN},kind="prompt"}}[{RATE}]))', "prompt"),
            Query(f'sum(rate(swarm_tokens_total{{{RUN},kind="cached_prompt"}}[{RATE}]))', "of it cached"),
            Query(f'sum(rate(swarm_tokens_total{{{RUN},kind="completion"}}[{RATE}]))', "completion"),
            width=8,
        ),
        lines(
            # The two lines part where decisions stand or a budget is short.
            "Traders asked",
            "Traders that were asked in the last round, out of all there are; the others slept or had standing orders.",
            "short",
            Query(f"swarm_woken_traders{{{RUN}}}", "asked"),
            Query(f"sum(swarm_traders{{{RUN}}})", "all"),
            width=8,
        ),
        lines(
            "Orders a round by outcome",
            "Orders that the exchange accepted, and those that it refused by reason.",
            "short",
            Query(per_round(f"swarm_orders_total{{{RUN}}}", "outcome") + " > 0", "{{outcome}}"),
            width=8,
        ),
        lines(
            "Fills a round by good",
            "Executions of orders, two for each trade.",
            "short",
            Query(per_round(f"swarm_fills_total{{{RUN}}}", "good"), "{{good}}"),
            width=8,
            stacked=True,
        ),
        lines(
            "Inequality",
            "Gini coefficient of the wealth of all traders: 0 if all have the same, 1 if one has all.",
            "percentunit",
            Query(f"swarm_wealth_gini{{{RUN}}}", "Gini"),
            width=8,
            top=0.5,
        ),
    ]


def _losses() -> list[Any]:
    return [
        # A counter has a series for each kind from the start, so what never occurred is filtered out.
        lines(
            "Turns spoilt a round by kind",
            "Turns that a model spoilt, by kind; kinds that never occurred are left out.",
            "short",
            Query(
                f"(sum by (kind) (increase(swarm_decision_errors_total{{{RUN}}}[{RATE}])) "
                f"/ on () group_left () sum(increase(swarm_rounds_total{{{RUN}}}[{RATE}]))) "
                f"and on (kind) (sum by (kind) (swarm_decision_errors_total{{{RUN}}}) > 0)",
                "{{kind}}",
            ),
            width=8,
        ),
        lines(
            "Turns late by mind",
            "Turns so far that were lost because the trader's shard did not answer in time.",
            "short",
            Query(f"sum by (mind) (swarm_late_traders_total{{{RUN}}})", "{{mind}}"),
            width=8,
            top=1,
        ),
        lines(
            "Messages a round by outcome",
            "Lines of gossip that reached a prompt, and those that were lost to a budget or a deadline, or cut.",
            "short",
            Query(per_round(f"swarm_messages_total{{{RUN}}}", "outcome"), "{{outcome}}"),
            width=8,
        ),
    ]


def _record() -> list[Any]:
    # The last panel should be a flat line at 0.
    return [
        lines(
            "Journal",
            "Length of the run's journal, which holds every command and every reply.",
            "bytes",
            Query(f"swarm_journal_bytes{{{RUN}}}", "journal"),
            width=8,
        ),
        lines(
            "Seconds a sync",
            "Mean time for which a sync of the journal to the disk is waited for.",
            "s",
            Query(
                f"rate(swarm_journal_sync_seconds_total{{{RUN}}}[{RATE}]) "
                f"/ rate(swarm_journal_syncs_total{{{RUN}}}[{RATE}])",
                "sync",
            ),
            width=8,
        ),
        lines(
            "Unexplained by asset",
            "What the double-entry ledger cannot explain, in cents of cash and lots of goods. All must be 0.",
            "none",
            Query(f"swarm_conservation_error{{{RUN}}}", "{{asset}}"),
            width=8,
            top=1,
        ),
    ]
