"""How long a browser takes to the first paint of a page, by its own clock; driven over its DevTools protocol."""

import importlib.util
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MOST_S = 60.0
POLL_S = 0.05
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def lacking() -> str:
    """Returns what is missing to measure a paint; empty where nothing is."""
    if CHROMIUM is None:
        return "not measured: no Chromium on the PATH"
    return "" if importlib.util.find_spec("websockets") else "not measured: websockets is not installed"


def first_paint_s(url: str) -> float:
    """Returns the seconds from the call of an address to its first content, in a browser that never saw it before."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, _browser(Path(profile)) as port:
        asked = Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
        with urlopen(asked, timeout=MOST_S) as answer:  # noqa: S310 - the browser that was begun here
            tab = json.load(answer)
        return _painted(tab["webSocketDebuggerUrl"], url) / 1_000


def _painted(reached_at: str, url: str) -> float:
    # Imported here: it comes with a server of ours, and no run needs it.
    from websockets.sync.client import connect

    end = time.monotonic() + MOST_S
    with connect(reached_at, max_size=None) as socket:

        def call(number: int, method: str, **parameters: Any) -> dict[str, Any]:
            socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
            while (said := json.loads(socket.recv(timeout=MOST_S))).get("id") != number:
                pass
            found: dict[str, Any] = said.get("result", {})
            return found

        call(1, "Page.navigate", url=url)
        number = 1
        while time.monotonic() < end:
            number += 1
            found = call(number, "Runtime.evaluate", expression=PAINTED, returnByValue=True)
            if at := float(found.get("result", {}).get("value") or 0):
                return at
            time.sleep(POLL_S)
    raise TimeoutError(f"{url}: nothing was painted within {MOST_S:.0f} s")


@contextmanager
def _browser(profile: Path) -> Iterator[int]:
    """Yields the port of a browser with a profile of its own, which has kept nothing."""
    command = [str(CHROMIUM), *OPTIONS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        found, end = profile / "DevToolsActivePort", time.monotonic() + MOST_S
        while not (found.exists() and found.read_text()):
            if time.monotonic() > end or process.poll() is not None:
                raise TimeoutError("the browser did not start")
            time.sleep(POLL_S)
        yield int(found.read_text().split()[0])
    finally:
        process.terminate()
        process.wait(MOST_S)
