"""Plug-ins from outside: a package that pip installs, and a file that a config names."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm import plugins
from swarm.config_file import load
from swarm.errors import ConfigError
from tests.patience import patience
from tests.refusals import refused

ROOT = Path(__file__).parents[2]
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "wood-owls"
version = "1.0"
[project.entry-points."swarm.minds"]
panel = "wood_owls:MIND"
[project.entry-points."swarm.scenarios"]
guess = "wood_owls.guess"
[tool.hatch.build.targets.wheel]
packages = ["wood_owls"]
"""
MODELS = [{"name": "cheap", "temperament": "value"}, {"name": "strong", "temperament": "maker"}]
PANEL = {"rounds": 2, "population": 6, "models": MODELS}
PANEL["traders"] = {"define": {"wise": {"mind": "panel", "models": ["cheap", "strong"]}}, "minds": {"wise": 1}}


def swarm(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k != plugins.VARIABLE}
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [environment.pop("more", "")])])}
    return subprocess.run(
        [sys.executable, "-m", "swarm", *words],
        cwd=folder,
        env={**kept, **path, **environment},
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
    )


def config(folder: Path, **keys: Any) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**PANEL, **keys}))
    return path


def test_a_package_that_pip_installs_is_found_by_the_groups_of_its_kinds(tmp_path: Path) -> None:
    package, target = tmp_path / "source" / "wood_owls", tmp_path / "installed"
    package.mkdir(parents=True)
    (tmp_path / "source" / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").write_text((ROOT / "tests/examples/panel.py").read_text())
    (package / "guess.py").write_text((ROOT / "tests/examples/guess.py").read_text())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    command = [*pip, "--no-build-isolation", "--target", str(target), str(tmp_path / "source")]
    subprocess.run(command, check=True, timeout=patience(120), capture_output=True)
    path = config(tmp_path)
    without = swarm(tmp_path, "validate", str(path))
    assert without.returncode == 2
    assert "panel" in without.stderr
    assert "council" in without.stderr
    ran = swarm(tmp_path, "run", str(path), "--local", "--out", "run", "--json", more=str(target))
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["finished"]
    replayed = swarm(tmp_path, "replay", "run", more=str(target))
    assert replayed.returncode == 0, replayed.stderr
    assert "guess" in swarm(tmp_path, "scenarios", "--json", more=str(target)).stdout


def test_two_files_of_one_name_are_one_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for variable in (plugins.VARIABLE, plugins.PATH_VARIABLE):
        monkeypatch.setenv(variable, os.environ.get(variable, ""))
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "owls_of_one_name.py").write_text("PANEL = 1\n")
    named = ["first/owls_of_one_name.py", "second/owls_of_one_name.py"]
    try:
        with refused("plugins.1", "another module is called owls_of_one_name"):
            load(config(tmp_path, plugins=named, traders={}), own=True)
    finally:
        sys.modules.pop("owls_of_one_name", None)


def test_a_config_of_ones_own_names_files_and_a_run_names_none(tmp_path: Path) -> None:
    (tmp_path / "my_panel.py").write_text((ROOT / "tests/examples/panel.py").read_text())
    path = config(tmp_path, plugins=["my_panel.py"])
    ran = swarm(tmp_path, "run", str(path), "--local", "--out", "run", "-q")
    assert ran.returncode == 0, ran.stderr
    kept = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert plugins.VARIABLE not in kept
    assert "plugins" not in kept
    lacking = swarm(tmp_path, "replay", "run")
    assert lacking.returncode == 2
    assert plugins.VARIABLE in lacking.stderr
    given = {plugins.VARIABLE: "my_panel"}
    assert swarm(tmp_path, "replay", "run", more=str(tmp_path), **given).returncode == 0
    # Whoever was sent this folder, with such a key put in, runs nothing of it.
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump({**kept, "plugins": ["../my_panel.py"]}))
    refusal = swarm(tmp_path, "run", "--resume", "run")
    assert refusal.returncode == 2
    assert "plugins" in refusal.stderr


@pytest.mark.parametrize(
    ("named", "key", "word"),
    [
        ("my.py", "plugins", "list"),
        (["absent.py"], "plugins.0", "no such file"),
        (["json.py"], "plugins.0", "another module"),
        (["raises.py"], "plugins.0", "boom, in line 2 of raises.py"),
        (["leaves.py"], "plugins.0", "SystemExit"),
        (["spoilt.py"], "plugins.0", "line 1 is not Python"),
        (["lacks.py"], "plugins.0", "no_such_module"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, named: Any, key: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = list(sys.path), dict(os.environ)
    (tmp_path / "json.py").touch()
    (tmp_path / "raises.py").write_text("PANEL = 1\nraise RuntimeError('boom')\n")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "spoilt.py").write_text("def MIND(:\n")
    (tmp_path / "lacks.py").write_text("import no_such_module\n")
    with refused(key, word):
        load(config(tmp_path, plugins=named), own=True)
    # A file that is refused is on no path, neither here nor of a process that is begun from here.
    assert (sys.path, dict(os.environ)) == before
    with pytest.raises(ConfigError):
        load(config(tmp_path, plugins=["my_panel.py"]))
