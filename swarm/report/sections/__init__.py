"""The report's sections: one file each with one export named SECTION, in the order of ORDER; plug-ins add theirs."""

from swarm.plugins import Plugins
from swarm.report.parts import Section, SectionPlugin
from swarm.simulation.record import RunRecord

ORDER = (
    "contract",
    "supply",
    "fraud",
    "hands",
    "patron",
    "story",
    "regions",
    "prices",
    "volume",
    "wealth",
    "mood",
    "trade",
    "quality",
    "profit",
    "margin",
    "cases",
    "decisions",
    "councils",
    "cascades",
    "auctions",
    "desks",
    "cost",
    "conservation",
)
"""Sections from the top of the page; those that are not named stand behind them, by name."""

SECTIONS = Plugins("swarm.report.sections", "SECTION", "section", skip=("spreads",))


def plugins() -> list[SectionPlugin]:
    """Returns all sections at hand, in the order of the page."""
    ranks = {name: rank for rank, name in enumerate(ORDER)}
    names = sorted(SECTIONS.names(), key=lambda name: (ranks.get(name, len(ranks)), name))
    return [SECTIONS.find(name, "sections") for name in names]


def shown(record: RunRecord) -> list[Section]:
    """Returns the sections that have something to show of a run."""
    rounds, no_market = record.summary["rounds"], "figures" in record.summary and not record.summary["trades"]
    # Most sections need a settled round: their tables are empty before it.
    fit = [plugin for plugin in plugins() if rounds or plugin.without_rounds]
    built = [(plugin, plugin.build(record)) for plugin in fit if not (plugin.of_trades and no_market)]
    return [Section(plugin.name, plugin.title, parts) for plugin, parts in built if parts]
