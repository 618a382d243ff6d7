"""Lays a report, of a run or of several, out as one HTML text.

Jinja escapes all text from data; `as_json` escapes what the page's script reads.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup, escape

from swarm.report import charts, deciders, sections, surroundings, wording
from swarm.report.parts import Figure, Section
from swarm.report.tiles import tiles
from swarm.simulation.record import RunRecord

# Of the three names that such a snippet may use, vl-convert 1.9 leaves `vega` and `vegaLite` null in the bundle.
SCRIPT = "window.vegaEmbed=vegaEmbed;"


def render(record: RunRecord) -> str:
    """Returns the report of a finished or interrupted run as the text of one self-contained HTML file."""
    summary = record.summary
    return laid_out(
        "page.html.jinja",
        sections.shown(record),
        surroundings.shared_data(record),
        summary=summary,
        wording=wording,
        deciders=deciders,
        model_tag=deciders.model_tag(summary),
        tiles=tiles(summary),
        shocks=surroundings.shock_list(summary),
        thinned=surroundings.thinned(record),
    )


def laid_out(of: str, found: Sequence[Section], shared: Mapping[str, charts.Rows], **values: Any) -> str:
    """Returns a page of sections by the template `of`, whose values these are; charts may name what is `shared`."""
    panels = [panel for section in found for part in section.parts if isinstance(part, Figure) for panel in part.panels]
    drawn = {
        "config": charts.CONFIG,
        "shared": shared,
        # In the order of the page's panels, by which its script finds them.
        "specs": [{**panel.spec, "datasets": panel.data} for panel in panels],
    }
    return template(of).render(
        sections=found,
        vega=Markup(vega_script()),  # noqa: S704 - a library's code, made fit for a script element
        charts=as_json(drawn),
        **values,
    )


@cache
def vega_script() -> str:
    """Returns Vega, Vega-Lite and Vega-Embed as one script, which is kept since it takes a second to bundle."""
    return str(vl_convert.javascript_bundle(SCRIPT)).replace("</script", "<\\/script")


@cache
def template(name: str) -> jinja2.Template:
    """Returns the template of a page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        # A misspelt name fails here instead of leaving a hole in the page.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["coded"] = coded
    return environment.get_template(name)


def coded(text: str) -> Markup:
    """Returns a sentence for the page, in which what stands between backticks is shown as code."""
    # Escaped first, so that text from data is never more than text.
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def as_json(value: Any) -> Markup:
    """Returns JSON for a script element, without any character that could end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped just above, in the way that JSON in a script needs
