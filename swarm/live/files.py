"""Owns the page's files: read once, with the colours of the report's family put into the style sheet."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from swarm.report.palette import colours

PAGE = Path(__file__).parent / "page"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@cache
def files() -> Mapping[str, tuple[str, bytes]]:
    """Returns the kind and the content of each file by the path that it is asked for by."""
    found: dict[str, tuple[str, bytes]] = {}
    for path in sorted(PAGE.iterdir()):
        content = path.read_text(encoding="utf-8")
        if path.suffix == ".css":
            # The page has no style of its own for colours: they are the report's, in light and in dark.
            content = f"{colours()}\n{content}"
        found["/" if path.name == "index.html" else f"/{path.name}"] = _KINDS[path.suffix], content.encode()
    return found
