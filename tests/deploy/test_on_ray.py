"""The commands of docs/operations.md on a real Ray: a run of its own, a job handed in, models served for many runs."""

import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import Head, shell
from tests.deploy.manifests import ROOT
from tests.deploy.operations import documented
from tests.patience import patience

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

RUN_S = 300.0
SERVE_S = 300.0


def summary(folder: Path) -> dict[str, Any]:
    """A run's summary."""
    loaded: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return loaded


def test_a_job_that_is_handed_in_runs_to_its_end_on_the_cluster(head: Head) -> None:
    ended = shell(documented("ray job submit"), head.environment, ROOT, RUN_S)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "cash and goods conserved" in ended.stdout
    done = summary(head.home / "runs" / "first")
    assert done["finished"] is True
    assert done["rounds"] == 3
    assert done["runs_on"] == "Ray at auto"


def test_without_the_token_no_job_is_taken(head: Head) -> None:
    stranger = {k: v for k, v in head.environment.items() if not k.startswith("RAY_AUTH_")} | {"HOME": "/nowhere"}
    refused = shell(documented("ray job submit"), stranger, ROOT, RUN_S)
    assert refused.returncode != 0
    assert "uthenticat" in refused.stdout + refused.stderr


def test_a_cluster_tells_its_nodes(head: Head) -> None:
    told = shell(documented("ray list nodes"), head.environment, ROOT, 60)
    assert told.returncode == 0, told.stderr
    assert "ALIVE" in told.stdout


def scripted(serve_config: Path, port: int) -> dict[str, Any]:
    """The Serve config with a rule in code behind each of the first two models, and with a port of the test's own."""
    config: dict[str, Any] = yaml.safe_load(serve_config.read_text(encoding="utf-8"))
    *models, gateway = config["applications"]
    config["applications"] = [*models[:2], gateway]
    for application in models[:2]:
        application["args"] = {"name": application["name"], "engine": "scripted", "temperament": "value"}
    gateway["args"]["models"] = [m["name"] for m in models[:2]]
    config["http_options"]["port"] = port
    return config


def asked(head: Head, path: str, key: str | None) -> tuple[int, Any]:
    """The status and the value of a request to the gateway."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"http://127.0.0.1:{head.serve_port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_models_that_are_served_answer_the_runs_that_have_their_key(head: Head, tmp_path: Path) -> None:
    served = tmp_path / "serve.yaml"
    served.write_text(yaml.safe_dump(scripted(ROOT / "deploy" / "ray" / "serve.yaml", head.serve_port)))
    ended = shell(documented("serve shutdown"), head.environment, ROOT, 120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    deploy = documented("serve deploy")
    assert deploy.endswith(" deploy/ray/serve.yaml")
    deployed = shell(deploy.replace("deploy/ray/serve.yaml", str(served)), head.environment, ROOT, 120)
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    deadline = time.monotonic() + patience(SERVE_S)
    states: list[str] = []
    while time.monotonic() < deadline and states != ["RUNNING"] * 3:
        told = shell(documented("serve status"), head.environment, ROOT, 60).stdout
        states = [a["status"] for a in (yaml.safe_load(told) or {}).get("applications", {}).values()]
        assert "DEPLOY_FAILED" not in states, told
        time.sleep(1)
    assert states == ["RUNNING"] * 3

    assert asked(head, "/v1/models", None)[0] == 401
    status, listed = asked(head, "/v1/models", head.environment["SWARM_API_KEY"])
    assert (status, [m["id"] for m in listed["data"]]) == (200, ["analyst", "quant"])

    config = yaml.safe_load((ROOT / "configs" / "five-labs-served.yaml").read_text())
    config["models"] = [m | {"base_url": f"http://127.0.0.1:{head.serve_port}/v1"} for m in config["models"][:2]]
    mine = tmp_path / "served.yaml"
    mine.write_text(yaml.safe_dump(config))
    run = f"swarm run {mine} --local --set rounds=2 --set population=20 --out {tmp_path / 'run'}"
    ended = shell(run, head.environment, ROOT, RUN_S)
    assert ended.returncode == 0, ended.stderr
    done = summary(tmp_path / "run")
    assert done["finished"] is True
    assert done["trades"] > 0
    assert not any(kind.startswith("engine_") for kind in done["decision_errors"])

    nobody = head.environment | {"SWARM_API_KEY": "wrong"}
    refused = shell(run.replace(str(tmp_path / "run"), str(tmp_path / "other")), nobody, ROOT, RUN_S)
    assert refused.returncode == 2
    assert re.search("refuses the key in SWARM_API_KEY", refused.stderr)
