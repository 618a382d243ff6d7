"""A real language model in vLLM: its tokenizer, its template and its stop tokens are its own, and so are its scores."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from swarm.config_file import resolve
from swarm.llm.engines.vllm.engine import VllmEngine
from swarm.llm.protocol import Message, ModelRequest
from swarm.llm.scores import read_scores
from swarm.runtime.play import play
from swarm.simulation.traders import LocalTraders, kept_open
from tests.vllm import real
from tests.vllm.conftest import RULES

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

SCORE = ModelRequest(
    (Message("system", "You say yes or no."), Message("user", "Say whether what follows is an animal.")),
    {},
    1,
    7,
    temperature=0.0,
    branches=("Is a dog an animal?", "Is a stone an animal?", "Is a dog an animal?"),
)
WRITE = ModelRequest(
    (Message("system", "You answer in JSON."), Message("user", "Acorns cost 20. Give an order.")),
    RULES.schema(),
    120,
    7,
)


INSTALLED = all(map(find_spec, (real.PACKAGE.replace("-", "_"), "gguf", "accelerate")))


@pytest.mark.skipif(not INSTALLED, reason="SmolLM2 or what reads it is not installed: `make test-vllm` installs both")
def test_a_real_model_writes_scores_and_trades() -> None:
    source = real.folder(Path(".cache/smollm2"))
    entry = {
        "name": "smollm2",
        "engine": "vllm",
        "source": str(source),
        "weights": "folder",
        "form": "judge",
        "temperature": 0.0,
        "hardware": {"kind": "cpu"},
        "max_model_len": 1_536,
    }
    config = resolve({"rounds": 1, "population": 3, "models": [entry], "traders": {"minds": {"smollm2": 2, "zi_c": 1}}})
    engine = VllmEngine(config.models[0])  # type: ignore[arg-type]
    with kept_open([engine]) as runner:
        written, scored = runner.run(engine.complete([WRITE, SCORE], 300))
        assert written.finish_reason == "stop" and json.loads(written.text)
        scores = read_scores(scored.text, len(SCORE.branches))
        assert scores is not None
        assert scores.values[0] == scores.values[2], "the same line has the same score"
        assert scores.values[0] > scores.values[1], "of a dog and a stone, it knows which is an animal"
        assert scored.usage.completion == 0
        # Every decision of a round by scoring is lawful, and nothing was written for it.
        played = play(
            config,
            clients={"smollm2": engine},
            traders=lambda plan, _: LocalTraders(plan.shard, {"smollm2": engine}, runner.run),
        )
        assert not played.summary["decision_errors"]
