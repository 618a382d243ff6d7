"""Look-alikes of five models for the tests on the real vLLM, which skip visibly where that is not installed."""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from swarm.agents.decision import Rules
from swarm.llm.engines.vllm.config import VllmModel
from swarm.llm.protocol import Message, ModelRequest
from tests.vllm import lookalikes

FOLDER = Path(".cache/lookalikes")
RULES = Rules(("acorns", "berries", "honey"), 3, 1_000, 50)
SYSTEM = "You are a creature of the wood and answer with one JSON object. Bid only for what you need. " * 8


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Mark the tests of this folder, and skip them visibly where they cannot run."""
    missing = importlib.util.find_spec("vllm") is None
    for item in items:
        if not item.path.is_relative_to(Path(__file__).parent):
            continue
        item.add_marker(pytest.mark.vllm)
        # Engines start in half a minute on a quiet machine, and five at once take their time on any.
        item.add_marker(pytest.mark.timeout(600))
        if missing:
            item.add_marker(
                pytest.mark.skip(reason="vLLM is not installed here: `make test-vllm` installs and tests it")
            )


@pytest.fixture(scope="session")
def folders() -> dict[str, Path]:
    """The five look-alikes by their names in the catalogue; that of Llama has weights as a file."""
    made = lookalikes.make(FOLDER)
    lookalikes.write_random_weights(made["llama-3.2-3b"])
    return made


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Show a figure among the tests' own lines."""

    def shown(text: str) -> None:
        with capfd.disabled():
            sys.stderr.write(f"\n    {text}\n")

    return shown


def model(folder: Path, **keys: Any) -> VllmModel:
    """The config entry of a look-alike on the CPU: that of the real one with another source and other hardware."""
    entry = {
        "name": folder.name,
        "engine": "vllm",
        "catalogue": folder.name,
        "source": str(folder),
        "weights": "dummy",
        "hardware": {"kind": "cpu"},
        "max_model_len": 1_024,
        "max_completion_tokens": 250,
    }
    return VllmModel.model_validate_json(json.dumps(entry | keys))


def requests(count: int, system: str = SYSTEM, tokens: int = 250) -> list[ModelRequest]:
    """Requests that differ in what is private, at their end."""
    schema = RULES.schema()
    return [
        ModelRequest(
            (Message("system", system), Message("user", f"ROUND 3 of 60, spring\nPURSE {100 + i}")), schema, tokens, i
        )
        for i in range(count)
    ]
