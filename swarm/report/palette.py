"""Owns the colours of the project's pages, in light and in dark, as a style sheet."""

from functools import cache
from pathlib import Path

import jinja2

_SHEET = (
    '{% from "palette.css.jinja" import dark, light %}:root { {{ light() }} }\n'
    '@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) { {{ dark() }} } }\n'
    ':root[data-theme="dark"] { {{ dark() }} }\n'
)


@cache
def colours() -> str:
    """Returns the rules that set the colours, which follow the system unless the page's element says otherwise."""
    # Nothing of anybody's data is in it, so there is nothing to escape.
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.from_string(_SHEET).render()
