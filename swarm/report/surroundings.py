"""Makes what the page has beside its sections: data that all charts name, the list of shocks, and what was left out."""

from swarm.report import aggregates, charts, wording
from swarm.report.charts import Rows
from swarm.report.parts import PANELS
from swarm.report.wording import count
from swarm.simulation.record import RunRecord


def shared_data(record: RunRecord) -> dict[str, Rows]:
    """Returns the data sets that all charts may name."""
    summary = record.summary
    return {
        "shocks": charts.shock_marks(summary["shocks"], summary["rounds"]),
        "seasons": charts.season_marks(aggregates.seasons(record).to_dicts()),
        "zero": [{"zero": 0}],
    }


def shock_list(summary: wording.Summary) -> list[tuple[int, str, str]]:
    """Returns (number, title, good and rounds in words) of each shock."""
    listed = []
    for number, shock in enumerate(summary["shocks"], start=1):
        first, last = shock["first_round"], shock["last_round"]
        when = f"rounds {count(first)} to {count(last)}" if last > first else f"round {count(first)}"
        reached = "" if first <= summary["rounds"] else ", not reached"
        listed.append((number, shock["title"], f"{shock['good']}, {when}{reached}"))
    return listed


def thinned(record: RunRecord) -> list[str]:
    """Returns what the page shows less of than the tables hold, in sentences."""
    summary, said = record.summary, []
    size = aggregates.pace(summary["rounds"], len(summary["goods"])).size
    if size > 1:
        said.append(
            f"To keep the page small, each point or bar of prices and volumes stands for {count(size)} rounds: prices "
            "are means by volume, lots are means per round. Lines of wealth and mood go through some of the rounds."
        )
    if (every := summary.get("traders_table_every_rounds", 1)) > 1:
        said.append(f"Wealth and mood were kept every {count(every)} rounds and at the end.")
    if summary["traders"] > aggregates.SAMPLED_TRADERS:
        # Every k-th trader is shown, with k rounded up so that at most SAMPLED_TRADERS are.
        shown = -(-summary["traders"] // -(-summary["traders"] // aggregates.SAMPLED_TRADERS))
        said.append(
            f"The dots of profits are {count(shown)} of {count(summary['traders'])} traders; boxes and tables are made "
            "from all."
        )
    for noun, names in (("goods", summary["goods"]), ("kinds", summary["kinds"])):
        if len(names) > PANELS:
            said.append(f"Panels of their own have the first {PANELS} of {count(len(names))} {noun}.")
    return said
