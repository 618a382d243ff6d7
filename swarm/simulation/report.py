"""The report of a run."""

from swarm.simulation.record import RunRecord


def render(record: RunRecord) -> str:
    """The report as one HTML page."""
    return f"<h1>{record.summary['name']}</h1>"
