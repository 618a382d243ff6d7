"""The section on a supply chain: costs and fill beside plan and bound, orders, news, stock-outs and worst nodes."""

from typing import Any

import altair as alt
import polars as pl

from swarm.report import aggregates, charts
from swarm.report.charts import Panel, Spec
from swarm.report.parts import PANELS, Figure, Key, SectionPlugin, Table
from swarm.report.wording import count
from swarm.simulation.record import RunRecord

MOST_LINES = 50
"""Lines of news that are shown."""

COSTS = ("total", "holding", "transit", "backlog", "expedite")


def supply(record: RunRecord) -> tuple[Figure | Table, ...]:
    """Returns the tables and figures of a supply chain; nothing of another scenario."""
    found: dict[str, Any] | None = record.summary.get("supply")
    if not found or "supply" not in record.tables:
        return ()
    parts: list[Figure | Table] = [_costs(found), _orders(record)]
    if found["news"]:
        parts.append(_news(found["news"]))
    return (*parts, _stockouts(found["stockouts"]), _worst(record, dict(found["worst_nodes"])))


def _costs(found: dict[str, Any]) -> Table:
    """Returns total, parts and fill together, since each alone says nothing."""
    rows = [("this run", *_money(found["cents_a_round"]), f"{found['fill']:.3f}" if found["fill"] is not None else "")]
    if alone := found["plan_alone"]:
        rows.append(("its plan alone, nobody departing", *_money(alone), f"{alone['fill']:.3f}"))
    if bound := found["bound_cents_a_round"]:
        rows.append(("proven bound", f"{bound / 100:,.0f}", *[""] * len(COSTS)))
    # What should not be stands only where it is.
    told = [
        f"{count(number)} {what}"
        for number, what in (
            (found["doubled_orders"], "orders came twice for one node and round, and counted once"),
            (found["unpaid_cents"], "cents could not be paid"),
            (found["owed_at_start_units"], "units were owed to customers when the run began"),
        )
        if number
    ]
    caption = (
        "Pebbles of 100 cents a round; fill is the share of demand that is served in the round of asking. The bound "
        "holds for demand that does not change. What another plan would come to, a fork tells: swarm fork RUN "
        "--at-round N --set scenario.plan.rule=smoothing."
    )
    head = ("", "total", "holding", "under way", "backlog", "expediting", "fill")
    return Table(
        "What it cost", " ".join([caption, *(f"{one[0].upper()}{one[1:]}." for one in told)]), head, tuple(rows)
    )


def _money(cents: dict[str, float]) -> list[str]:
    return [f"{cents[name] / 100:,.0f}" for name in COSTS]


def _orders(record: RunRecord) -> Figure:
    """Returns orders against demand, a panel for each tier."""
    frame, last = record.tables["supply"], record.summary["rounds"]
    demand = frame.group_by("round", maintain_order=True).agg(pl.col("demand_units").sum().alias("demand"))
    joined = frame.select("round", "tier", pl.col("ordered_units").alias("ordered")).join(demand, on="round")
    tiers = joined["tier"].unique(maintain_order=True).to_list()[:PANELS]
    panels = tuple(
        Panel(
            tier, 140, _orders_chart(last), {"rows": aggregates.rows(joined.filter(pl.col("tier") == tier), *_COLUMNS)}
        )
        for tier in tiers
    )
    keys = (Key("orders of the tier", charts.FIRST), Key("customers' demand", charts.MUTED))
    caption = "Orders that swing more from tier to tier than customers' demand does are the bullwhip."
    return Figure("Orders against demand, tier by tier", caption, panels, keys, "grid")


_COLUMNS = ("round", "ordered", "demand")


def _orders_chart(last: int) -> Spec:
    """Returns two lines over rounds, from `rows` with `ordered` and `demand`."""
    base = charts.named("rows").encode(x=charts.round_axis(last))
    axis = charts.amount_axis("ordered", "units per round", ",~r")
    tooltip = charts.point_tooltip(("ordered", "ordered", ",.4~r"), ("demand", "demand", ",.4~r"))
    return charts.spec(
        *charts.backdrop(last),
        base.mark_line(color=charts.MUTED, strokeWidth=1.4, clip=True).encode(y=alt.Y("demand:Q")),
        base.mark_line(color=charts.FIRST, strokeWidth=1.8, clip=True).encode(y=axis, tooltip=tooltip),
        height=140,
    )


def _news(lines: list[dict[str, Any]]) -> Table:
    rows = tuple(
        (
            str(line["round"]),
            line["text"],
            count(line["concerned"]),
            count(line["departed"]),
            *(_signed(line[key]) for key in ("worth_cents_a_round", "worth_backlog_cents_a_round")),
            in_words(line),
        )
        for line in lines[:MOST_LINES]
    )
    more = f" {count(len(lines) - MOST_LINES)} more lines stand in the summary." if len(lines) > MOST_LINES else ""
    caption = (
        "The worth is what each round would have cost more, in pebbles, if those whom a line concerns had followed "
        "their plans in its round, with the same customers and all else as it was, and the column beside it the part "
        "of it that is customers' waiting. It is found by playing the run again, at auction with the prices that come "
        "of it; it is not told of a run that was forked or that others had a hand in, nor of more than a minute allows."
    ) + more
    head = ("round", "news", "concerned", "departed", "worth", "of it waiting", "in words")
    return Table("The news", caption, head, rows, words=(1, 6))


def _signed(cents: float | None) -> str:
    return "" if cents is None else f"{cents / 100:+,.1f}"


def in_words(line: dict[str, Any]) -> str:
    """Returns what following a line of news came to, in a sentence; why it did harm where it did."""
    worth, waiting = line["worth_cents_a_round"], line["worth_backlog_cents_a_round"]
    true = "It came true" if line["came_true"] else "It did not come true"
    if not line["departed"]:
        return f"{true}. Nobody departed from the plan."
    if worth is None:
        return f"{true}. What that was worth cannot be told of this run."
    # Worth is waiting that was saved, less what more in store and on the road has cost.
    more, saved = (waiting - worth) / 100, waiting / 100
    stored = f"{abs(more):,.1f} {'more' if more >= 0 else 'less'} for store and transport"
    waited = f"{abs(saved):,.1f} {'less' if saved >= 0 else 'more'} for waiting"
    if worth >= 0:
        return f"{true}. It paid: {stored}, {waited}."
    reason = "more was stored than the waiting that it saved" if more >= 0 else "too little was left in store"
    if not line["came_true"]:
        reason = "it was followed, and demand stayed as it was"
    return f"{true}. It did harm: {stored}, {waited}; {reason}."


def _stockouts(by_tier: dict[str, dict[str, int]]) -> Table:
    rows = tuple(
        (tier, count(own["demand"]), count(own["supplier"]), count(own["own_order"])) for tier, own in by_tier.items()
    )
    caption = (
        "Rounds in which a node owed somebody, by cause: demand beyond its level, a supplier that owed it, or its own "
        "choice to have less."
    )
    return Table("Stock-outs", caption, ("tier", "demand", "supplier", "own order"), rows)


def _worst(record: RunRecord, names: dict[int, str]) -> Table:
    """Returns the nodes that cost most; `names` are theirs by number."""
    # Sums of the whole run stand in the last round that is kept.
    last = record.scan("traders").filter(pl.col("round") == pl.col("round").max()).collect()
    cents = pl.sum_horizontal(f"{name}_cents" for name in COSTS[1:])
    served = pl.col("served_at_once_units") / pl.col("demand_units")
    named = last.filter(pl.col("trader").is_in(list(names)))
    worst = named.with_columns(cents.alias("cost"), served.alias("fill")).sort(-pl.col("cost"), "trader")
    rows = tuple(
        (
            names[node["trader"]],
            node["kind"],
            node["mind"],
            f"{node['cost'] / 100:,.0f}",
            f"{node['holding_cents'] / 100:,.0f}",
            f"{node['backlog_cents'] / 100:,.0f}",
            f"{node['fill']:.3f}" if node["demand_units"] else "",
        )
        for node in worst.to_dicts()
    )
    head = ("node", "tier", "mind", "cost", "holding", "backlog", "fill")
    return Table(f"The {len(rows)} nodes that cost most", "Pebbles over the whole run.", head, rows, words=(0, 1, 2))


SECTION = SectionPlugin("supply", "Supply chain", supply)
