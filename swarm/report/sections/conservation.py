"""The section on conservation: where every cent and lot came from and went."""

from typing import Any

from swarm.report import wording
from swarm.report.parts import SectionPlugin, Table
from swarm.report.wording import count
from swarm.simulation.record import RunRecord


def conservation(record: RunRecord) -> tuple[Table, ...]:
    """Returns a table of where every cent and lot came from and went."""
    # By asset: cents for cash, lots for a good.
    flows: dict[str, dict[str, Any]] = record.summary["conservation"]
    rows = tuple(
        (
            f"{asset} ({'cents' if asset == 'cash' else 'lots'})",
            count(flow["start"]),
            count(flow["issued"]),
            wording.listed(flow["in_other_accounts"]),
            count(flow["end"]),
            count(flow["unexplained"]) if flow["unexplained"] else "0, adds up",
        )
        for asset, flow in flows.items()
    )
    return (
        Table(
            "Where everything went",
            "What traders had at the start and were issued since, less what lies in other accounts, must be what they "
            "have at the end, to the cent and lot.",
            ("asset", "start", "issued", "in other accounts", "end", "unexplained"),
            rows,
            (0, 3),
        ),
    )


SECTION = SectionPlugin("conservation", "Conservation", conservation, without_rounds=True)
