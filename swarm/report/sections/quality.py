"""The section on market quality: the measures that economists judge markets by."""

from swarm.report.parts import PANELS, SectionPlugin, Table
from swarm.report.wording import count, plain
from swarm.simulation.measures import MEANINGS
from swarm.simulation.record import RunRecord


def market_quality(record: RunRecord) -> tuple[Table, ...]:
    """Returns a table of the measures that economists judge markets by, for the market and each good."""
    summary = record.summary
    goods = summary["goods"][:PANELS]

    def shown(value: float | None) -> str:
        if value is None:
            return "cannot be told"
        return count(value) if isinstance(value, int) else f"{value:.3f}"

    rows, lacking = [], []
    for name, found in summary["quality"].items():
        by_good = found.get("by_good")
        if found["market"] is None and not any(value is not None for value in (by_good or {}).values()):
            lacking.append(plain(name))
            continue
        # Some measures are the market's alone, and leave the goods' cells empty.
        of_goods = [shown(by_good.get(good)) if by_good is not None else "" for good in goods]
        rows.append((plain(name), shown(found["market"]), *of_goods, MEANINGS[name]))
    untold = f" Not to be told of this run: {', '.join(lacking)}." if lacking else ""
    return (
        Table(
            "Measures of the market",
            "Of the whole run; for the market, the mean of its goods by volume. Few returns have no tail that can be "
            "told, and gains from trade are known where the scenario says what each trade is worth."
            f"{untold}",
            ("measure", "market", *goods, "what it says"),
            tuple(rows),
            words=(0, len(goods) + 2),
        ),
    )


SECTION = SectionPlugin("quality", "Market quality", market_quality, of_trades=True)
