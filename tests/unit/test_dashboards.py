"""The dashboards as they are committed: what the code builds, whole, and about series that a run exports."""

import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from swarm.errors import SwarmError
from swarm.monitoring import dashboards
from swarm.monitoring.metrics import METRICS
from tests.patience import patience

ROOT = Path(__file__).parents[2]
COMMITTED = dashboards.committed()
OWN = {metric.name: {"run", *metric.labels} for metric in METRICS} | {
    f"{metric.name}_{part}": {"run", *metric.labels, *(("le",) if part == "bucket" else ())}
    for metric in METRICS
    if metric.kind == "histogram"
    for part in ("bucket", "sum", "count")
}
MATCHER = re.compile(r'(\w+) *(?:=~|!~|!=|=) *"')
SELECTOR = re.compile(r"\b(swarm_\w+)(?:\{([^{}]*)\})?")


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, dashboard in COMMITTED.items():
        yield from ((name, panel) for panel in dashboard["panels"] if panel["type"] != "row")


PANELS = [pytest.param(panel, id=f"{name}-{panel['id']}-{panel['title']}") for name, panel in panels()]


def test_what_is_committed_is_what_the_code_builds() -> None:
    assert dashboards.differing(dashboards.built(), ROOT / "dashboards") == [], "run `make dashboards`, and commit"


def test_nothing_else_lies_among_the_dashboards() -> None:
    # Grafana would take every file of this folder and of those below it for a dashboard.
    found = {path.relative_to(ROOT / "dashboards") for path in (ROOT / "dashboards").rglob("*") if path.is_file()}
    assert found == {Path(f"{name}.json") for name in dashboards.NAMES}


@pytest.mark.parametrize("name", dashboards.NAMES)
def test_the_models_of_the_builder_read_it_and_lose_nothing(name: str) -> None:
    read = json.loads(json.dumps(model.Dashboard.from_json(COMMITTED[name]), cls=JSONEncoder))
    assert read == COMMITTED[name]


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_says_what_it_shows_and_in_what_unit(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert len(panel["description"].split()) >= 5
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["title"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["expr"]
        assert target["legendFormat"]


@pytest.mark.parametrize("panel", PANELS)
def test_every_series_of_ours_exists_with_its_labels(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for series, matchers in SELECTOR.findall(target["expr"]):
            assert series in OWN, f"{series} is exported by nobody"
            assert "run" in MATCHER.findall(matchers), f"{series} would be of all runs at once"
            assert set(MATCHER.findall(matchers)) <= OWN[series]


@pytest.mark.parametrize("name", dashboards.NAMES)
def test_panels_are_beside_each_other_and_can_be_told_apart(name: str) -> None:
    taken = set[tuple[int, int]]()
    for panel in COMMITTED[name]["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in COMMITTED[name]["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in COMMITTED[name]["panels"] if panel["type"] != "row"]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", dashboards.NAMES)
def test_every_variable_is_known_and_used(name: str) -> None:
    dashboard = COMMITTED[name]
    declared = {v["name"] for v in dashboard["templating"]["list"]}
    text = json.dumps(dashboard)
    named = set(re.findall(r"\$\{?([a-zA-Z]\w*)", text))
    assert named == declared


def test_uids_are_of_one_kind_and_titles_differ() -> None:
    assert [d["uid"] for d in COMMITTED.values()] == [f"swarm-{name}" for name in dashboards.NAMES]
    assert len({d["title"] for d in COMMITTED.values()}) == len(COMMITTED)


def test_a_changed_and_an_absent_file_are_noticed(tmp_path: Path) -> None:
    texts = dashboards.built()
    dashboards.write(texts, tmp_path)
    assert dashboards.differing(texts, tmp_path) == []
    (tmp_path / "run.json").write_text(texts["run"].replace("Round", "Rounds", 1))
    (tmp_path / "cluster.json").unlink()
    assert dashboards.differing(texts, tmp_path) == ["run", "cluster"]


def test_building_without_the_builder_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SwarmError, match="grafana-foundation-sdk"):
        dashboards.built()


@pytest.mark.parametrize("content", [None, "{"])
def test_a_dashboard_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(SwarmError, match=r"run\.json"):
        dashboards.committed(tmp_path)


def test_a_wheel_carries_the_dashboards(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=patience(100))
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in dashboards.NAMES:
            content = archive.read(f"swarm/monitoring/dashboards/json/{name}.json")
            assert content == (ROOT / "dashboards" / f"{name}.json").read_bytes()
