"""The report of a run: one HTML file to look at, complete in itself, which asks no network for anything.

`aggregates` makes the tables small, `charts` says how a chart looks, `contents` which there are and how they are read,
`wording` puts the summary into words, and `page` lays it all out with `page.html.jinja`.
"""

from swarm.simulation.report.page import render

__all__ = ["render"]
