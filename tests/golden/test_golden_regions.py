"""Two regions whose journals' hash is pinned: whoever changes the history of several markets says so by making it anew.

`python -m pytest tests/golden --regenerate-goldens` does that, and the change of its file shows what else changed.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from swarm.config_file import resolve
from swarm.planning import composed
from swarm.runtime.ports import RunsOn
from swarm.runtime.run import Session
from swarm.simulation.folder import RunFolder
from swarm.simulation.replay import replay

PINS = Path(__file__).parent / "regions.json"
ADVICE = "the history of a run has changed; if on purpose: python -m pytest tests/golden --regenerate-goldens"
CONFIG: dict[str, Any] = {
    "name": "regions",
    "seed": 9,
    "rounds": 7,
    "population": 25,
    "models": [{"name": "m", "temperament": "maker"}],
    "traders": {"minds": {"m": 1, "zip": 1, "truthful": 1}},
    "scenario": {"name": "wood", "shocks": [{"kind": "mania", "round": 2, "rounds": 3, "good": "honey"}]},
    "regions": {"names": ["hither", "yonder"], "travellers": 7, "fee_permille": 35, "capacity_lots": 5},
}


def pins_of(folder: Path) -> dict[str, Any]:
    """The hashes, and figures that say in which direction a changed history went."""
    result = Session(RunsOn(local=True), RunFolder(folder), report=False).execute(resolve(CONFIG))
    summary = result.record.summary
    regions = summary["regions"]
    return {
        **{key: summary[key] for key in ("journal_sha256", "trades", "volume_lots", "order_rejections", "wealth")},
        **{key: regions[key] for key in ("carried_lots", "toll_cents", "price_dispersion_permille")},
        "journals": {name: own["journal_sha256"] for name, own in regions["of"].items()},
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("golden") / "run"
    pins = pins_of(folder)
    if request.config.getoption("--regenerate-goldens"):
        PINS.write_text(json.dumps(pins, indent=2) + "\n", encoding="utf-8")
    return folder, pins


def test_a_run_of_two_regions_comes_to_its_pinned_journals(run: tuple[Path, dict[str, Any]]) -> None:
    assert run[1] == json.loads(PINS.read_text(encoding="utf-8")), ADVICE


def test_it_replays_to_its_pinned_hash(run: tuple[Path, dict[str, Any]]) -> None:
    result = replay(RunFolder(run[0]).journals, composed)
    assert result.holds, result.mismatch
    assert result.replayed_sha256 == json.loads(PINS.read_text(encoding="utf-8"))["journal_sha256"]
