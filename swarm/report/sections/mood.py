"""The section on moods: how traders fare by the scenario's own reckoning, of everybody and by kind."""

from swarm.report import aggregates
from swarm.report.charts import Panel
from swarm.report.parts import Figure, SectionPlugin
from swarm.report.sections.spreads import SPREAD_KEYS, by_kind, spread_over_rounds_chart
from swarm.simulation.record import RunRecord


def mood(record: RunRecord) -> tuple[Figure, ...]:
    """Returns figures of moods of everybody and by kind; none where the scenario keeps no moods."""
    if not aggregates.has_mood(record):
        return ()
    last = record.summary["rounds"]
    title, pattern = "mood (0 to 100)", ",.3~r"
    # From permille to 0 .. 100, as the axis says.
    everyone = aggregates.rows(aggregates.spread(record, "mood_permille", 10))
    spec = spread_over_rounds_chart(last, title, pattern, height=200)
    return (
        Figure(
            "Mood of everybody",
            "How well traders fare by the scenario's own reckoning, from 0 to 100; half of them are above the line.",
            (Panel("Mood", 200, spec, {"rows": everyone}),),
            SPREAD_KEYS,
        ),
        by_kind(record, "Mood by kind", "mood_permille", 10, title, pattern, everyone),
    )


SECTION = SectionPlugin("mood", "Mood", mood)
