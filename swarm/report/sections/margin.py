"""What traders who may borrow came to: of the run and, where there are several markets, of each."""

from typing import Any

from swarm.report.parts import SectionPlugin, Table
from swarm.report.wording import count
from swarm.simulation.record import RunRecord


def margin(record: RunRecord) -> tuple[Table, ...]:
    """Returns a table with a row for the run and for each of its regions; nothing where nobody may borrow."""
    if not (of_run := record.summary.get("margin")):
        return ()
    regions: dict[str, dict[str, Any]] = (record.summary.get("regions") or {}).get("of", {})
    # The run first, then each of its markets, if there are several.
    rows = [("all regions" if regions else "the market", of_run)]
    rows += [(name, own["margin"]) for name, own in regions.items() if "margin" in own]
    return (
        Table(
            "What was borrowed",
            "Whose margin falls below the maintenance margin is called, then liquidated; what nobody pays back is "
            "written off. A traveller has a margin account in both of its markets, and counts once in all of them.",
            (
                "market",
                "traders called",
                "liquidated",
                "defaults",
                "interest in cents",
                "written off",
                "owed at the end",
            ),
            tuple(
                (
                    name,
                    count(own["called"]),
                    count(own["liquidated"]),
                    count(own["defaults"]),
                    count(own["interest_cents"]),
                    _amounts(own["written_off"]),
                    _amounts(own["owed"]),
                )
                for name, own in rows
            ),
            words=(0, 5, 6),
        ),
    )


def _amounts(by_asset: dict[str, int]) -> str:
    """`120 cents, 3 honey`, of the assets of which there is something."""
    told = [f"{count(n)} {'cents' if asset == 'cash' else asset}" for asset, n in by_asset.items() if n]
    return ", ".join(told) or "nothing"


SECTION = SectionPlugin("margin", "Loans", margin)
