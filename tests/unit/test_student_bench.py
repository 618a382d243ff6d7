"""The benchmark of students: its figures, and that it goes on from what is kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from swarm.bench import student
from swarm.bench.kept import Kept
from swarm.config import RunConfig
from swarm.config_file import resolve
from swarm.errors import ConfigError
from swarm.llm.engines.embedded.config import STUDENT, EmbeddedModel
from swarm.runtime.run import SILENT
from swarm.training.evaluate import economy_config


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Markets of five traders and one round of the Wood, in this process."""

    def config(scenario: str, minds: Mapping[str, int], seed: int, models: Sequence[Mapping[str, Any]]) -> RunConfig:
        whole = economy_config(scenario, minds, seed, models).model_dump(mode="json", exclude_unset=True)
        return resolve({**whole, "rounds": 1, "population": 5})

    monkeypatch.setattr(student, "economy_config", config)
    monkeypatch.setattr(student, "_strange_config", config)
    monkeypatch.setattr(student, "usual_jobs", lambda: 1)
    monkeypatch.setattr(student, "SCENARIOS", ("wood",))


@pytest.mark.usefixtures("small")
def test_a_student_is_held_against_others_and_goes_on_from_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, other = tmp_path / "kept.jsonl", EmbeddedModel.weights_of("profit")
    found = {r.name: r for r in student.measure(SILENT, None, 1, {"other": other}, keep)}
    same = found["efficiency_wood_students_over_other"]
    assert same.value == 0, "the same model under another name"
    assert found["efficiency_wood_held_out_students_over_the_five"].runs
    assert "it passes in" in found["passes_wood_away_from_the_best"].note
    # All is kept now, and half a line behind it is no harm.
    keep.write_text(keep.read_text(encoding="utf-8") + '{"key": "half', encoding="utf-8")
    monkeypatch.setattr(student, "play", lambda *_: pytest.fail("played again"))
    assert {r.name: r for r in student.measure(SILENT, None, 1, {"other": other}, keep)} == found


def test_another_student_in_the_same_folder_is_not_what_is_kept_of_the_first(tmp_path: Path) -> None:
    keys = []
    for weights in (b"one", b"other"):
        (tmp_path / STUDENT).write_bytes(weights)
        keys.append(student._key(student.Job({"student": 1}, model=str(tmp_path))))
    assert keys[0] != keys[1]
    assert len(keys[0]["files"]) == 1


@pytest.mark.parametrize("told", ["mine", "=here", "mine=nowhere"])
def test_another_student_has_a_name_and_a_model(told: str) -> None:
    with pytest.raises(ConfigError, match="--beside"):
        student.named([told])


def test_what_is_kept_is_told_apart_by_its_key(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept.jsonl")
    kept.put({"seed": 1}, 0.5)
    assert Kept(tmp_path / "kept.jsonl").get({"seed": 1}) == 0.5
    assert Kept(tmp_path / "kept.jsonl").get({"seed": 2}) is None
