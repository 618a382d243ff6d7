"""The chart as Helm renders it, and the validators that every manifest must pass; each returns one line per problem."""

import copy
import functools
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import yaml
from kubernetes_validate import utils as kubernetes_schemas

from tests.deploy.schemas import SCHEMAS

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm"
KUBERNETES = "1.37"
CRD_DIR = os.environ.get("SWARM_CRD_DIR", "")
"""A folder with the operators' own definitions, as YAML; nothing of it is part of this project."""

Manifest = dict[str, Any]
Validator = Callable[[Sequence[Manifest]], list[str]]

SECRETS = frozenset({"models-key", "hub-token", "ray-token", "swarm-live-token"})
"""The Secrets that the values of these tests say are there."""

MODELS = {"enabled": True, "apiKeySecret": "models-key", "hubTokenSecret": "hub-token"}
ALL: Manifest = {"cluster": {"enabled": True}, "models": MODELS, "job": {"enabled": True, "config": "five-labs-served"}}
MATRIX: dict[str, Manifest] = {
    "defaults": {},
    "everything": ALL,
    "live": {
        "live": {"enabled": True, "port": 8500, "hosts": ["wood.example"]},
        "networkPolicy": {"liveClientNamespaces": ["ingress"]},
    },
    "own token": {"auth": {"tokenSecret": "ray-token"}},
    "cluster alone": {"job": {"enabled": False}, "cluster": {"enabled": True}},
    "models alone": {"job": {"enabled": False}, "models": MODELS},
    "own config": {"job": {"enabled": True, "config": "wood", "configYaml": "name: mine\nmodels: []\n"}},
    "bare": {
        "networkPolicy": {"enabled": False},
        "metrics": {"podMonitors": {"enabled": False}, "rules": {"kind": "none"}, "dashboards": {"enabled": False}},
        "storage": {"existingClaim": "archive"},
    },
    "placed": {
        "image": {"tag": "1.2.3", "pullSecrets": ["registry"]},
        "head": {"nodeSelector": {"pool": "small"}, "tolerations": [{"key": "head", "operator": "Exists"}]},
        "storage": {"storageClass": "fast"},
        "workers": [
            {
                "name": "b200",
                "gpus": 8,
                "accelerator": "B200",
                "minReplicas": 0,
                "maxReplicas": 2,
                "resources": {"cpu": "96", "memory": "1Ti"},
                "nodeSelector": {"pool": "large"},
            }
        ],
    },
}
"""Values that the chart is rendered with, by what they show."""


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a lone `=` is text."""


def _text(loader: Any, node: Any) -> Any:
    return loader.construct_scalar(node)


_Loader.add_constructor("tag:yaml.org,2002:value", _text)


def rendered_text(values: Manifest | None = None, name: str = "wood", chart: Path = CHART) -> dict[str, str]:
    """The texts of the templates by their path."""
    with helm_python.Chart.load(chart) as loaded:
        texts: dict[str, str] = loaded.render(values or {}, name=name, namespace="trade")
    return {path.partition("/templates/")[2]: text for path, text in texts.items()}


def rendered(values: Manifest | None = None, name: str = "wood", chart: Path = CHART) -> list[Manifest]:
    """The manifests."""
    texts = rendered_text(values, name, chart)
    found = [d for path, text in texts.items() if path.endswith(".yaml") for d in yaml.load_all(text, _Loader)]
    return [d for d in found if d]


def by_kind(manifests: Sequence[Manifest], kind: str) -> list[Manifest]:
    """Those of the kind."""
    return [m for m in manifests if m["kind"] == kind]


def cluster_specs(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Each specification of a Ray cluster, with the name of what it belongs to."""
    for manifest in manifests:
        spec = manifest["spec"] if manifest["kind"] == "RayCluster" else None
        if manifest["kind"] in ("RayJob", "RayService"):
            spec = manifest["spec"].get("rayClusterSpec") or manifest["spec"].get("rayClusterConfig")
        if isinstance(spec, dict):
            yield f"{manifest['kind']} {manifest['metadata']['name']}", spec


def pod_templates(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Each template of a pod, and where it is."""
    for where, spec in cluster_specs(manifests):
        yield f"{where}: head", spec["headGroupSpec"]["template"]
        for group in spec["workerGroupSpecs"]:
            yield f"{where}: {group.get('groupName')}", group["template"]
    for job in by_kind(manifests, "RayJob"):
        if "submitterPodTemplate" in job["spec"]:
            yield f"RayJob {job['metadata']['name']}: submitter", job["spec"]["submitterPodTemplate"]


def kubernetes(manifests: Sequence[Manifest]) -> list[str]:
    """What the schemas of Kubernetes say of its own kinds, and of the pods in others."""
    problems = []
    own = [(f"{m['kind']} {m['metadata']['name']}", m) for m in manifests if m["kind"] not in SCHEMAS]
    pods = [
        (
            where,
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", **t.get("metadata", {})}, "spec": t["spec"]},
        )
        for where, t in pod_templates(manifests)
    ]
    for where, manifest in [*own, *pods]:
        try:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            problems.append(f"{where}: {'.'.join(map(str, error.path))}: {error.message[:300]}")
    return problems


# Its definitions have megabytes and are read anew for every manifest.
kubernetes_schemas.schema_contents = functools.cache(kubernetes_schemas.schema_contents)


def operators(manifests: Sequence[Manifest]) -> list[str]:
    """What our schemas say of the kinds of KubeRay and the Prometheus operator."""
    return [line for m in manifests if m["kind"] in SCHEMAS for line in _schema_problems(m, SCHEMAS[m["kind"]])]


def custom_resources(manifests: Sequence[Manifest]) -> list[str]:
    """What the operators' own definitions say, where a folder has them."""
    known = _definitions(CRD_DIR)
    return [line for m in manifests if m["kind"] in known for line in _schema_problems(m, known[m["kind"]])]


def _schema_problems(manifest: Manifest, schema: Any) -> list[str]:
    where = f"{manifest['kind']} {manifest['metadata'].get('name')}"
    found = jsonschema.Draft202012Validator(schema).iter_errors(manifest)
    return [f"{where}: {'.'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in found]


@functools.cache
def _definitions(folder: str) -> dict[str, Any]:
    """The JSON schemas by kind of the CustomResourceDefinitions in a folder, each in its newest stored version."""
    found = {}
    for path in sorted(Path(folder).glob("*.yaml")) if folder else ():
        definition = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        spec = definition["spec"]
        [version] = [v for v in spec["versions"] if v["storage"]]
        found[spec["names"]["kind"]] = _strict(version["schema"]["openAPIV3Schema"])
    return found


def _strict(schema: Any) -> Any:
    """A structural schema of Kubernetes as a JSON schema that refuses keys which the definition does not name."""
    if isinstance(schema, list):
        return [_strict(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    strict = {k: _strict(v) for k, v in schema.items() if k not in ("properties", "default", "format")}
    if "properties" in schema:
        strict["properties"] = {k: _strict(v) for k, v in schema["properties"].items()}
        open_ = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
        if not open_ and schema["properties"]:
            strict["additionalProperties"] = False
    if schema.get("nullable"):
        strict = {"anyOf": [strict, {"type": "null"}]}
    return strict


NAME_LIMITS = {"RayCluster": 53, "RayJob": 47, "RayService": 47}
"""KubeRay puts endings behind these names, and refuses longer ones."""


def kuberay(manifests: Sequence[Manifest]) -> list[str]:
    """The rules of KubeRay's admission that no schema has."""
    problems = []
    for manifest in manifests:
        limit, name = NAME_LIMITS.get(manifest["kind"]), manifest["metadata"]["name"]
        if limit and len(name) > limit:
            problems.append(f"{manifest['kind']} {name}: the name has more than {limit} characters")
        if limit and not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
            problems.append(f"{manifest['kind']} {name}: the name is no DNS-1035 label")
    for where, spec in cluster_specs(manifests):
        problems += [f"{where}: {line}" for line in _cluster_problems(spec)]
    for job in by_kind(manifests, "RayJob"):
        spec = job["spec"]
        if spec.get("submissionMode") == "SidecarMode" and "submitterPodTemplate" in spec:
            problems.append("RayJob: SidecarMode takes no submitterPodTemplate")
        if spec.get("ttlSecondsAfterFinished") and not spec.get("shutdownAfterJobFinishes"):
            problems.append("RayJob: ttlSecondsAfterFinished means nothing without shutdownAfterJobFinishes")
    return problems


def _cluster_problems(spec: Manifest) -> Iterator[str]:
    auth = spec.get("authOptions")
    if not auth or auth.get("mode") != "token":
        yield "authOptions.mode is not token, so anybody who reaches a port can run code"
    elif not re.fullmatch(r"\d+\.\d+\.\d+", spec.get("rayVersion", "")):
        yield "authOptions.mode token needs a rayVersion"
    elif tuple(map(int, spec["rayVersion"].split(".")))[:2] < (2, 52):
        yield "authOptions.mode token needs Ray 2.52"
    version_2 = spec.get("enableInTreeAutoscaling") and spec.get("autoscalerOptions", {}).get("version") == "v2"
    if not version_2:
        yield "the autoscaler is not v2"
    head = spec["headGroupSpec"]
    if head["rayStartParams"].get("num-cpus") != "0":
        yield "head: num-cpus is not 0, so it takes work"
    groups = [("head", head), *((g.get("groupName", "?"), g) for g in spec["workerGroupSpecs"])]
    if len({name for name, _ in groups}) < len(groups):
        yield "two groups have one name"
    for name, group in groups:
        params, pod = group["rayStartParams"], group["template"]["spec"]
        if {"num-cpus", "num-gpus", "memory", "resources"} & set(params) and group.get("resources"):
            yield f"{name}: resources are given twice, in rayStartParams and in resources"
        if "labels" in params:
            yield f"{name}: labels belong to the group and not to rayStartParams"
        if version_2 and pod.get("restartPolicy", "Never") != "Never":
            yield f"{name}: restartPolicy must be Never with autoscaler v2"
        for container in pod["containers"]:
            if any(e["name"] == "RAY_enable_autoscaler_v2" for e in container.get("env", ())):
                yield f"{name}: the autoscaler's version is given twice"
            # Without `rayStartParams`, KubeRay takes what Ray may use from the limits.
            resources = container.get("resources", {})
            if resources.get("limits") != resources.get("requests") or not resources.get("limits"):
                yield f"{name}: requests and limits differ"
        if "minReplicas" in group and group["minReplicas"] > group["maxReplicas"]:
            yield f"{name}: minReplicas is above maxReplicas"
        gpus = pod["containers"][0].get("resources", {}).get("limits", {}).get("nvidia.com/gpu")
        if gpus and group.get("minReplicas"):
            yield f"{name}: a group with GPUs must start from 0"


def security(manifests: Sequence[Manifest]) -> list[str]:
    """The restricted level of Pod Security, and what this project adds to it."""
    problems = []
    for where, template in pod_templates(manifests):
        problems += [f"{where}: {line}" for line in _pod_problems(template["spec"])]
    for where, spec in cluster_specs(manifests):
        autoscaler = spec.get("autoscalerOptions", {})
        problems += [
            f"{where}: autoscaler: {line}" for line in _container_problems(autoscaler, autoscaler.get("env", []))
        ]
    selected = [m["spec"]["podSelector"].get("matchLabels", {}) for m in by_kind(manifests, "NetworkPolicy")]
    for where, template in pod_templates(manifests):
        labels = template.get("metadata", {}).get("labels", {})
        if not any(wanted.items() <= labels.items() for wanted in selected):
            problems.append(f"{where}: no network policy chooses this pod")
    for policy in by_kind(manifests, "NetworkPolicy"):
        where, spec = f"NetworkPolicy {policy['metadata']['name']}", policy["spec"]
        if set(spec.get("policyTypes", ())) != {"Ingress", "Egress"}:
            problems.append(f"{where}: it does not hold for both directions")
        if any(not rule.get("from") for rule in spec.get("ingress", ())):
            problems.append(f"{where}: it lets everybody in")
    return problems


def _pod_problems(pod: Manifest) -> Iterator[str]:
    context = pod.get("securityContext", {})
    if not context.get("runAsNonRoot") or not context.get("runAsUser"):
        yield "it may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "a token for the Kubernetes API is mounted"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield f"{key} is on"
    mounted = {m["name"] for c in pod["containers"] for m in c.get("volumeMounts", ())}
    for volume in pod.get("volumes", ()):
        if "hostPath" in volume:
            yield f"volume {volume['name']} is a path of the host"
        if volume["name"] in mounted and "serviceAccountToken" in json.dumps(volume):
            yield f"volume {volume['name']} gives Ray a token for the Kubernetes API"
    for container in [*pod["containers"], *pod.get("initContainers", ())]:
        for line in _container_problems(container, container.get("env", [])):
            yield f"{container['name']}: {line}"
        image, _, tag = container["image"].rpartition(":")
        if not image or "/" in tag or tag in ("", "latest"):
            yield f"{container['name']}: image {container['image']} has no fixed tag"


def _container_problems(container: Manifest, environment: Sequence[Manifest]) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "it may gain privileges"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "its root can be written to"
    if context.get("capabilities", {}).get("drop") != ["ALL"] or context["capabilities"].get("add"):
        yield "it keeps capabilities"
    for variable in environment:
        if re.search(r"TOKEN|KEY|PASSWORD|SECRET", variable["name"]) and "value" in variable:
            yield f"{variable['name']} is written out, which belongs into a Secret"


def references(manifests: Sequence[Manifest]) -> list[str]:
    """Names that nothing has: claims, config maps, Secrets, volumes, ports that are monitored."""
    names = {
        kind: {m["metadata"]["name"] for m in by_kind(manifests, kind)}
        for kind in ("ConfigMap", "PersistentVolumeClaim")
    }
    problems, ports = [], set()
    for where, template in pod_templates(manifests):
        pod = template["spec"]
        volumes = {v["name"]: v for v in pod.get("volumes", ())}
        for volume in volumes.values():
            if (wanted := volume.get("configMap", {}).get("name")) and wanted not in names["ConfigMap"]:
                problems.append(f"{where}: there is no ConfigMap {wanted}")
            wanted = volume.get("persistentVolumeClaim", {}).get("claimName")
            if wanted and wanted not in names["PersistentVolumeClaim"] | {"archive"}:
                problems.append(f"{where}: there is no PersistentVolumeClaim {wanted}")
        for container in pod["containers"]:
            ports |= {p["name"] for p in container.get("ports", ())}
            for mount in container.get("volumeMounts", ()):
                if mount["name"] not in volumes:
                    problems.append(f"{where}: there is no volume {mount['name']}")
            for variable in container.get("env", ()):
                secret = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name")
                if "valueFrom" in variable and secret not in SECRETS:
                    problems.append(f"{where}: {variable['name']} comes from Secret {secret!r}, which is not there")
    for where, spec in cluster_specs(manifests):
        offered = {v["name"] for v in spec["headGroupSpec"]["template"]["spec"].get("volumes", ())}
        mounted = {m["name"] for m in spec.get("autoscalerOptions", {}).get("volumeMounts", ())}
        problems += [f"{where}: autoscaler: there is no volume {name}" for name in sorted(mounted - offered)]
        if (secret := spec.get("authOptions", {}).get("secretName")) and secret not in SECRETS:
            problems.append(f"{where}: there is no Secret {secret}")
    for monitor in by_kind(manifests, "PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            wanted = endpoint["port"]
            if wanted not in ports and not (wanted == "swarm-metrics" and not _has_runs(manifests)):
                problems.append(f"PodMonitor {monitor['metadata']['name']}: no container has the port {wanted}")
    return problems


def _has_runs(manifests: Sequence[Manifest]) -> bool:
    return any(m["kind"] in ("RayJob", "RayCluster") for m in manifests)


VALIDATORS: dict[str, Validator] = {
    "kubernetes": kubernetes,
    "operators": operators,
    "custom_resources": custom_resources,
    "kuberay": kuberay,
    "security": security,
    "references": references,
}
"""By name."""


def changed(manifests: Sequence[Manifest], change: Callable[[dict[str, Manifest]], None]) -> list[Manifest]:
    """A copy in which `change` has had its way with the manifests by kind, of each kind the first."""
    copies = copy.deepcopy(list(manifests))
    change({m["kind"]: m for m in reversed(copies)})
    return copies
