"""Drives a real browser by its DevTools protocol: opens tabs, runs scripts in them, freezes and shoots them."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from websockets.sync.client import ClientConnection, connect

from tests.browser.chromium import ALWAYS, CHROMIUM
from tests.patience import patience

OPTIONS = (
    *ALWAYS,
    # Nothing but this machine can be reached, by whatever name.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)
POLL_S = 0.1


class Tab:
    """A tab of the browser."""

    def __init__(self, port: int, target: dict[str, Any]) -> None:
        self.id = str(target["id"])
        self._port = port
        self._open = ExitStack()
        reached = connect(target["webSocketDebuggerUrl"], max_size=None, ping_interval=None)
        self._socket: ClientConnection = self._open.enter_context(reached)
        self._number = 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol and returns its result; what the page complains of meanwhile is kept."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=patience(30)))
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        match event:
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": str(text)} as entry}}:
                self.complaints.append(f"{text} {entry.get('url', '')}")
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.complaints.append(str(details.get("exception", details)))

    def open(self, url: str) -> None:
        """Goes to an address."""
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Returns what an expression comes to; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 30) -> Any:
        """Waits until an expression is true, and returns it; TimeoutError names it."""
        end = time.monotonic() + patience(seconds)
        while time.monotonic() < end:
            try:
                if found := self.run(script):
                    return found
            except RuntimeError:
                # The page may not be there yet, or on its way to another.
                pass
            time.sleep(POLL_S)
        raise TimeoutError(f"{script} is not true; status {self.run('document.body.innerText.slice(0, 400)')!r}")

    def size(self, width: int, height: int, dark: bool = False) -> None:
        """Has the page be of a size, and the system be light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def shoot(self, path: Path, kind: str = "png", whole: bool = True) -> None:
        """Writes a picture of the page."""
        shot = self.call(
            "Page.captureScreenshot",
            format=kind,
            captureBeyondViewport=whole,
            **({"quality": 82} if kind == "jpeg" else {}),
        )
        path.write_bytes(base64.b64decode(shot["data"]))

    def freeze(self, frozen: bool = True) -> None:
        """Freezes the tab, as a browser does with one that is not looked at, or wakes it."""
        self.call("Page.setWebLifecycleState", state="frozen" if frozen else "active")

    def kill(self) -> None:
        """Ends the tab without a word to the page."""
        self._open.close()
        urlopen(f"http://127.0.0.1:{self._port}/json/close/{self.id}", timeout=patience(20)).read()


class Browser:
    """A browser with a profile of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    def tab(self) -> Tab:
        """Opens a tab."""
        asked = Request(f"http://127.0.0.1:{self.port}/json/new?about:blank", method="PUT")
        with urlopen(asked, timeout=patience(30)) as answer:
            return Tab(self.port, json.load(answer))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Runs a browser while the block runs."""
    assert CHROMIUM
    process = subprocess.Popen([CHROMIUM, *OPTIONS, f"--user-data-dir={profile}"], stderr=subprocess.DEVNULL)
    try:
        found, end = profile / "DevToolsActivePort", time.monotonic() + patience(60)
        while not found.exists() or not found.read_text():
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError("the browser did not start")
            time.sleep(POLL_S)
        yield Browser(int(found.read_text().split()[0]))
    finally:
        process.terminate()
        process.wait(patience(30))
