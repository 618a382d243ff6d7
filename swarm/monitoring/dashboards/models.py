"""Builds the dashboard of the models, side by side by lab: throughput, latency, tokens, errors, cache and cost.

It knows the names of metrics, a run's and vLLM's, and nothing of engines.
"""

from typing import Any

from swarm.monitoring.dashboards.panels import RATE, Query, bars, board, lines, quantile, row, variable

RUN = 'run="$run"'
MODEL = f'{RUN},model=~"$model"'
INFO = f'swarm_model_info{{{RUN},model=~"$model",lab=~"$lab"}}'
BOTH = "{{lab}}: {{model}}"


def dashboard() -> Any:
    """Returns the dashboard, built."""
    # The models to choose from are those of the labs chosen, so the lab comes first.
    return board(
        "swarm-models",
        "Swarm: the models",
        "The models of a run side by side by lab: throughput, latency, tokens, errors, cache and cost. The last row is "
        "what vLLM says of itself, and is empty where no model runs on it.",
        [
            variable("run", "Run", "swarm_run_info", "run", "The run's folder, and six digits of its path."),
            variable("lab", "Lab", f"swarm_model_info{{{RUN}}}", "lab", "Who made the models.", several=True),
            variable(
                "model",
                "Model",
                f'swarm_model_info{{{RUN},lab=~"$lab"}}',
                "model",
                "What the config calls the models.",
                several=True,
            ),
        ],
        [
            row("Side by side"),
            *_side_by_side(),
            row("By lab"),
            *_by_lab(),
            row("Over time"),
            *_over_time(),
            *_losses_over_time(),
            row("Minds of several models"),
            *_several(),
            row("vLLM's own view"),
            *_vllm(),
            *_vllm_times(),
        ],
    )


def by_lab(of_model: str) -> str:
    """Returns an expression with the labels `run` and `model`, joined to the model's lab."""
    return f"({of_model}) * on (run, model) group_left (lab) {INFO}"


# Summed over the run's other labels, so that what is joined to a model's lab is one series per model.
def _rate(counter: str, more: str = "") -> str:
    return f"sum by (run, model) (rate({counter}{{{MODEL}{more}}}[{RATE}]))"


def _sum(counter: str, more: str = "") -> str:
    return f"sum by (run, model) ({counter}{{{MODEL}{more}}})"


# The metrics that several panels use.
REPLIES = "swarm_replies_total"
LATENCY = f"swarm_decision_latency_seconds_bucket{{{MODEL}}}"
FIRST_TOKEN = f"swarm_time_to_first_token_seconds_bucket{{{MODEL}}}"
TOKENS = "swarm_tokens_total"
ERRORS = "swarm_decision_errors_total"
COST = "swarm_cost_dollars_total"


def _side_by_side() -> list[Any]:
    # So far, not lately: a comparison of models wants all that is known of them.
    asked, completion = f"clamp_min({_sum(REPLIES)}, 1)", _sum(TOKENS, ',kind="completion"')
    median, slow = (f"histogram_quantile({q}, sum by (le, run, model) ({LATENCY}))" for q in (0.5, 0.95))
    return [
        bars(
            "Replies so far",
            "Replies that the model has given so far, good or bad.",
            "locale",
            Query(by_lab(_sum(REPLIES)), BOTH),
            decimals=0,
        ),
        bars(
            "Median latency since the start",
            "Time from a request to its reply: half of those since the run began or was resumed were faster.",
            "s",
            Query(by_lab(median), BOTH),
        ),
        bars(
            "95th percentile since the start",
            "Time from a request to its reply: 95 of 100 since the run began or was resumed were faster.",
            "s",
            Query(by_lab(slow), BOTH),
        ),
        # Shares of replies or of tokens, so that a model that is asked more often does not look worse.
        bars(
            "Completion tokens a reply",
            "Tokens that a reply has on average.",
            "suffix:tokens",
            Query(by_lab(f"{completion} / {asked}"), BOTH),
            decimals=1,
        ),
        bars(
            "Turns spoilt so far",
            "Share of replies so far that were no decision: unreadable, late, or an engine's failure.",
            "percentunit",
            Query(by_lab(f"{_sum(ERRORS)} / {asked}"), BOTH),
            decimals=1,
        ),
        bars(
            "From the cache",
            "Share of the prompt tokens of the time shown that the engine took from its prefix cache. 0 for engines "
            "that have none or do not tell.",
            "percentunit",
            Query(by_lab(_cached_share()), BOTH),
            decimals=0,
        ),
        bars(
            "Cost of a thousand replies",
            "At the config's prices; a model without prices is left out.",
            "currencyUSD",
            Query(by_lab(f"1000 * {_sum(COST)} / {asked}"), BOTH),
        ),
        bars(
            "Cost so far",
            "At the config's prices; a model without prices is left out.",
            "currencyUSD",
            Query(by_lab(_sum(COST)), BOTH),
        ),
    ]


def _cached_share() -> str:
    """Returns the query for the share of prompt tokens that came from a cache, over the time shown.

    What a journal has no word of begins anew where a run is resumed, so there is no such share since the start.
    """
    prompt, cached = (
        f'sum by (run, model) (increase({TOKENS}{{{MODEL},kind="{kind}"}}[$__range]))'
        for kind in ("prompt", "cached_prompt")
    )
    return f"{cached} / clamp_min({prompt}, 1)"


def _by_lab() -> list[Any]:
    return [
        lines(
            "Median latency: $lab",
            "Time from a request to its reply, one panel for each lab.",
            "s",
            Query(by_lab(f"histogram_quantile(0.5, sum by (le, run, model) (rate({LATENCY}[{RATE}])))"), "{{model}}"),
            width=24,
            repeat="lab",
        ),
    ]


def _over_time() -> list[Any]:
    # Stacked where the sum over models means something: replies and tokens, not latency.
    prompt, completion = (_rate(TOKENS, f',kind="{kind}"') for kind in ("prompt", "completion"))
    return [
        lines(
            "Replies a second",
            "Throughput: replies that each model gives per second.",
            "short",
            Query(by_lab(_rate(REPLIES)), BOTH),
            width=8,
            stacked=True,
        ),
        lines(
            "95th percentile of latency",
            "Time from a request to its reply.",
            "s",
            Query(by_lab(f"histogram_quantile(0.95, sum by (le, run, model) (rate({LATENCY}[{RATE}])))"), BOTH),
            width=8,
        ),
        lines(
            "Requests unanswered",
            "Requests of the last round that the model had not answered when the time was up.",
            "short",
            Query(by_lab(f"swarm_queued_requests{{{MODEL}}}"), BOTH),
            width=8,
            decimals=0,
            top=1,
        ),
        lines(
            "Prompt tokens a second",
            "Tokens that the engines read, those from a prefix cache among them.",
            "short",
            Query(by_lab(prompt), BOTH),
            width=8,
            stacked=True,
        ),
        lines(
            "Completion tokens a second",
            "Tokens that the engines write.",
            "short",
            Query(by_lab(completion), BOTH),
            width=8,
            stacked=True,
        ),
    ]


def _losses_over_time() -> list[Any]:
    prompt, cached = (_rate(TOKENS, f',kind="{kind}"') for kind in ("prompt", "cached_prompt"))
    return [
        lines(
            "Prompt tokens from the cache",
            "Share of prompt tokens that the engine took from its prefix cache.",
            "percentunit",
            Query(by_lab(f"{cached} / {prompt}"), BOTH),
            width=8,
            top=1,
        ),
        # By kind and model there are many series; those that never counted anything are left out.
        lines(
            "Turns spoilt by kind",
            "Share of replies that were no decision, by model and kind; what never occurred is left out.",
            "percentunit",
            Query(
                f"(sum by (run, model, kind) (rate({ERRORS}{{{MODEL}}}[{RATE}])) "
                f"/ on (run, model) group_left () {_rate(REPLIES)} "
                f"and on (run, model, kind) ({ERRORS}{{{MODEL}}} > 0)) * on (run, model) group_left (lab) {INFO}",
                "{{model}}, {{kind}}",
            ),
            width=8,
        ),
        lines(
            "Time to first token",
            "Time from a request to the first token of its reply, for models whose replies are read as they are "
            "written: 95th percentile.",
            "s",
            Query(by_lab(f"histogram_quantile(0.95, sum by (le, run, model) (rate({FIRST_TOKEN}[{RATE}])))"), BOTH),
            width=8,
        ),
        lines(
            # From dollars a second.
            "Dollars an hour",
            "At the config's prices; a model without prices is left out.",
            "currencyUSD",
            Query(by_lab(f"3600 * {_rate(COST)}"), BOTH),
            width=8,
            stacked=True,
        ),
    ]


def _several() -> list[Any]:
    # Who is called by whom, and what auctions and councils decide; empty where every mind asks one model.
    calls, vetoes, awards, escalated = (
        f"swarm_{name}_total" for name in ("mind_calls", "vetoes", "awards", "escalations")
    )
    return [
        lines(
            "Calls by member",
            "Calls a second of the models that a mind asks beside one another; what was never called is left out.",
            "short",
            Query(
                f"sum by (run, mind, model) (rate({calls}{{{MODEL}}}[{RATE}])) "
                f"and on (run, mind, model) ({calls}{{{MODEL}}} > 0)",
                "{{mind}}: {{model}}",
            ),
            width=8,
            stacked=True,
        ),
        lines(
            "Escalations so far",
            "Turns of each cascade in which its large model was asked besides.",
            "short",
            Query(f"sum by (run, mind) ({escalated}{{{RUN}}})", "{{mind}}"),
            width=4,
            decimals=0,
        ),
        lines(
            "Vetoes so far",
            "Decisions of each council that its oversight has vetoed.",
            "short",
            Query(f"sum by (run, mind) ({vetoes}{{{RUN}}})", "{{mind}}"),
            width=4,
            decimals=0,
        ),
        lines(
            "Awards so far",
            "Work that auctions have awarded, by the model that won it.",
            "short",
            Query(f"sum by (run, model) ({awards}{{{RUN}}})", "{{model}}"),
            width=4,
            decimals=0,
            stacked=True,
        ),
        lines(
            "Paid for tokens",
            "Cents that traders have paid for models' tokens, in the account COMPUTE.",
            "suffix:cents",
            Query(f"sum by (run) (swarm_compute_cents{{{RUN}}})", "COMPUTE"),
            width=4,
            decimals=0,
        ),
    ]


def _of_vllm(name: str) -> str:
    # Under Ray, the names of vLLM's series begin with ray_ and have no colon.
    return f'{{__name__=~"(ray_)?vllm[_:]{name}"}}'


def _vllm() -> list[Any]:
    def share(part: str, of: str) -> str:
        part, of = (f"sum by (model_name) (rate({_of_vllm(name)}[{RATE}]))" for name in (part, of))
        return f"{part} / {of}"

    # How full an engine is, and how much of its work it is spared.
    return [
        lines(
            "Requests in the engine",
            "Requests that vLLM computes and those that wait for room in its batch.",
            "short",
            Query(f"sum by (model_name) ({_of_vllm('num_requests_running')})", "{{model_name}} running"),
            Query(f"sum by (model_name) ({_of_vllm('num_requests_waiting')})", "{{model_name}} waiting"),
            width=8,
        ),
        lines(
            "KV cache in use",
            "Share of the blocks of vLLM's KV cache that are taken; at 100 % requests wait or are computed anew.",
            "percentunit",
            Query(f"max by (model_name) ({_of_vllm('kv_cache_usage_perc')})", "{{model_name}}"),
            width=8,
            top=1,
        ),
        lines(
            "Prefix cache hits",
            "Share of the prompt's tokens that vLLM finds in its prefix cache.",
            "percentunit",
            Query(share("prefix_cache_hits_total", "prefix_cache_queries_total"), "{{model_name}}"),
            width=8,
            top=1,
        ),
    ]


def _vllm_times() -> list[Any]:
    # As the engine sees it: what the way to it and the wait before it take is not in these.
    return [
        lines(
            "First token in the engine",
            "Time from a request's arrival at vLLM to the first token of its reply: median and 95th percentile.",
            "s",
            *(
                Query(
                    quantile(q, _of_vllm("time_to_first_token_seconds_bucket"), "model_name"),
                    f"{{{{model_name}}}} {name}",
                )
                for q, name in ((0.5, "median"), (0.95, "95th percentile"))
            ),
            width=8,
        ),
        lines(
            "Time in the queue",
            "How long a request waits for room in the batch: 95th percentile.",
            "s",
            Query(quantile(0.95, _of_vllm("request_queue_time_seconds_bucket"), "model_name"), "{{model_name}}"),
            width=8,
        ),
        lines(
            "Tokens a second in the engine",
            "Tokens that vLLM reads and writes.",
            "short",
            Query(f"sum by (model_name) (rate({_of_vllm('prompt_tokens_total')}[{RATE}]))", "{{model_name}} prompt"),
            Query(
                f"sum by (model_name) (rate({_of_vllm('generation_tokens_total')}[{RATE}]))",
                "{{model_name}} completion",
            ),
            width=8,
        ),
    ]
