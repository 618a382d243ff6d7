"""The report's sections: one file each in this folder, with one export named SECTION, shown in the order of ORDER."""

import importlib
import pkgutil
from collections.abc import Sequence

from swarm.report.parts import Section, SectionPlugin
from swarm.simulation.record import RunRecord

ORDER = (
    "regions",
    "prices",
    "volume",
    "wealth",
    "mood",
    "trade",
    "quality",
    "profit",
    "decisions",
    "desks",
    "cost",
    "conservation",
)
"""Files of sections from the top of the page; those that are not named stand behind them, by name."""

_NOT_SECTIONS = ("spreads",)


def plugins() -> list[SectionPlugin]:
    """Returns all sections at hand, in the order of the page."""
    names = {module.name for module in pkgutil.iter_modules(__path__)} - set(_NOT_SECTIONS)
    ordered = [name for name in ORDER if name in names] + sorted(names - set(ORDER))
    return [importlib.import_module(f"{__name__}.{name}").SECTION for name in ordered]


def shown(record: RunRecord, more: Sequence[SectionPlugin] = ()) -> list[Section]:
    """Returns the sections that have something to show of a run, `more` of them behind those at hand."""
    rounds = record.summary["rounds"]
    built = [(p, p.build(record)) for p in (*plugins(), *more) if rounds or p.without_rounds]
    return [Section(plugin.key, plugin.title, parts) for plugin, parts in built if parts]
