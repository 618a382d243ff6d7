"""Plug-ins of somebody else's, and councils, come to the same history in one process and on a cluster."""

import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from swarm.config_file import load, resolve
from swarm.planning import composed
from swarm.plugins import VARIABLE
from swarm.runtime.play import Played, play
from swarm.runtime.ports import RunsOn
from swarm.simulation.folder import RunFolder
from swarm.simulation.replay import replay
from tests.cluster.conftest import PLUGINS, ROOT, RUN_TIMEOUT_S, SWARM, summary
from tests.patience import patience

pytestmark = pytest.mark.ray

CONFIG: dict[str, Any] = {
    "name": "strangers",
    "seed": 4,
    "rounds": 10,
    "population": 16,
    "models": [
        {"name": "cheap", "temperament": "value", "fault_rate": 0.5},
        {"name": "strong", "temperament": "maker"},
    ],
}
MINDS: dict[str, Any] = {
    "models": [*CONFIG["models"], {"name": "polly", "engine": "parrot", "price": 30}],
    "traders": {
        "minds": {"wise": 1, "thrifty": 1, "cheap": 1, "polly": 1},
        "define": {
            "wise": {"mind": "panel", "models": ["cheap", "strong"]},
            "thrifty": {"mind": "fallback", "first": "cheap", "then": "strong"},
        },
    },
    "runtime": {"traders_per_actor": 4},
}
"""Two minds, an engine and a facet at once."""

TARIFF = {"minds": {"strong": 3, "zip": 1}, "staffing": {"name": "tariff", "cheaper": "cheap"}}
BENEFACTOR = {"parties": {"good-uncle": {"party": "benefactor", "gift_cents": 300}}}
REGIONS = {"regions": {"names": ["east", "west"], "travellers": 2}}


def test_minds_an_engine_and_a_facet_run_on_a_cluster_of_the_runs_own(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | MINDS))
    command = [*SWARM, "run", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "ray")]
    plugged = {**environment, VARIABLE: PLUGINS, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=plugged, capture_output=True, text=True, check=False, timeout=patience(RUN_TIMEOUT_S)
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv(VARIABLE, PLUGINS)
    local, over_ray = play(load(tmp_path / "config.yaml")), summary(tmp_path / "ray")
    assert over_ray["rounds"] == 10
    assert over_ray["journal_sha256"] == local.journal_sha256
    assert over_ray["engines"]["polly"] == "parrot"
    assert over_ray["ever_active_traders"] == local.summary["ever_active_traders"] > 0
    active = pl.read_parquet(tmp_path / "ray" / "tables" / "activity.parquet")
    assert active.equals(local.tables["activity"])
    assert active.height == 10
    assert replay(RunFolder(tmp_path / "ray").journals, composed).holds


@pytest.mark.parametrize(
    ("changes", "shards"),
    [
        ({"scenario": {"name": "guess"}}, 4),
        ({"models": [{"name": "numbers", "temperament": "value", "form": "offers"}]}, 4),
        ({"traders": TARIFF, "runtime": {"traders_per_actor": 100}}, 1),
        ({"traders": TARIFF, "runtime": {"traders_per_actor": 2}}, 8),
        ({"traders": TARIFF} | BENEFACTOR | REGIONS, 6),
    ],
    ids=["scenario", "form", "staffing on one shard", "staffing on eight", "staffing and a party in two regions"],
)
def test_a_plug_in_comes_to_the_history_that_it_has_in_one_process(
    changes: dict[str, Any], shards: int, cluster: RunsOn, tmp_path: Path
) -> None:
    config = resolve(CONFIG | {"runtime": {"traders_per_actor": 4}} | changes)
    local, over_ray = play(config), play(config, runs_on=cluster, journals_in=tmp_path)
    assert over_ray.summary["layout"]["shards"] == shards
    same(local, over_ray, tmp_path)
    if "traders" in changes:
        assert local.summary["compute"]["paid_cents"] > 0
    if "parties" in changes:
        assert local.summary["parties"]["good-uncle"]["acts"]["Move"] == 20


@pytest.mark.parametrize(("traders_per_actor", "shards"), [(100, 1), (2, 8)])
def test_a_council_votes_on_one_shard_and_on_eight_as_it_does_in_one_process(
    traders_per_actor: int, shards: int, cluster: RunsOn, tmp_path: Path
) -> None:
    shorter = ("rounds=5", "population=16", f"runtime.traders_per_actor={traders_per_actor}")
    config = load(ROOT / "configs" / "council.yaml", shorter)
    local, over_ray = play(config), play(config, runs_on=cluster, journals_in=tmp_path)
    assert over_ray.summary["layout"]["shards"] == shards
    same(local, over_ray, tmp_path)
    assert local.summary["councils"]["five"]


def test_a_patron_deals_with_traders_on_shards_as_it_does_in_one_process(cluster: RunsOn, tmp_path: Path) -> None:
    config = load(ROOT / "configs" / "patron.yaml", ("rounds=13", "runtime.traders_per_actor=8"))
    local, over_ray = play(config), play(config, runs_on=cluster, journals_in=tmp_path)
    assert over_ray.summary["layout"]["shards"] == 4
    same(local, over_ray, tmp_path)
    # It has lent, bet and told by then, and creatures think something of it.
    assert over_ray.summary["patron"] == local.summary["patron"]
    assert local.summary["patron"]["tips"]["told"] and local.summary["patron"]["favour"]


def same(local: Played, over_ray: Played, folder: Path) -> None:
    """Both came to one history and to the same counts of it, and it replays."""
    assert over_ray.journal_sha256 == local.journal_sha256
    for key in ("compute", "parties", "councils", "decision_errors", "conservation", "wealth"):
        assert over_ray.summary.get(key) == local.summary.get(key), key
    # What a prompt shares is saved within a shard only.
    ours, theirs = ({**one.summary["tokens"], "shared_prompt": 0} for one in (local, over_ray))
    assert theirs == ours
    again = replay({name: RunFolder(folder).market(name).journal for name in local.plan.names}, composed)
    assert (again.holds, again.replayed_sha256) == (True, local.journal_sha256)
