"""What benchmarks keep: a killed one goes on; what is not theirs, or damaged, is named in one line and left alone."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from swarm.bench.abuse_kept import Kept as KeptRuns
from swarm.bench.abuse_kept import Ran
from swarm.bench.abuse_runs import named
from swarm.bench.kept import Kept
from swarm.bench.kept_replies import KeptReplies
from swarm.errors import OutputError
from swarm.runtime.run import SILENT


@pytest.fixture(scope="module")
def played() -> Callable[[], Ran]:
    """Plays a run once, and returns it as often as it is asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swarm.bench.abuse_runs.ROUNDS", 3)
        ran = named(1, "layering")[1]()
    return lambda: ran


def replies(path: Path) -> KeptReplies:
    """Returns kept replies of a file."""
    return KeptReplies.at(path, SILENT)


@pytest.mark.parametrize("kept", [Kept, replies])
@pytest.mark.parametrize("content", [b"# Notes\nof mine\n", bytes(range(256)), b'{"key": 3}\n[]\n'])
def test_a_file_of_somebody_else_is_named_and_left_alone(
    tmp_path: Path, kept: Callable[[Path], object], content: bytes
) -> None:
    file = tmp_path / "notes"
    file.write_bytes(content)
    with pytest.raises(OutputError, match="notes: line 1 is nothing that this benchmark keeps"):
        kept(file)
    assert file.read_bytes() == content


@pytest.mark.parametrize("kept", [Kept, replies])
def test_a_folder_is_no_file(tmp_path: Path, kept: Callable[[Path], object]) -> None:
    with pytest.raises(OutputError, match="cannot be read"):
        kept(tmp_path)


def test_what_was_cut_off_anywhere_is_made_again_and_the_rest_is_there(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    Kept(file).put("a", 1)
    Kept(file).put("b", {"c": "é"})
    whole = file.read_bytes()
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        again = Kept(file)
        assert again.get("a") in (None, 1)
        again.put("b", 2)
        assert Kept(file).get("b") == 2
        assert Kept(file).get("a") == again.get("a")


@pytest.mark.parametrize("end", [0, 1, 40, -200, -1])
def test_a_kept_run_that_is_damaged_is_named(tmp_path: Path, played: Callable[[], Ran], end: int) -> None:
    runs = KeptRuns(tmp_path)
    runs.run("one", played)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(OutputError, match=r"one\.npz: this is no run of this benchmark; delete it"):
        runs.run("one", played)


def test_a_kept_run_with_other_bytes_is_named_or_the_same(tmp_path: Path, played: Callable[[], Ran]) -> None:
    runs = KeptRuns(tmp_path)
    _, planted, _ = runs.run("one", played)
    (path,) = tmp_path.glob("*.npz")
    whole = path.read_bytes()
    for at in range(0, len(whole), max(len(whole) // 300, 1)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            again = runs.run("one", played)
        except OutputError as error:
            assert os.fspath(path) in str(error)
        else:
            assert np.array_equal(again[1], planted)


def test_kept_figures_are_an_object(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text("[]")
    with pytest.raises(OutputError, match=r"one\.json: this is no run"):
        KeptRuns(tmp_path).figures([("one", dict)])
