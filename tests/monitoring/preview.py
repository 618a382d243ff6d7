"""Pictures of the dashboards over a real run, drawn in Chromium by Grafana's own panel components.

`make dashboards-preview` builds the viewer that it needs and calls it; a person looks at the pictures.
"""

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.parse
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from swarm.monitoring import dashboards
from tests.monitoring.stage import Stage, played
from tests.patience import patience

WIDTH_PX = 1_600
TOP_PX, ROW_PX = 84, 38
SCRAPE_S = 1
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Quiet(SimpleHTTPRequestHandler):
    """A folder over HTTP, without a line for each request."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def chromium(browser: str, url: str, height_px: int, *options: str) -> str:
    """Open a page until its queries are answered; what the browser prints."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command += [f"--window-size={WIDTH_PX},{height_px}", "--virtual-time-budget=20000"]
        command += [f"--user-data-dir={profile}", *options, url]
        return subprocess.run(command, capture_output=True, text=True, timeout=patience(180), check=True).stdout


def drawn(page: str) -> dict[str, object]:
    """What the viewer says of its panels, by attribute."""
    body = re.search(r"<body[^>]*>", page)
    found = dict(re.findall(r'data-(\w+)="([^"]*)"', body[0] if body else ""))
    return {key: html.unescape(value) for key, value in found.items()}


def render(stage: Stage, browser: str, site: Path, folder: Path) -> list[str]:
    """Draw every dashboard into `folder`, and give what went wrong."""
    problems = []
    # Ray takes a while to start, which is no part of the picture.
    first_s = int(stage.query("swarm_run_info", 1)[0]["values"][0][0])
    for path in dashboards.FOLDER.glob("*.json"):
        shutil.copy(path, site)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, dashboard in dashboards.committed().items():
            span = {"from": first_s * 1_000, "to": int(stage.end_s) * 1_000}
            query = {"dashboard": name, "prometheus": stage.url, **span, "scrape_s": SCRAPE_S}
            url = f"http://127.0.0.1:{server.server_port}/index.html?{urllib.parse.urlencode(query)}"
            rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"])
            height_px = TOP_PX + ROW_PX * rows + 8
            picture = folder / f"{name}.png"
            chromium(browser, url, height_px, f"--screenshot={picture}")
            state = drawn(chromium(browser, url, height_px, "--dump-dom"))
            of = str(state.get("drawn", "0/?"))
            print(f"{picture}: {of} panels drawn, without data: {state.get('empty', '[]')}")
            if len(set(of.split("/"))) != 1 or json.loads(str(state.get("failed", "[]"))):
                problems.append(f"{name}: {of} drawn, failed: {state.get('failed')}")
        server.shutdown()
    return problems


def main() -> None:
    """The command of the make target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, required=True, help="the folder that has the built viewer")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the pictures")
    parser.add_argument("--prometheus", type=Path, required=True, help="the program")
    parser.add_argument("--rounds", type=int, default=120, help="how long a run to show")
    arguments = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("dashboards-preview: no Chromium on the PATH: install one, say `apt-get install chromium`")
    if not arguments.prometheus.is_file():
        sys.exit(f"dashboards-preview: {arguments.prometheus}: no Prometheus there; `make prometheus` says why")
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(f"Running {arguments.rounds} rounds on Ray under Prometheus: some minutes")
    with played(arguments.prometheus, f"rounds={arguments.rounds}") as stage:
        problems = render(stage, browser, arguments.site, arguments.out)
    if problems:
        sys.exit("dashboards-preview: " + "; ".join(problems))


if __name__ == "__main__":
    main()
