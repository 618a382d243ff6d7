"""Fake endpoints in processes of their own, on free ports of this machine, each ended by its process."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

from swarm.llm.engines.openai.config import OpenAIModel
from tests.patience import patience

_SERVE = """
import json, sys
from swarm.llm.fake_faults import parse_faults
from swarm.llm.fake_model import serve_forever
options = json.loads(sys.argv[1])
options["faults"] = parse_faults(options.get("faults", ""))
serve_forever(port=0, ready=lambda url: print(url, flush=True), **options)
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running fake endpoint."""

    url: str
    process: "subprocess.Popen[str]"

    def end(self) -> None:
        """End it for good, in the middle of whatever it is doing."""
        self.process.kill()
        self.process.wait()

    def counts(self) -> dict[str, int]:
        """Distinct requests by fault."""
        with urlopen(f"{self.url.removesuffix('/v1')}/faults", timeout=patience(10)) as answer:
            counts: dict[str, int] = json.load(answer)
        return counts

    def model(self, **changes: Any) -> OpenAIModel:
        """A config entry for it."""
        return OpenAIModel.model_validate(
            {"name": "fake", "engine": "openai", "base_url": self.url, "model": "value", **changes}
        )


@contextmanager
def serving(options: dict[str, Any]) -> Iterator[Endpoint]:
    process = subprocess.Popen([sys.executable, "-c", _SERVE, json.dumps(options)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        with process.stdout as stdout:
            yield Endpoint(stdout.readline().strip(), process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=patience(10))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


Serve = Callable[..., Endpoint]
