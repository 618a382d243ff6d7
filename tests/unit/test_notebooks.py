"""Each notebook of docs/examples runs from its first cell to its last, and keeps no output."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("*.ipynb"))


def cells(notebook: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return found


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    names: dict[str, Any] = {}
    for cell in cells(notebook):
        if cell["cell_type"] == "code":
            # As a kernel does it: one cell after another, in one namespace.
            exec(compile("".join(cell["source"]), f"{notebook.name}:{cell['id']}", "exec"), names)


def test_there_are_three_and_none_keeps_what_it_printed() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["experiment", "first-run", "reasoning"]
    assert not any(cell.get("outputs") for path in NOTEBOOKS for cell in cells(path))
