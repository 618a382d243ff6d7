"""The page on operations: each of its commands is run by a test or says why not, and what it names is there."""

import inspect
import re
import shlex
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm.llm.catalogue import CATALOGUE
from tests.deploy import conftest, test_on_ray
from tests.deploy.conftest import BIN, shell
from tests.deploy.manifests import ROOT, VALIDATORS, Manifest, rendered
from tests.deploy.operations import PAGE, commands, documented

TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.timeout(900)
def test_commands_on_a_laptop_work_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    said = {
        "swarm doctor": "ray",
        "swarm models check": "usable from here",
        "swarm run configs/wood.yaml": "cash and goods conserved",
        "swarm replay": "the history holds: all 5 rounds",
        "swarm run --resume": "cash and goods conserved",
    }
    for beginning, expected in said.items():
        ended = shell(documented(beginning), environment, tmp_path, 250)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert expected in ended.stdout


ON_A_LAPTOP = test_commands_on_a_laptop_work_as_they_stand
RUN_BY: dict[str, Callable[..., Any]] = {
    "swarm doctor": ON_A_LAPTOP,
    "swarm models check": ON_A_LAPTOP,
    "swarm run configs/wood.yaml": ON_A_LAPTOP,
    "swarm replay": ON_A_LAPTOP,
    "swarm run --resume": ON_A_LAPTOP,
    "ray get-auth-token": conftest.reachable,
    "export RAY_AUTH_MODE": conftest.reachable,
    "export SWARM_API_KEY": conftest.reachable,
    "ray start --head": conftest.reachable,
    "export RAY_API_SERVER_ADDRESS": conftest.reachable,
    "ray job submit": test_on_ray.test_a_job_that_is_handed_in_runs_to_its_end_on_the_cluster,
    "ray list nodes": test_on_ray.test_a_cluster_tells_its_nodes,
    "serve shutdown": test_on_ray.test_models_that_are_served_answer_the_runs_that_have_their_key,
    "serve deploy": test_on_ray.test_models_that_are_served_answer_the_runs_that_have_their_key,
    "serve status": test_on_ray.test_models_that_are_served_answer_the_runs_that_have_their_key,
}
"""What runs a command, by how the command begins."""


@pytest.mark.parametrize("command", [c.text for c in commands() if not c.not_run])
def test_a_command_is_run_or_says_why_not(command: str) -> None:
    [beginning] = [b for b in RUN_BY if command.startswith(b)]
    assert f'"{beginning}"' in inspect.getsource(RUN_BY[beginning]), f"{RUN_BY[beginning].__name__} does not run it"


def test_commands_that_are_not_run_say_why() -> None:
    marked = [c for c in commands() if c.not_run]
    assert len(marked) > 10
    assert all(len(c.not_run or "") > 15 for c in marked)
    assert len(commands()) == len(marked) + len(RUN_BY)


def test_no_command_hides_in_a_fence() -> None:
    assert "```" not in TEXT


def helm_values(command: str) -> Manifest:
    """The values that a `helm` command sets, as Helm reads --set and --set-file."""
    values: Manifest = {}
    words = shlex.split(command)
    for option, setting in pairwise(words):
        if option not in ("--set", "--set-file"):
            continue
        path, _, told = setting.partition("=")
        value: Any = {"true": True, "false": False}.get(told, told)
        if option == "--set-file":
            value = (ROOT / told).read_text(encoding="utf-8")
        elif told.startswith("{"):
            value = told[1:-1].split(",")
        *parents, last = path.split(".")
        here = values
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = value
    return values


@pytest.mark.parametrize("command", [c.text for c in commands() if c.text.startswith("helm ")])
def test_the_values_of_a_helm_command_render(command: str) -> None:
    words = shlex.split(command)
    assert words[:3] == ["helm", "upgrade", "--install"]
    assert words[4] == "helm"
    manifests = rendered(helm_values(command), name=words[3])
    for validator in ("kubernetes", "operators", "kuberay", "security", "references"):
        assert not VALIDATORS[validator](manifests)


def test_what_the_page_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]*)(?:#[^)]*)?\)", TEXT):
        assert (PAGE.parent / target).exists(), target


def test_every_alert_and_dashboard_is_explained() -> None:
    rules = ROOT / "deploy" / "prometheus" / "rules.yml"
    groups = yaml.safe_load(rules.read_text(encoding="utf-8"))["groups"] if rules.exists() else []
    alerts = {r["alert"] for group in groups for r in group["rules"] if "alert" in r}
    explained = set(re.findall(r"^\| (Swarm\w+) \|", TEXT, re.MULTILINE))
    assert not groups or alerts == explained
    titles = {yaml.safe_load(p.read_text(encoding="utf-8"))["title"] for p in (ROOT / "dashboards").glob("*.json")}
    described = set(re.findall(r"^\| (Swarm: [^|]+) \|", TEXT, re.MULTILINE))
    assert not titles or titles == described


def test_what_the_five_models_need_is_what_the_catalogue_says() -> None:
    config = yaml.safe_load((ROOT / "configs" / "five-labs.yaml").read_text(encoding="utf-8"))
    five = [CATALOGUE[m["catalogue"]] for m in config["models"]]
    weights = sum(e.bytes_of_weights for e in five) / 2**30
    together = weights + sum(64 * 1_000 * e.kv_bytes_per_token for e in five) / 2**30
    told = re.search(r"have (\d+) GiB of weights, and with the cache of 64 turns at once they take (\d+) GiB", TEXT)
    assert told
    assert (float(told[1]), float(told[2])) == pytest.approx((weights, together), abs=1.0)
    nemo = CATALOGUE["mistral-nemo"].bytes_of_weights / 1e9
    assert nemo > 0.9 * 24
