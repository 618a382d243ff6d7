"""The files for machines and images: what can be said of them without machines and without a container engine."""

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from swarm.llm.catalogue import CATALOGUE
from tests.deploy.manifests import ROOT, rendered

IMAGES = {"Dockerfile": "ubuntu:24.04", "Dockerfile.gpu": "nvidia/cuda:13.0.2-devel-ubuntu24.04"}
CLUSTER = ROOT / "deploy" / "ray" / "cluster.yaml"


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile: name and arguments, without comments, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def image_problems(text: str) -> list[str]:
    """What is wrong with a Dockerfile, as far as one can tell without building it."""
    found = instructions(text)
    problems = [f"{name} is no instruction used here" for name, _ in found if name not in KNOWN]
    for name, rest in found:
        if name == "FROM" and not re.fullmatch(r"[a-z0-9./-]+:(?!latest)[A-Za-z0-9._-]+( AS \w+)?", rest):
            problems.append(f"FROM {rest}: no fixed tag")
        if name == "ADD":
            problems.append(f"ADD {rest}: COPY copies, and nothing is fetched that is not locked")
        if name == "COPY":
            *sources, _ = [word for word in rest.split() if not word.startswith("--")]
            problems += [f"COPY {s}: not there" for s in sources if not (ROOT / s).exists()]
            problems += [f"COPY {s}: .dockerignore keeps it out" for s in sources if f"!{s}" not in LET_IN]
        if name == "RUN" and "apt-get install" in rest and "rm -rf /var/lib/apt/lists" not in rest:
            problems.append("RUN apt-get: its lists stay in the image")
        if name == "RUN" and re.search(r"\b(curl|wget)\b[^&|]*https?://|\| *(ba)?sh\b", rest):
            problems.append("RUN: something is fetched past the package managers")
    users = [rest for name, rest in found if name == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*(:\d+)?", users[-1]):
        problems.append("the last USER is not a number above 0, which runAsNonRoot needs")
    return problems


KNOWN = {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "CMD", "ADD"}
LET_IN = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_made_as_it_should_be(name: str) -> None:
    text = (ROOT / "deploy" / "image" / name).read_text(encoding="utf-8")
    assert not image_problems(text)
    assert instructions(text)[0] == ("FROM", IMAGES[name])
    # What KubeRay calls in the container, and the tag that the chart asks for.
    assert all(re.search(rf"\b{tool}\b", text) for tool in ("bash", "wget", "python3.12"))
    [image] = {d["image"] for d in _containers() if ("-gpu:" in d["image"]) == name.endswith(".gpu")}
    assert f"--file deploy/image/{name} --tag {image} ." in text


def _containers() -> list[dict[str, Any]]:
    """The containers that the chart has with its defaults."""
    [job] = [m for m in rendered({}) if m["kind"] == "RayJob"]
    groups = [job["spec"]["rayClusterSpec"]["headGroupSpec"], *job["spec"]["rayClusterSpec"]["workerGroupSpecs"]]
    return [c for group in groups for c in group["template"]["spec"]["containers"]]


def test_both_images_stand_on_one_python() -> None:
    # Ray refuses a node whose Python differs by as little as its patch release.
    releases = {re.search(r"ubuntu:?(\d+\.\d+)", base)[1] for base in IMAGES.values()}  # type: ignore[index]
    assert len(releases) == 1


FAULTS = {
    "latest": ("FROM ubuntu:24.04", "FROM ubuntu:latest", "no fixed tag"),
    "no tag": ("FROM ubuntu:24.04", "FROM ubuntu", "no fixed tag"),
    "root": ("USER 1000:1000", "USER root", "the last USER"),
    "user zero": ("USER 1000:1000", "USER 0", "the last USER"),
    "no user": ("USER 1000:1000", "", "the last USER"),
    "file that is not there": ("COPY swarm swarm", "COPY swarms swarm", "not there"),
    "file that is kept out": ("COPY swarm swarm", "COPY tests tests", ".dockerignore keeps it out"),
    "fetched": ("COPY swarm swarm", "ADD https://example.org/x.tar /x", "COPY copies"),
    "piped into a shell": ("USER 1000:1000", "RUN curl https://example.org | sh\nUSER 1000:1000", "past the package"),
}


@pytest.mark.parametrize(("good", "bad", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_an_image_is_found(good: str, bad: str, said: str) -> None:
    text = (ROOT / "deploy" / "image" / "Dockerfile").read_text(encoding="utf-8")
    assert good in text
    assert any(said in problem for problem in image_problems(text.replace(good, bad)))


def test_packages_that_vllm_wants_otherwise_are_in_the_lock() -> None:
    text = (ROOT / "deploy" / "image" / "Dockerfile.gpu").read_text(encoding="utf-8")
    taken_out = re.search(r"\^\(([a-z|-]+)\)==", text)
    assert taken_out
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    for package in taken_out[1].split("|"):
        assert re.search(rf"^{package}==", lock, re.MULTILINE), package


def test_the_page_on_models_names_the_vllm_of_the_image() -> None:
    [version] = set(
        re.findall(r"vllm==(\S+)", (ROOT / "deploy" / "image" / "Dockerfile.gpu").read_text(encoding="utf-8"))
    )
    assert f"vllm=={version}" in (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def cluster() -> dict[str, Any]:
    """The cluster file."""
    loaded: dict[str, Any] = yaml.safe_load(CLUSTER.read_text(encoding="utf-8"))
    return loaded


def test_commands_that_start_ray_name_what_they_open(tmp_path: Path) -> None:
    config = cluster()
    [head], [worker] = config["head_start_ray_commands"], config["worker_start_ray_commands"]
    for command in (head, worker):
        assert "RAY_AUTH_MODE=token" in command
        assert "RAY_AUTH_TOKEN_PATH=" in command
    assert "--dashboard-host=127.0.0.1" in head
    assert "--num-cpus=0" in head
    assert "$RAY_HEAD_IP:6379" in worker
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert config["min_workers"] == config["max_workers"] == len(config["provider"]["worker_ips"])


def test_the_serve_config_serves_the_five_labs() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text(encoding="utf-8"))
    *models, gateway = config["applications"]
    five = yaml.safe_load((ROOT / "configs" / "five-labs.yaml").read_text(encoding="utf-8"))["models"]
    assert {(m["name"], m["args"]["name"], m["args"]["catalogue"]) for m in models} == {
        (m["name"], m["name"], m["catalogue"]) for m in five
    }
    assert all(m["args"]["catalogue"] in CATALOGUE for m in models)
    assert gateway["args"] == {"models": [m["name"] for m in models], "api_key_env": "SWARM_API_KEY"}
    assert config["http_options"]["host"] == "127.0.0.1"
    assert [m["route_prefix"] for m in models] == [None] * 5


@pytest.mark.ray
class TestByRaysOwnSchemas:
    """Ray is imported here, and not started."""

    @pytest.mark.parametrize("source", ["file", "chart"])
    def test_the_serve_config_is_one(self, source: str) -> None:
        from ray.serve.schema import ServeDeploySchema

        if source == "file":
            config = yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text(encoding="utf-8"))
        else:
            values = {"models": {"enabled": True, "apiKeySecret": "key"}}
            [service] = [m for m in rendered(values) if m["kind"] == "RayService"]
            config = yaml.safe_load(service["spec"]["serveConfigV2"])
        parsed = ServeDeploySchema.model_validate(config)
        assert len(parsed.applications) == 6
        faulty = copy.deepcopy(config)
        faulty["applications"][1]["name"] = faulty["applications"][0]["name"]
        with pytest.raises(ValueError, match="multiple configs"):
            ServeDeploySchema.model_validate(faulty)

    def test_its_applications_can_be_built(self) -> None:
        from swarm.errors import ConfigError
        from swarm.runtime.serving import build_gateway, build_model

        config = yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text(encoding="utf-8"))
        *models, gateway = config["applications"]
        for application in models:
            deployment = build_model(application["args"])._bound_deployment
            assert deployment.name == application["name"]
            assert deployment.ray_actor_options["num_gpus"] == 1.0
            assert deployment.max_ongoing_requests == 256
            kinds = application["args"].get("hardware", {}).get("accelerator_type")
            selector = {"ray.io/accelerator-type": kinds} if kinds else None
            assert deployment.ray_actor_options.get("label_selector") == selector
        assert build_gateway(gateway["args"])._bound_deployment.name == "gateway"
        with pytest.raises(ConfigError, match="catalogue"):
            build_model({"name": "x", "engine": "vllm", "catalogue": "no-such-model"})
        ask: dict[str, Any] = {"models": ["analyst"]}
        wrongs: list[dict[str, Any]] = [{}, {"models": []}, ask | {"key": "x"}, ask | {"api_key_env": ""}]
        for wrong in wrongs:
            with pytest.raises(ConfigError, match="args of the gateway"):
                build_gateway(wrong)

    def test_a_gateway_without_its_key_does_not_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from swarm.errors import ConfigError
        from swarm.runtime.serving import GatewayReplica

        monkeypatch.delenv("SWARM_API_KEY", raising=False)
        with pytest.raises(ConfigError, match="SWARM_API_KEY"):
            GatewayReplica({"analyst": "analyst"}, "SWARM_API_KEY")
        monkeypatch.setenv("SWARM_API_KEY", " ")
        with pytest.raises(ConfigError, match="SWARM_API_KEY"):
            GatewayReplica({"analyst": "analyst"}, "SWARM_API_KEY")

    def test_the_cluster_file_is_one(self) -> None:
        from ray.autoscaler._private.util import prepare_config, validate_config

        validate_config(prepare_config(cluster()))

    @pytest.mark.parametrize(
        "change",
        [
            {"head_ip": "10.0.0.1"},
            {"provider": {"head_ip": "10.0.0.1"}},
            {"idle_timeout_minutes": "five"},
            {"setup_commands": "make setup"},
            {"cluster_name": 7},
        ],
        ids=["unknown key", "no type", "text for a number", "text for a list", "number for text"],
    )
    def test_a_fault_of_the_cluster_file_is_found(self, change: dict[str, Any]) -> None:
        from ray.autoscaler._private.util import prepare_config, validate_config

        with pytest.raises((jsonschema.ValidationError, ValueError, KeyError, TypeError)):
            validate_config(prepare_config(cluster() | change))
