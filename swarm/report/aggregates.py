"""Makes a run's tables small enough for a page: some hundreds of points per chart, whatever the run's size.

Everything here is a small polars frame in display units: prices and wealth in pebbles of 100 cents, moods from
0 to 100. It knows nothing of charts or HTML.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from swarm.market.quality import gini
from swarm.simulation.long_tables import columns
from swarm.simulation.record import RunRecord

POINTS = 240
"""Most points that a line over rounds has."""

PANEL_POINTS = 6_000
"""Most points of all lines of a figure together."""

SAMPLED_TRADERS = 1_500
"""Most traders that are shown as a dot each."""

CENTS = 100

ROWS_AT_ONCE = 250_000
"""About how many rows of a table are taken at once where a figure needs whole rows of it."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The scale of a figure over rounds: `rounds` in all, of which each point stands for `size`."""

    rounds: int
    size: int

    def last(self) -> pl.Expr:
        """Returns the last round that a row's point stands for."""
        # Rounds count from 1, so the k-th point ends with round k x size; the last one may be shorter.
        ends = ((pl.col("round") + self.size - 1) // self.size) * self.size
        return ends.clip(upper_bound=self.rounds).alias("round")

    def bounds(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Adds where a bar begins and ends on an axis of rounds, `from` and `to`."""
        start = ((pl.col("round") - 1) // self.size) * self.size
        return frame.with_columns((start + 0.5).alias("from"), (pl.col("round") + 0.5).alias("to"))

    def kept(self) -> pl.Expr:
        """Tells which rounds a line of states is drawn through: the opening, every k-th and the last."""
        return (pl.col("round") % self.size == 0) | (pl.col("round") == pl.col("round").max())


def pace(rounds: int, series: int = 1) -> Pace:
    """Returns a pace at which `series` lines over `rounds` rounds stay within the bounds of a figure."""
    # Below 40 points a line says nothing, however many lines share the figure.
    points = max(40, min(POINTS, PANEL_POINTS // max(1, series)))
    return Pace(rounds, max(1, -(-rounds // points)))


def prices(record: RunRecord) -> tuple[pl.DataFrame, Pace]:
    """Returns clearing price (mean by volume, null without trade), reference price and lots, per point and good."""
    at = pace(record.summary["rounds"], len(record.summary["goods"]))
    volume, tick = pl.col("volume_lots"), record.summary["tick_cents"] / CENTS
    frame = (
        record.tables["prices"]
        .group_by(at.last(), "good", maintain_order=True)
        .agg(
            # Weighted by lots: a round of one trade must not count as much as one of a hundred.
            pl.when(volume.sum() > 0)
            .then((pl.col("clearing_ticks") * volume).sum() / volume.sum() * tick)
            .round(2)
            .alias("clearing"),
            (pl.col("reference_ticks").mean() * tick).round(2).alias("reference"),
            volume.mean().round(2).alias("volume"),
            pl.col("unfilled_buy_lots").mean().round(2).alias("demand"),
            pl.col("unfilled_sell_lots").mean().round(2).alias("supply"),
        )
    )
    return at.bounds(frame), at


def region_prices(record: RunRecord) -> pl.DataFrame:
    """Returns the reference price per kept round, region and good."""
    summary = record.summary
    at = pace(summary["rounds"], len(summary["goods"]) * len(summary["regions"]["names"]))
    found = record.tables["regions"].filter(at.kept())
    tick = summary["tick_cents"] / CENTS
    return found.select("round", "region", "good", (pl.col("reference_ticks") * tick).round(2).alias("reference"))


def dispersion(record: RunRecord) -> pl.DataFrame:
    """Returns how far regions' prices lie apart, per kept round and good: `percent` of their mean, one deviation."""
    at = pace(record.summary["rounds"], len(record.summary["goods"]))
    # The dispersion is the same in the rows of all regions, so one row of each round and good is enough.
    first = record.tables["regions"].unique(["round", "good"], maintain_order=True).filter(at.kept())
    return first.select("round", "good", (pl.col("price_dispersion_permille") / 10).alias("percent"))


def traffic(record: RunRecord) -> pl.DataFrame:
    """Returns per asset what left by road, arrived, is under way after the last round, and what tolls took."""
    return (
        record.tables["road"]
        .group_by("asset", maintain_order=True)
        .agg(pl.col("left").sum(), pl.col("arrived").sum(), pl.col("under_way").last(), pl.col("toll").sum())
    )


def stacked(frame: pl.DataFrame, value: str, over: Sequence[str]) -> pl.DataFrame:
    """Adds the lower and upper end of each row's bar, `y0` and `y1`, stacked within the groups of `over`."""
    # Rounded, since a bar's end and the next one's beginning must be the same number, and the page small.
    top = pl.col(value).cum_sum().over(over)
    return frame.with_columns((top - pl.col(value)).round(6).alias("y0"), top.round(6).alias("y1"))


def seasons(record: RunRecord) -> pl.DataFrame:
    """Returns each unbroken stretch of a season: `season`, `first`, `last`."""
    rounds = record.tables["rounds"]
    # One season alone has no border to draw.
    if rounds.is_empty() or rounds["season"].n_unique() < 2:
        return pl.DataFrame()
    return (
        rounds.with_columns(pl.col("season").rle_id().alias("stretch"))
        .group_by("stretch", "season", maintain_order=True)
        .agg(pl.col("round").min().alias("first"), pl.col("round").max().alias("last"))
        .drop("stretch")
    )


def spread(record: RunRecord, column: str, divisor: int, by: tuple[str, ...] = ()) -> pl.DataFrame:
    """Returns per kept round (and `by`) `low`, `median` and `high`: 10%, 50% and 90% of traders lie below them."""
    at = pace(record.summary["rounds"], max(1, len(record.summary["kinds"])) if by else 1)
    value = pl.col(column) / divisor
    # Who has borrowed may own less than nothing; in any other column a negative number is one that nobody knows.
    known = pl.lit(True) if column == "wealth_cents" else pl.col(column) >= 0
    return (
        record.scan("traders")
        .filter(at.kept() & known)
        .group_by("round", *by)
        .agg(
            value.quantile(0.1, "linear").round(2).alias("low"),
            value.median().round(2).alias("median"),
            value.quantile(0.9, "linear").round(2).alias("high"),
        )
        .sort("round", *by)
        .collect()
    )


def wealth_gini(record: RunRecord) -> pl.DataFrame:
    """Returns the Gini coefficient of wealth in each kept round."""
    kept = record.scan("traders").filter(pace(record.summary["rounds"]).kept())
    rounds = kept.select("round", "wealth_cents").collect().partition_by("round", as_dict=True, maintain_order=True)
    found = [(round_, round(gini(rows["wealth_cents"].to_numpy()), 5)) for (round_,), rows in rounds.items()]
    return pl.DataFrame(found, schema={"round": pl.Int64, "gini": pl.Float64}, orient="row").sort("round")


def has_mood(record: RunRecord) -> bool:
    """Tells whether the scenario keeps moods at all."""
    traders = record.scan("traders")
    if "mood_permille" not in traders.collect_schema():
        return False
    return bool(traders.select((pl.col("mood_permille") >= 0).any()).collect().item())


def traded_value(record: RunRecord, by: str) -> pl.DataFrame:
    """Returns the value in pebbles of what each `seller` sold to each `buyer`; `by` is `kind` or `mind`."""
    ticks = (pl.col("price_ticks") * pl.col("quantity_lots")).sum()
    return (
        record.scan("trades")
        .group_by(pl.col(f"seller_{by}").alias("seller"), pl.col(f"buyer_{by}").alias("buyer"))
        .agg((ticks * record.summary["tick_cents"] / CENTS).alias("value"), pl.len().alias("trades"))
        .sort("seller", "buyer")
        .collect(engine="streaming")
    )


USED_UP = (
    "Goods that were eaten, burnt or spoilt are no loss: they count at the prices of their rounds, less what the "
    "trader made of the same good meanwhile."
)
"""What profits say of goods that nobody has any more; the tables alone cannot tell what was made from what was used."""


def profits(record: RunRecord) -> pl.DataFrame:
    """Returns a row per trader and mind that decided for it: kind, mind, `until` which round, `profit` in pebbles.

    A mind's profit is what wealth grew by in the rounds in which it decided, goods that were used up included, as
    `USED_UP` says. Where traders come and go, only those count who never left: whoever comes back begins anew.
    """
    if (found := record.made.get("profits")) is not None:
        return found
    # As many traders at a time as have so many rows, since sorting and joining takes several times a table's space.
    rows, last = record.scan("traders").select(pl.len(), pl.col("trader").max().alias("last")).collect().row(0)
    end = record.summary["population"]["stayed"] if record.summary.get("population") else last + 1
    at_once = max(1, end * ROWS_AT_ONCE // rows)
    parts = [_profits(record, first, min(first + at_once, end)) for first in range(0, end, at_once)]
    record.made["profits"] = pl.concat(parts).sort("trader", "mind")
    return record.made["profits"]


def _profits(record: RunRecord, first: int, end: int) -> pl.DataFrame:
    """Returns the profits of traders `first` to before `end`."""
    goods = [f"{good}_lots" for good in record.summary["goods"]]
    needed = ("round", "trader", "kind", "mind", "wealth_cents", *goods)
    own = record.scan("traders").filter(_between("trader", first, end))
    traders = own.select(set(own.collect_schema()) & {*needed}).collect().sort("trader", "round")
    used = _used_cents(record, traders, first, end)
    # A row of the table has the mind that held in the rounds that lead to it, and the opening has no such rounds.
    grown = (
        traders.with_columns(_change("wealth_cents").alias("grown"))
        .filter(pl.col("round") > 0)
        .join(used, on=["trader", "round"], how="left")
        .with_columns(profit=pl.col("grown") + pl.col("used").fill_null(0))
    )
    return grown.group_by("trader", "kind", "mind").agg(
        pl.col("round").max().alias("until"), pl.col("profit").sum() / CENTS
    )


def by_trader(profit: pl.DataFrame) -> pl.DataFrame:
    """Returns a row per trader of what `profits` has per mind; `mind` is the one that decided last."""
    last = pl.col("mind").sort_by("until").last()
    return profit.group_by("trader", "kind").agg(last, pl.col("profit").sum()).sort("trader")


def _between(column: str, first: int, end: int) -> pl.Expr:
    return pl.col(column).is_between(first, end, closed="left")


def _change(column: str) -> pl.Expr:
    """What a column of a table that is sorted by trader and round grew by since the trader's row before."""
    return pl.when(pl.col("trader") == pl.col("trader").shift()).then(pl.col(column).diff())


def _used_cents(record: RunRecord, traders: pl.DataFrame, first: int, end: int) -> pl.DataFrame:
    """Returns per trader from `first` and kept round the value of goods that it has used up since: eaten, say."""
    goods = [good for good in record.summary["goods"] if f"{good}_lots" in traders.columns]
    # Where nothing is traded, nothing is used up.
    if not goods:
        return traders.select("trader", "round", used=pl.lit(0.0)).clear()
    # A trade counts in the first round at or after it that the table has.
    kept = traders.select(pl.col("round").unique().sort()).with_columns(kept=pl.col("round"))
    needed = ("round", "good", "buyer", "seller", "quantity_lots")
    theirs = record.scan("trades").filter(_between("buyer", first, end) | _between("seller", first, end))
    trades = theirs.select(needed).collect().sort("round").join_asof(kept, on="round", strategy="forward")
    ticks = record.tables["prices"].group_by("round", "good").agg(pl.col("reference_ticks").mean())
    tick_cents = record.summary["tick_cents"]
    worth = pl.lit(0.0)
    joined = traders.select("trader", "round", *(_change(f"{good}_lots").alias(good) for good in goods))
    for good in goods:
        own = trades.filter(pl.col("good") == good)
        sides = [
            own.filter(_between(side, first, end)).select(
                pl.col(side).alias("trader"), pl.col("kept").alias("round"), pl.col("quantity_lots") * sign
            )
            for side, sign in (("buyer", 1), ("seller", -1))
        ]
        traded = pl.concat(sides).group_by("trader", "round").agg(pl.col("quantity_lots").sum().alias(f"{good} traded"))
        price = ticks.filter(pl.col("good") == good).select("round", pl.col("reference_ticks").alias(f"{good} ticks"))
        joined = joined.join(traded, on=["trader", "round"], how="left").join(price, on="round", how="left")
        # What it made of the same good may outweigh what it used up; then nothing of it is counted.
        used = (pl.col(f"{good} traded").fill_null(0) - pl.col(good)).clip(lower_bound=0)
        worth += (used * pl.col(f"{good} ticks") * tick_cents).fill_null(0)
    return joined.select("trader", "round", worth.alias("used"))


def boxes(profit: pl.DataFrame, by: str) -> pl.DataFrame:
    """Returns each group's quantiles of profit, the best median first: `low`, `q1`, `median`, `q3` and `high`."""
    value = pl.col("profit")
    shares = {"low": 0.1, "q1": 0.25, "median": 0.5, "q3": 0.75, "high": 0.9}
    return (
        profit.group_by(pl.col(by).alias("group"))
        .agg(
            pl.len().alias("traders"),
            value.mean().round(2).alias("mean"),
            *(value.quantile(share, "linear").round(2).alias(name) for name, share in shares.items()),
        )
        .sort(["median", "group"], descending=[True, False])
    )


def dots(profit: pl.DataFrame, by: str) -> pl.DataFrame:
    """Returns a dot per trader, or per every k-th of them; `jitter` from 0 to 1 keeps them from lying on each other."""
    shown = profit.gather_every(max(1, -(-profit.height // SAMPLED_TRADERS)))
    # Multiples of the golden ratio's fraction are spread evenly, whatever the number of traders.
    jitter = (pl.int_range(pl.len()) * 0.618034 % 1).round(3)
    return shown.select(pl.col(by).alias("group"), "kind", "mind", "trader", pl.col("profit").round(2), jitter=jitter)


def errors_by_mind(record: RunRecord) -> dict[str, dict[str, int]]:
    """Returns decision errors as {mind: {kind of error: count}}; late turns are not in the table and so not here."""
    decisions = columns(record.tables, "decisions", "mind", "error")
    if decisions.is_empty():
        return {}
    found = decisions.filter(pl.col("error") != "").group_by("mind", "error").len().sort("mind", "error")
    errors: dict[str, dict[str, int]] = {}
    for mind, error, count in found.iter_rows():
        errors.setdefault(mind, {})[error] = count
    return errors


def turns_by_mind(record: RunRecord) -> pl.DataFrame:
    """Returns turns, mean tokens, the `most` tokens of a turn, and latency in s, of each mind that was prompted."""
    decisions = columns(record.tables, "decisions", "mind", "prompt_tokens", "completion_tokens", "latency_s")
    if decisions.is_empty():
        return pl.DataFrame()
    return (
        decisions.group_by("mind")
        .agg(
            pl.len().alias("turns"),
            pl.col("prompt_tokens").mean().round(1).alias("prompt"),
            pl.col("completion_tokens").mean().round(1).alias("completion"),
            (pl.col("prompt_tokens") + pl.col("completion_tokens")).max().alias("most"),
            pl.col("latency_s").quantile(0.5, "linear").alias("p50"),
            pl.col("latency_s").quantile(0.95, "linear").alias("p95"),
        )
        .sort("mind")
    )


def traces(record: RunRecord, turns: int) -> list[list[dict[str, Any]]]:
    """Returns the steps of the last turns at desks, the newest round first, and in each round desks in turn."""
    steps = record.tables.get("steps")
    if steps is None or steps.is_empty():
        return []
    # Every desk shows its first turn of a round before any shows its second.
    nth = pl.int_range(pl.len()).over("round", "desk").alias("nth")
    chosen = (
        steps.select("round", "desk", "trader")
        .unique(maintain_order=True)
        .with_columns(nth)
        .sort("round", "nth", "desk", descending=[True, False, False])
        .head(turns)
    )
    return [
        steps.filter((pl.col("round") == row["round"]) & (pl.col("trader") == row["trader"])).sort("step").to_dicts()
        for row in chosen.to_dicts()
    ]


def round_seconds(record: RunRecord) -> tuple[pl.DataFrame, Pace]:
    """Returns mean seconds per point and part of a round (`decide`, `clear`, `rest`)."""
    at = pace(record.summary["rounds"], 3)
    parts = {
        "decide": pl.col("decide_s"),
        "clear": pl.col("clear_s"),
        # Each is measured by itself, so the difference can fall a hair below 0.
        "rest": (pl.col("duration_s") - pl.col("decide_s") - pl.col("clear_s")).clip(lower_bound=0.0),
    }
    frame = (
        record.tables["rounds"]
        .group_by(at.last(), maintain_order=True)
        .agg(seconds.mean().alias(part) for part, seconds in parts.items())
        .unpivot(index="round", variable_name="part", value_name="seconds")
        .drop_nulls()
    )
    return at.bounds(frame), at


def rows(frame: pl.DataFrame, *columns: str) -> list[dict[str, Any]]:
    """Returns the frame as JSON-ready rows."""
    return (frame.select(columns) if columns else frame).to_dicts()
