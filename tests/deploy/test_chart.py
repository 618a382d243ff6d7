"""The Helm chart, rendered and linted by the real engine: every manifest is checked, and faults put in are found."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from swarm import config_file
from swarm.config import RuntimeConfig
from swarm.llm.engines.openai.config import OpenAIModel
from tests.deploy.manifests import (
    ALL,
    CHART,
    CRD_DIR,
    MATRIX,
    MODELS,
    ROOT,
    VALIDATORS,
    Manifest,
    by_kind,
    changed,
    cluster_specs,
    rendered,
    rendered_text,
)
from tests.patience import patience

VALUES_LIMIT = 150
CHECKED = [name for name in VALIDATORS if CRD_DIR or name != "custom_resources"]


@cache
def whole() -> tuple[Manifest, ...]:
    """The manifests with everything switched on; not to be changed."""
    return tuple(rendered(ALL))


@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX)
@pytest.mark.parametrize("validator", CHECKED)
def test_every_manifest_passes(values: Manifest, validator: str) -> None:
    manifests = rendered(values)
    assert manifests
    if values.get("networkPolicy") == {"enabled": False} and validator == "security":
        problems = [p for p in VALIDATORS[validator](manifests) if "no network policy" not in p]
    else:
        problems = VALIDATORS[validator](manifests)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX)
def test_helm_lints_it(values: Manifest) -> None:
    found = helm_python.lint(CHART, values, strict=True, kube_version="v1.33.0")
    severe = [m for m in [*found["messages"], *found["errors"]] if isinstance(m, str) or m["severity"] > 1]
    assert not severe


def test_it_packs_and_renders_the_same_from_the_archive(tmp_path: Path) -> None:
    archive = Path(helm_python.package(CHART, destination=tmp_path))
    assert rendered(ALL, chart=archive) == list(whole())


def test_the_values_fit_on_two_pages() -> None:
    assert len((CHART / "values.yaml").read_text(encoding="utf-8").splitlines()) < VALUES_LIMIT


# Values that the schema or a template must refuse, and what is said.
REFUSED: dict[str, tuple[Manifest, str]] = {
    "unknown key": ({"jobs": {"enabled": True}}, "jobs"),
    "unknown key below": ({"job": {"retries": 3}}, "retries"),
    "text for a number": ({"metrics": {"port": "9464"}}, "/metrics/port"),
    "port that Ray has": ({"metrics": {"port": 8265}}, "/metrics/port"),
    "latest": ({"image": {"tag": "latest"}}, "/image/tag"),
    "no quantity": ({"storage": {"size": "a lot"}}, "/storage/size"),
    "number for a quantity": ({"head": {"resources": {"cpu": 2}}}, "/head/resources/cpu"),
    "models without a key": ({"models": {"enabled": True}}, "/models/apiKeySecret"),
    "Ray without tokens": ({"rayVersion": "2.51.0"}, "/rayVersion"),
    "no such kind": ({"metrics": {"rules": {"kind": "Rule"}}}, "/metrics/rules/kind"),
    "no such config": ({"job": {"config": "meadow"}}, 'there is no config "meadow"'),
    "override without a value": ({"job": {"overrides": ["rounds"]}}, "/job/overrides/0"),
    "no workers": ({"workers": []}, "/workers"),
    "min above max": (
        {
            "workers": [
                {"name": "x", "gpus": 0, "minReplicas": 3, "maxReplicas": 2, "resources": {"cpu": "1", "memory": "1Gi"}}
            ]
        },
        "minReplicas 3 above maxReplicas 2",
    ),
    "no YAML": ({"models": MODELS | {"serveConfig": "a: [b"}}, "models.serveConfig is no YAML"),
}


@pytest.mark.parametrize(("values", "said"), REFUSED.values(), ids=REFUSED)
def test_wrong_values_are_refused(values: Manifest, said: str) -> None:
    with pytest.raises(helm_python.HelmError) as refusal:
        rendered(values)
    assert said in str(refusal.value)


def test_a_release_whose_name_kuberay_would_refuse_is_refused() -> None:
    with pytest.raises(helm_python.HelmError, match="must begin with a letter"):
        rendered(ALL, name="7-wood")


def test_the_longest_name_of_a_release_still_fits() -> None:
    manifests = rendered(ALL, name="w" * 53)
    assert not VALIDATORS["kuberay"](manifests)
    assert not VALIDATORS["references"](manifests)


def cluster(m: dict[str, Manifest]) -> Manifest:
    """The specification of the RayCluster."""
    spec: Manifest = m["RayCluster"]["spec"]
    return spec


def head(m: dict[str, Manifest]) -> Manifest:
    """The pod of the RayCluster's head."""
    pod: Manifest = cluster(m)["headGroupSpec"]["template"]["spec"]
    return pod


def worker(m: dict[str, Manifest], group: int = 0) -> Manifest:
    """A group of workers."""
    found: Manifest = cluster(m)["workerGroupSpecs"][group]
    return found


Change = Callable[[dict[str, Manifest]], Any]

# A fault, what must find it, and what it must say.
FAULTS: dict[str, tuple[Change, str, str]] = {
    "unknown key of a cluster": (lambda m: cluster(m).update(headSpec={}), "operators", "headSpec"),
    "unknown key of a group": (lambda m: worker(m).update(minReplica=0), "operators", "minReplica"),
    "unknown key of a job": (lambda m: m["RayJob"]["spec"].update(entryPoint="x"), "operators", "entryPoint"),
    "unknown key of a monitor": (lambda m: m["PodMonitor"]["spec"].update(ports=[]), "operators", "ports"),
    "no such version": (lambda m: cluster(m)["autoscalerOptions"].update(version="v9"), "operators", "v9"),
    "no such mode": (lambda m: m["RayJob"]["spec"].update(submissionMode="Batch"), "operators", "Batch"),
    "text for a number": (lambda m: worker(m).update(maxReplicas="8"), "operators", "'8' is not of type 'integer'"),
    "number for text": (
        lambda m: cluster(m)["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
        "operators",
        "0 is not of type 'string'",
    ),
    "no head": (
        lambda m: m["RayService"]["spec"]["rayClusterConfig"].pop("headGroupSpec"),
        "operators",
        "headGroupSpec",
    ),
    "no version of the kind": (lambda m: m["RayCluster"].update(apiVersion="ray.io/v2"), "operators", "ray.io/v1"),
    "misspelt key of a container": (
        lambda m: head(m)["containers"][0].update(volumeMount=[]),
        "kubernetes",
        "volumeMount",
    ),
    "text for a port": (
        lambda m: head(m)["containers"][0]["ports"][0].update(containerPort="6379"),
        "kubernetes",
        "containerPort",
    ),
    "no such policy type": (lambda m: m["NetworkPolicy"]["spec"].update(policyType=[]), "kubernetes", "policyType"),
    "claim without a size": (
        lambda m: m["PersistentVolumeClaim"]["spec"].update(resources="1Gi"),
        "kubernetes",
        "resources",
    ),
    "name too long": (lambda m: m["RayJob"]["metadata"].update(name="x" * 48), "kuberay", "more than 47"),
    "name with a digit first": (lambda m: m["RayCluster"]["metadata"].update(name="7wood"), "kuberay", "DNS-1035"),
    "min above max": (lambda m: worker(m).update(minReplicas=9), "kuberay", "minReplicas is above maxReplicas"),
    "restarting head": (lambda m: head(m).update(restartPolicy="Always"), "kuberay", "restartPolicy must be Never"),
    "token without a version": (lambda m: cluster(m).pop("rayVersion"), "kuberay", "needs a rayVersion"),
    "token with an old Ray": (lambda m: cluster(m).update(rayVersion="2.51.1"), "kuberay", "needs Ray 2.52"),
    "no token": (lambda m: cluster(m).pop("authOptions"), "kuberay", "anybody who reaches a port"),
    "autoscaler of old": (lambda m: cluster(m)["autoscalerOptions"].pop("version"), "kuberay", "not v2"),
    "head that works": (lambda m: cluster(m)["headGroupSpec"]["rayStartParams"].clear(), "kuberay", "it takes work"),
    "resources twice": (
        lambda m: cluster(m)["headGroupSpec"].update(resources={"CPU": "2"}),
        "kuberay",
        "resources are given twice",
    ),
    "GPUs that never stop": (lambda m: worker(m, 1).update(minReplicas=1), "kuberay", "must start from 0"),
    "two groups of one name": (lambda m: worker(m, 1).update(groupName="cpu"), "kuberay", "one name"),
    "more limits than requests": (
        lambda m: head(m)["containers"][0].update(resources={"limits": {"cpu": "4"}, "requests": {"cpu": "1"}}),
        "kuberay",
        "requests and limits differ",
    ),
    "privileged": (
        lambda m: head(m)["containers"][0]["securityContext"].update(privileged=True),
        "security",
        "privileged",
    ),
    "root": (lambda m: head(m).update(securityContext={}), "security", "may run as root"),
    "root that can be written to": (
        lambda m: cluster(m)["autoscalerOptions"]["securityContext"].update(readOnlyRootFilesystem=False),
        "security",
        "can be written to",
    ),
    "token mounted": (lambda m: head(m).pop("automountServiceAccountToken"), "security", "Kubernetes API is mounted"),
    "token for Ray": (
        lambda m: head(m)["containers"][0]["volumeMounts"].append({"name": "kube-api", "mountPath": "/x"}),
        "security",
        "gives Ray a token",
    ),
    "path of the host": (
        lambda m: head(m)["volumes"].append({"name": "disk", "hostPath": {"path": "/"}}),
        "security",
        "path of the host",
    ),
    "image called latest": (
        lambda m: worker(m)["template"]["spec"]["containers"][0].update(image="thousand-token-wood:latest"),
        "security",
        "no fixed tag",
    ),
    "secret written out": (
        lambda m: head(m)["containers"][0]["env"].append({"name": "HF_TOKEN", "value": "hf_x"}),
        "security",
        "belongs into a Secret",
    ),
    "pod that no policy chooses": (
        lambda m: cluster(m)["headGroupSpec"]["template"]["metadata"]["labels"].clear(),
        "security",
        "no network policy",
    ),
    "policy that lets everybody in": (
        lambda m: m["NetworkPolicy"]["spec"]["ingress"].append({"ports": [{"port": 8265}]}),
        "security",
        "lets everybody in",
    ),
    "secret that is not there": (
        lambda m: head(m)["containers"][0]["env"][-1]["valueFrom"]["secretKeyRef"].update(name="other"),
        "references",
        "Secret 'other', which is not there",
    ),
    "config map that is not there": (
        lambda m: m["ConfigMap"]["metadata"].update(name="other"),
        "references",
        "there is no ConfigMap wood-configs",
    ),
    "volume that is not there": (lambda m: head(m)["volumes"].pop(0), "references", "there is no volume home"),
    "port that nobody has": (
        lambda m: m["PodMonitor"]["spec"]["podMetricsEndpoints"][0].update(port="metric"),
        "references",
        "no container has the port metric",
    ),
}


@pytest.mark.parametrize(("change", "validator", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found(change: Change, validator: str, said: str) -> None:
    faulty = changed(whole(), change)
    found = VALIDATORS[validator](faulty)
    assert any(said in line for line in found), found


@pytest.mark.skipif(not CRD_DIR, reason="SWARM_CRD_DIR names no folder with the operators' own definitions")
def test_the_operators_own_definitions_find_faults_as_well() -> None:
    # The mode of a job is free text there, and the version of a kind is no part of a definition's schema.
    elsewhere = ("no such mode", "no version of the kind")
    structural = [
        name for name, (_, validator, _) in FAULTS.items() if validator == "operators" and name not in elsewhere
    ]
    found = [name for name in structural if VALIDATORS["custom_resources"](changed(whole(), FAULTS[name][0]))]
    assert found == structural


def test_the_head_has_no_work_and_gpus_start_from_none() -> None:
    specs = dict(cluster_specs(whole()))
    assert len(specs) == 3
    for spec in specs.values():
        assert spec["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
        groups = {g["groupName"]: g for g in spec["workerGroupSpecs"]}
        assert groups["gpu-l4"]["minReplicas"] == groups["gpu-h100"]["minReplicas"] == 0
        assert groups["gpu-l4"]["labels"] == {"ray.io/accelerator-type": "L4"}


def config_map() -> dict[str, str]:
    """What the pods of runs find in /etc/swarm, with everything switched on."""
    [data] = [m["data"] for m in by_kind(whole(), "ConfigMap") if m["metadata"]["name"] == "wood-configs"]
    found: dict[str, str] = data
    return found


def test_a_run_asks_the_models_that_are_served_beside_it() -> None:
    config = config_file.resolve(yaml.safe_load(config_map()["config.yaml"]))
    [service] = by_kind(whole(), "RayService")
    address = f"http://{service['metadata']['name']}-serve-svc:8000/v1"
    asked = [m for m in config.models if isinstance(m, OpenAIModel)]
    assert {m.base_url for m in asked} == {address}
    served = {a["name"]: a for a in yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]}
    assert {m.model for m in asked} == set(served["gateway"]["args"]["models"])
    assert served["gateway"]["args"]["api_key_env"] == "SWARM_API_KEY"


@pytest.mark.skipif("metrics_port" not in RuntimeConfig.model_fields, reason="a run has no metrics of its own yet")
def test_what_a_run_is_given_besides_its_config_is_right() -> None:
    arguments = config_map()["arguments"].splitlines()
    assert arguments[::2] == ["--set"] * (len(arguments) // 2)
    loaded = config_file.load(ROOT / "configs" / "wood.yaml", tuple(arguments[1::2]))
    assert loaded.runtime.model_dump()["metrics_port"] == 9464


def test_another_config_is_another_run() -> None:
    def job(values: Manifest) -> str:
        [found] = by_kind(rendered(values), "RayJob")
        assert found["spec"]["entrypoint"].endswith(f"/runs/{found['metadata']['name']}")
        return str(found["metadata"]["name"])

    names = [job({}), job({"job": {"overrides": ["rounds=3"]}}), job({"job": {"config": "thousand"}})]
    assert len(set(names)) == 3
    assert job({}) == names[0]


def test_the_live_page_is_off_and_has_a_service_where_it_is_on() -> None:
    assert not [m for m in rendered({}) if m["kind"] == "Service"]
    manifests = rendered(MATRIX["live"])
    (service,) = by_kind(manifests, "Service")
    ((_, spec),) = cluster_specs(manifests)
    head = spec["headGroupSpec"]["template"]
    ports = {p["name"]: p["containerPort"] for p in head["spec"]["containers"][0]["ports"]}
    assert ports[service["spec"]["ports"][0]["targetPort"]] == service["spec"]["ports"][0]["port"] == 8500
    secret = [e for e in head["spec"]["containers"][0]["env"] if e["name"] == "SWARM_LIVE_TOKEN"]
    assert secret[0]["valueFrom"]["secretKeyRef"]["name"] == "swarm-live-token"
    (configs,) = [m for m in by_kind(manifests, "ConfigMap") if "run.sh" in m["data"]]
    told = configs["data"]["live"].splitlines()
    assert told[:3] == ["--live", "--live-at", "0.0.0.0:8500"]
    assert service["metadata"]["name"] in told and "wood.example" in told


STAND_IN = """\
#!{python}
import os, pathlib, sys
pathlib.Path(os.environ["CALLS"]).write_text("\\n".join(sys.argv[1:]))
"""


@pytest.mark.parametrize("live", [[], ["--live", "--live-at", "0.0.0.0:8484"]], ids=["alone", "live"])
@pytest.mark.parametrize("begun", [False, True], ids=["new", "begun"])
def test_the_script_begins_a_run_or_goes_on_with_it(tmp_path: Path, begun: bool, live: list[str]) -> None:
    mounted, folder, calls = tmp_path / "etc", tmp_path / "run", tmp_path / "calls"
    mounted.mkdir()
    for name, text in (config_map() | {"arguments": "--set\nname=two words\n--set\nrounds=3\n"}).items():
        (mounted / name).write_text(text)
    if live:
        (mounted / "live").write_text("\n".join(live) + "\n")
    if begun:
        folder.mkdir()
        (folder / "config.yaml").write_text("name: wood\n")
    command = tmp_path / "bin" / "swarm"
    command.parent.mkdir()
    command.write_text(STAND_IN.format(python=sys.executable))
    command.chmod(0o755)
    environment = {"PATH": f"{command.parent}:/usr/bin:/bin", "CALLS": str(calls)}
    subprocess.run(["bash", str(mounted / "run.sh"), str(folder)], env=environment, check=True, timeout=patience(200))
    told = calls.read_text().splitlines()
    if begun:
        assert told == ["run", "--resume", str(folder), "--trust", "--address", "auto", *live]
    else:
        assert told[:6] == ["run", str(mounted / "config.yaml"), "--out", str(folder), "--address", "auto"]
        assert told[6:] == ["--set", "name=two words", "--set", "rounds=3", *live]


def sources() -> dict[Path, Path]:
    """What the chart has copies of: the original by the copy."""
    left_out = ("endpoint.yaml", "five-labs-cpu.yaml", "real.yaml")
    copied = {CHART / "configs" / p.name: p for p in (ROOT / "configs").glob("*.yaml") if p.name not in left_out}
    copied[CHART / "serve.yaml"] = ROOT / "deploy" / "ray" / "serve.yaml"
    copied |= {CHART / "dashboards" / p.name: p for p in (ROOT / "dashboards").glob("*.json")}
    rules = ROOT / "deploy" / "prometheus" / "rules.yml"
    return copied | ({CHART / "rules.yml": rules} if rules.exists() else {})


def test_the_copies_in_the_chart_are_up_to_date() -> None:
    there = [*(CHART / "configs").iterdir(), *(CHART / "dashboards").glob("*"), CHART / "serve.yaml"]
    there += [CHART / "rules.yml"] if (CHART / "rules.yml").exists() else []
    assert set(there) == set(sources()), "`make chart` copies what the chart carries"
    for copied, original in sources().items():
        assert copied.read_bytes() == original.read_bytes(), f"{copied}: `make chart` copies {original}"


RULES = """\
groups:
  - name: swarm
    rules:
      - alert: SwarmLedgerBroken
        expr: swarm_conservation_error != 0
        for: 1m
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.run }} lost {{ $value }}"}
"""
DASHBOARD = '{"title": "Run", "panels": [{"legendFormat": "{{run}}"}]}\n'


@pytest.mark.parametrize("kind", ["PrometheusRule", "ConfigMap", "none"])
def test_rules_and_dashboards_reach_the_cluster_as_they_are(tmp_path: Path, kind: str) -> None:
    chart = Path(shutil.copytree(CHART, tmp_path / "helm"))
    shutil.rmtree(chart / "dashboards", ignore_errors=True)
    (chart / "dashboards").mkdir()
    (chart / "dashboards" / "run_one.json").write_text(DASHBOARD)
    (chart / "rules.yml").write_text(RULES)
    manifests = rendered({"metrics": {"rules": {"kind": kind, "labels": {"release": "prometheus"}}}}, chart=chart)
    for validator in CHECKED:
        assert not VALIDATORS[validator](manifests)
    maps = {m["metadata"]["name"]: m for m in by_kind(manifests, "ConfigMap")}
    assert maps["wood-dashboard-run-one"]["data"]["run_one.json"].strip() == DASHBOARD.strip()
    assert maps["wood-dashboard-run-one"]["metadata"]["labels"]["grafana_dashboard"] == "1"
    rules = by_kind(manifests, "PrometheusRule")
    if kind == "PrometheusRule":
        assert rules[0]["spec"] == yaml.safe_load(RULES)
        assert rules[0]["metadata"]["labels"]["release"] == "prometheus"
    else:
        assert not rules
        assert ("wood-rules" in maps) == (kind == "ConfigMap")


def test_every_rule_and_dashboard_of_the_chart_is_rendered() -> None:
    dashboards = {p.name for p in (CHART / "dashboards").glob("*.json")}
    maps = [m for m in by_kind(whole(), "ConfigMap") if "-dashboard-" in m["metadata"]["name"]]
    assert {name for m in maps for name in m["data"]} == dashboards
    for m in maps:
        # A ConfigMap holds no more than a mebibyte.
        assert sum(map(len, m["data"].values())) < 2**20
    if (CHART / "rules.yml").exists():
        [rules] = by_kind(whole(), "PrometheusRule")
        assert rules["spec"] == yaml.safe_load((CHART / "rules.yml").read_text(encoding="utf-8"))


def test_notes_name_what_was_made() -> None:
    notes = rendered_text(ALL)["NOTES.txt"]
    [job] = by_kind(whole(), "RayJob")
    assert job["metadata"]["name"] in notes
    assert "wood-models-serve-svc.trade:8000/v1" in notes
