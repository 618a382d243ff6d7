"""What a config of a vLLM model means, and what is said of one that cannot be used; vLLM itself is not needed."""

import json
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from swarm import config_file
from swarm.llm.catalogue import CATALOGUE
from swarm.llm.engines.vllm import check as vllm_check
from swarm.llm.engines.vllm.arguments import engine_arguments, environment
from swarm.llm.engines.vllm.check import Gpu, ModelShape, shape_of
from swarm.llm.engines.vllm.config import VllmModel
from swarm.llm.engines.vllm.engine import gpu_to_itself
from swarm.llm.protocol import Message, folded
from swarm.preflight import check_budget
from tests.refusals import refused

MISSION = ("llama-3.2-3b", "phi-3.5-mini", "gemma-2-2b", "qwen-2.5-7b", "mistral-nemo")
H100 = Gpu("H100", 80 * 2**30)
SMALL = Gpu("T4", 15 * 2**30)


def model(**keys: Any) -> VllmModel:
    return VllmModel.model_validate_json(json.dumps({"name": "m", "engine": "vllm"} | keys))


def config_with(**keys: Any) -> dict[str, Any]:
    return {"models": [{"name": "m", "engine": "vllm"} | keys]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, whole but for weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    shape = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 1_000,
        "intermediate_size": 128,
        "max_position_embeddings": 4_096,
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(shape))
    (folder / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture(autouse=True)
def _vllm_as_if_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


def problem(entry: VllmModel, *gpus: Gpu, tokens: int = 1_000, here: bool = True) -> str:
    return "\n".join(vllm_check.problems([entry], tokens, here, gpus))


def test_the_catalogue_has_five_labs_and_says_which_model_is_over_the_limit() -> None:
    assert len({CATALOGUE[name].lab for name in MISSION}) == 5
    assert [CATALOGUE[name].role for name in MISSION] == ["analyst", "quant", "news", "risk", "oversight"]
    assert [name for name in MISSION if CATALOGUE[name].parameters_b > 10] == ["mistral-nemo"]
    assert CATALOGUE["mistral-7b"].lab == CATALOGUE["mistral-nemo"].lab
    assert {"gpt-oss-20b", "minicpm3-4b", "nemotron-mini-4b"} <= set(CATALOGUE)


def test_every_shipped_config_of_language_models_is_valid() -> None:
    for name in ("five-labs", "five-labs-cpu"):
        config = config_file.load(Path(f"configs/{name}.yaml"))
        models = [m for m in config.models if isinstance(m, VllmModel)]
        assert [m.catalogue for m in models] == list(MISSION)
        check_budget(config)


@pytest.mark.parametrize(
    ("keys", "key", "word"),
    [
        ({}, "models.0", "catalogue"),
        ({"catalogue": "gpt-9"}, "models.0.catalogue", "llama-3.2-3b"),
        ({"catalogue": "qwen-2.5-7b", "weights": "dummy"}, "models.0", "source"),
        ({"source": "a/b", "hardware": {"num_gpus": 1.5}}, "models.0.hardware.num_gpus", "whole"),
        ({"source": "a/b", "replicas": 3, "hardware": {"max_replicas": 2}}, "models.0", "below"),
        ({"source": "a/b", "hardwear": {}}, "models.0.hardwear", "hardware?"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(keys: dict[str, Any], key: str, word: str) -> None:
    with refused(key, word):
        config_file.resolve(config_with(**keys))


def test_a_cpu_and_a_gpu_differ_in_the_hardware_alone() -> None:
    gpu, cpu = (model(catalogue="gemma-2-2b", hardware={"kind": kind}) for kind in ("gpu", "cpu"))
    assert gpu.model_copy(update={"hardware": cpu.hardware}) == cpu
    assert engine_arguments(gpu)["dtype"] == "bfloat16"
    assert engine_arguments(cpu)["dtype"] == "float32"
    for entry in (gpu, cpu):
        arguments = engine_arguments(entry)
        assert arguments["trust_remote_code"] is False
        assert arguments["generation_config"] == "vllm"
        assert arguments["structured_outputs_config"]["disable_any_whitespace"] is True
        assert entry.has_system_role is False


def test_a_share_of_a_gpu_takes_its_share_of_the_memory_and_several_split_the_model() -> None:
    share = model(source="a/b", hardware={"num_gpus": 0.25})
    assert engine_arguments(share)["gpu_memory_utilization"] == 0.225
    assert share.hardware.gpus == 0.25
    split = engine_arguments(model(source="a/b", hardware={"num_gpus": 4}))
    assert (split["tensor_parallel_size"], split["gpu_memory_utilization"]) == (4, 0.9)


def test_only_weights_from_the_hub_may_be_fetched() -> None:
    assert environment(model(source="/x", weights="folder"))["HF_HUB_OFFLINE"] == "1"
    assert environment(model(source="/x", weights="dummy"))["HF_HUB_OFFLINE"] == "1"
    hub = environment(model(catalogue="qwen-2.5-7b"))
    assert "HF_HUB_OFFLINE" not in hub
    assert hub["VLLM_NO_USAGE_STATS"] == "1"


def test_rules_stand_before_the_users_message_where_there_is_no_system_role() -> None:
    chat = (Message("system", "Rules."), Message("user", "Round 1"), Message("assistant", "ok"))
    assert folded(chat) == (Message("user", "Rules.\n\nRound 1"), Message("assistant", "ok"))
    assert folded(chat[1:]) == chat[1:]
    assert folded(chat[:1]) == chat[:1]


def test_a_gated_model_needs_a_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gated = model(catalogue="llama-3.2-3b")
    assert "HF_TOKEN" in problem(gated, H100)
    assert problem(gated, H100).startswith("models: m: meta-llama/Llama-3.2-3B-Instruct is gated")
    assert not problem(model(catalogue="qwen-2.5-7b"), H100)
    monkeypatch.setenv("HF_TOKEN", "something")
    assert not problem(gated, H100)
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "hub" / "hub" / "models--meta-llama--Llama-3.2-3B-Instruct").mkdir(parents=True)
    assert not problem(gated, H100), "it is on this machine already"


def test_a_folder_must_hold_what_a_model_needs(folder: Path, tmp_path: Path) -> None:
    cpu = {"hardware": {"kind": "cpu"}, "source": str(folder)}
    assert not problem(model(weights="dummy", **cpu))
    assert "no weights" in problem(model(weights="folder", **cpu))
    assert "chat_template" in problem(model(weights="dummy", chat_template=str(tmp_path / "none"), **cpu))
    (folder / "tokenizer.json").unlink()
    assert "no tokenizer" in problem(model(weights="dummy", **cpu))
    (folder / "config.json").write_text("{")
    assert "no config.json that can be read" in problem(model(weights="dummy", **cpu))
    gone = problem(model(weights="folder", source=str(tmp_path / "gone"), hardware={"kind": "cpu"}))
    assert "there is no folder" in gone


def test_a_context_longer_than_the_models_is_refused(folder: Path) -> None:
    own = model(weights="dummy", source=str(folder), hardware={"kind": "cpu"}, max_model_len=5_000)
    assert "holds 4096 tokens" in problem(own)
    assert "holds 8192 tokens" in problem(
        model(catalogue="gemma-2-2b", max_model_len=10_000, hardware={"kind": "cpu"}, source="other/copy")
    )
    short = model(catalogue="qwen-2.5-7b", max_model_len=512)
    assert "budget.tokens_per_turn is 1000" in problem(short, H100)


def test_a_gpu_must_be_there_and_large_enough(folder: Path) -> None:
    qwen = {"catalogue": "qwen-2.5-7b"}
    assert "there is none here" in problem(model(**qwen))
    assert not problem(model(**qwen), here=False), "another machine's GPUs are not this one's"
    assert not problem(model(**qwen), H100)
    small = problem(model(**qwen), SMALL)
    assert "it needs 15.3 GiB of GPU memory (weights 14.2 GiB" in small
    assert "has 13.5 GiB (90% of 15.0 GiB)" in small
    assert not problem(model(quantization="fp8", **qwen), SMALL)
    assert "each replica asks for 2 GPUs" in problem(model(hardware={"num_gpus": 2}, **qwen), H100)
    assert "together they ask for 3 GPUs" in problem(model(replicas=3, **qwen), H100, H100)
    tiny = model(weights="dummy", source=str(folder), kv_cache_bytes=2**34)
    assert "cache of one request 16.0 GiB" in problem(tiny, SMALL)


def test_a_type_that_the_model_does_not_run_in_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "something")
    assert "does not run in float16" in problem(model(catalogue="gemma-2-2b", dtype="float16"), H100)


def test_a_missing_vllm_is_named_unless_it_runs_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    qwen = model(catalogue="qwen-2.5-7b")
    assert problem(qwen, H100).startswith("models: m: vLLM is not installed here; docs/models.md")
    assert not problem(qwen, H100, here=False)


def test_the_shape_of_a_model_is_read_off_its_config(folder: Path) -> None:
    shape = shape_of(model(weights="dummy", source=str(folder)))
    layer = 2 * 64 * 32 * 3 + 3 * 64 * 128
    assert shape == ModelShape(2 * (1_000 * 64 + 2 * layer), 2 * 2 * 2 * 1 * 32, 4_096)
    (folder / "model.safetensors").write_bytes(b"x" * 1_234)
    assert shape_of(model(weights="folder", source=str(folder))).weight_bytes == 1_234


def test_code_of_others_is_warned_of() -> None:
    assert not vllm_check.warnings([model(source="a/b")])
    [line] = vllm_check.warnings([model(source="a/b", trust_remote_code=True)])
    assert "trust_remote_code is on" in line


def test_engines_of_one_gpu_start_one_after_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    spans: list[tuple[float, float]] = []

    def start() -> None:
        with gpu_to_itself():
            begun = time.monotonic()
            time.sleep(0.05)
            spans.append((begun, time.monotonic()))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans.sort()
    assert len(spans) == 4
    assert all(end <= begun for (_, end), (begun, _) in pairwise(spans))
