"""Builds the dashboard of the market: prices, volume, what is left unfilled, and who gets rich.

It knows the names of a run's metrics, and nothing of the exchange.
"""

from typing import Any

from swarm.monitoring.dashboards.panels import Query, bars, board, lines, number, per_round, row, variable

RUN = 'run="$run"'
GOOD = f'{RUN},good=~"$good"'
MIND = f'{RUN},mind=~"$mind"'


def dashboard() -> Any:
    """Returns the dashboard, built."""
    return board(
        "swarm-market",
        "Swarm: the market",
        "What goods cost, how much is traded, what is left unfilled, and who gets rich.",
        [
            variable("run", "Run", "swarm_run_info", "run", "The run's folder, and six digits of its path."),
            variable("good", "Good", f"swarm_price_ticks{{{RUN}}}", "good", "The goods to show.", several=True),
            variable("mind", "Mind", f"swarm_traders{{{RUN}}}", "mind", "What decides for traders.", several=True),
        ],
        [*_prices(), row("Volume"), *_volume(), row("Depth"), *_depth(), row("Wealth"), *_wealth()],
    )


def _prices() -> list[Any]:
    # First each good's latest figure, then its course, then its course beside goods of other value.
    price = f"swarm_price_ticks{{{GOOD}}}"
    return [
        number(
            "Prices",
            "The reference price of each good after the last round, in ticks.",
            "suffix:ticks",
            Query(price, "{{good}}"),
            width=24,
            decimals=0,
            spark=True,
        ),
        lines(
            "Price",
            "The reference price after each round: the clearing price where there was trade, else the last one, "
            "drifting towards the side that was left unfilled.",
            "suffix:ticks",
            Query(price, "{{good}}"),
            width=16,
            height=10,
            decimals=0,
        ),
        lines(
            "Price against the mean of the range",
            "Each price as a share of its mean over the time range shown, so that goods of different value compare.",
            "percentunit",
            # Before the first round a price is no number, which would make the mean none.
            Query(f"{price} / avg_over_time(({price} > 0)[$__range:$__interval] @ end())", "{{good}}"),
            width=8,
            height=10,
            decimals=0,
            bottom=None,
        ),
    ]


def _volume() -> list[Any]:
    return [
        lines(
            "Volume a round",
            "Lots that change hands per round, by good.",
            "suffix:lots",
            Query(per_round(f"swarm_volume_lots_total{{{GOOD}}}", "good"), "{{good}}"),
            width=8,
            decimals=1,
            stacked=True,
        ),
        lines(
            "Fills a round",
            "Executions of orders per round, two for each trade.",
            "short",
            Query(per_round(f"swarm_fills_total{{{GOOD}}}", "good"), "{{good}}"),
            width=8,
            decimals=1,
            stacked=True,
        ),
        lines(
            "Orders a round by outcome",
            "Orders that the exchange accepted, and those that it refused by reason.",
            "short",
            # Most reasons for a refusal never occur in a run, and would fill the legend.
            Query(per_round(f"swarm_orders_total{{{RUN}}}", "outcome") + " > 0", "{{outcome}}"),
            width=8,
            decimals=1,
        ),
    ]


def _depth() -> list[Any]:
    buy, sell = (f'swarm_unfilled_lots{{{GOOD},side="{side}"}}' for side in ("buy", "sell"))
    return [
        lines(
            "Unfilled demand",
            "Lots that traders wanted to buy and that were left over when the last round was cleared.",
            "suffix:lots",
            Query(buy, "{{good}}"),
            width=8,
            decimals=0,
            stacked=True,
        ),
        lines(
            "Unfilled supply",
            "Lots that traders wanted to sell and that were left over when the last round was cleared.",
            "suffix:lots",
            Query(sell, "{{good}}"),
            width=8,
            decimals=0,
            stacked=True,
        ),
        # A good with nothing left over has no imbalance, and no division by it.
        lines(
            "Imbalance",
            "Unfilled demand less unfilled supply, as a share of both: at 1 only buyers were left over, at -1 only "
            "sellers.",
            "percentunit",
            Query(
                f"(sum by (good) ({buy}) - sum by (good) ({sell})) "
                f"/ clamp_min(sum by (good) (swarm_unfilled_lots{{{GOOD}}}), 1)",
                "{{good}}",
            ),
            width=8,
            decimals=0,
            bottom=-1,
            top=1,
        ),
    ]


def _wealth() -> list[Any]:
    # Left open, since each panel adds the statistic that it shows. Cents become pebbles, as people count.
    wealth = f"swarm_wealth_cents{{{MIND}"
    return [
        lines(
            "Mean wealth by mind",
            "Cash and stock at reference prices, in pebbles of 100 cents: the mean of the traders of each mind.",
            "locale",
            Query(f'{wealth},stat="mean"}} / 100', "{{mind}}"),
            width=10,
            decimals=0,
            axis="pebbles",
            bottom=None,
        ),
        bars(
            "Wealth of the middle trader",
            "The median of each mind's traders after the last round, in pebbles.",
            "suffix:pebbles",
            Query(f'{wealth},stat="p50"}} / 100', "{{mind}}"),
            width=7,
            decimals=0,
        ),
        bars(
            # Two statistics of one metric: without `ignoring` their labels would not match.
            "Spread of wealth",
            "How many pebbles lie between the poorest and the richest tenth of each mind's traders.",
            "suffix:pebbles",
            Query(
                f'({wealth},stat="p90"}} - ignoring (stat) {wealth},stat="p10"}}) / 100',
                "{{mind}}",
            ),
            width=7,
            decimals=0,
        ),
        lines(
            "Inequality",
            "Gini coefficient of the wealth of all traders: 0 if all have the same, 1 if one has all.",
            "percentunit",
            Query(f"swarm_wealth_gini{{{RUN}}}", "Gini"),
            width=12,
            top=0.5,
        ),
        bars(
            "Traders by mind",
            "How many traders each mind decides for.",
            "short",
            Query(f"swarm_traders{{{MIND}}}", "{{mind}}"),
            width=12,
            decimals=0,
        ),
    ]
