"""What this project uses of the kinds of KubeRay and of the Prometheus operator, as strict JSON schemas.

They are written from the documented fields and know no more than the chart needs, so a key that is misspelt, out of its
place or of another type is found. Pod templates are left to the schema of Kubernetes itself. The operators' own
definitions are not part of this project; where SWARM_CRD_DIR names a folder with them, the tests hold to them as well.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
COUNT: Schema = {"type": "integer", "minimum": 0}
QUANTITY: Schema = {
    "anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d+(\.\d+)?([munkMGTPE]|[KMGTPE]i)?$"}]
}
POD_TEMPLATE: Schema = {"type": "object", "required": ["spec"], "properties": {"metadata": {"type": "object"}}}
LABEL: Schema = {"type": "string", "maxLength": 63, "pattern": r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"}


def strict(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """An object with these keys and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {name.rstrip("_"): schema for name, schema in properties.items()},
    }


def listed(item: Schema) -> Schema:
    """A list of `item`."""
    return {"type": "array", "items": item}


RESOURCES = strict(
    limits={"type": "object", "additionalProperties": QUANTITY},
    requests={"type": "object", "additionalProperties": QUANTITY},
)
ENVIRONMENT = listed(strict(("name",), name=TEXT, value=TEXT, valueFrom={"type": "object"}))
MOUNTS = listed(strict(("name", "mountPath"), name=TEXT, mountPath=TEXT, readOnly={"type": "boolean"}, subPath=TEXT))
CONTAINER_SECURITY = strict(
    allowPrivilegeEscalation={"type": "boolean"},
    privileged={"type": "boolean"},
    readOnlyRootFilesystem={"type": "boolean"},
    runAsNonRoot={"type": "boolean"},
    runAsUser=COUNT,
    runAsGroup=COUNT,
    capabilities=strict(add=listed(TEXT), drop=listed(TEXT)),
    seccompProfile=strict(("type",), type=TEXT),
)
# Ray takes these on its command line, so all are text.
START_PARAMETERS = TEXTS
HEAD = strict(
    ("rayStartParams", "template"),
    serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    rayStartParams=START_PARAMETERS,
    resources=TEXTS,
    labels=TEXTS,
    template=POD_TEMPLATE,
)
WORKER_GROUP = strict(
    ("groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"),
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    idleTimeoutSeconds=COUNT,
    rayStartParams=START_PARAMETERS,
    resources=TEXTS,
    labels=TEXTS,
    template=POD_TEMPLATE,
)
AUTOSCALER = strict(
    ("version",),
    version={"enum": ["v1", "v2"]},
    upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
    idleTimeoutSeconds=COUNT,
    imagePullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
    image=TEXT,
    resources=RESOURCES,
    securityContext=CONTAINER_SECURITY,
    env=ENVIRONMENT,
    volumeMounts=MOUNTS,
)
CLUSTER_SPEC = strict(
    ("headGroupSpec", "workerGroupSpecs", "rayVersion"),
    rayVersion=TEXT,
    authOptions=strict(("mode",), mode={"enum": ["token", "disabled"]}, secretName=TEXT),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=AUTOSCALER,
    headGroupSpec=HEAD,
    workerGroupSpecs=listed(WORKER_GROUP),
)
JOB_SPEC = strict(
    ("entrypoint", "rayClusterSpec"),
    entrypoint={"type": "string", "minLength": 1},
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"]},
    shutdownAfterJobFinishes={"type": "boolean"},
    ttlSecondsAfterFinished=COUNT,
    activeDeadlineSeconds={"type": "integer", "minimum": 1},
    backoffLimit=COUNT,
    rayClusterSpec=CLUSTER_SPEC,
    submitterPodTemplate=POD_TEMPLATE,
)
SERVICE_SPEC = strict(
    ("serveConfigV2", "rayClusterConfig"),
    serveConfigV2={"type": "string", "minLength": 1},
    rayClusterConfig=CLUSTER_SPEC,
)
MONITOR_SPEC = strict(
    ("selector", "podMetricsEndpoints"),
    selector=strict(matchLabels=TEXTS),
    podMetricsEndpoints=listed(
        strict(
            ("port",),
            port=TEXT,
            path=TEXT,
            interval={"type": "string", "pattern": r"^\d+(ms|s|m|h)$"},
            relabelings=listed(
                strict(
                    action={"enum": ["replace", "keep", "drop", "labelmap", "labeldrop", "labelkeep"]},
                    sourceLabels=listed(TEXT),
                    targetLabel=TEXT,
                    regex=TEXT,
                    replacement=TEXT,
                )
            ),
        )
    ),
)
RULE_SPEC = strict(
    ("groups",),
    groups=listed(
        strict(
            ("name", "rules"),
            name=TEXT,
            interval=TEXT,
            rules=listed(
                {
                    **strict(
                        ("expr",),
                        record=TEXT,
                        alert=TEXT,
                        expr={"anyOf": [TEXT, {"type": "integer"}]},
                        for_=TEXT,
                        keep_firing_for=TEXT,
                        labels=TEXTS,
                        annotations=TEXTS,
                    ),
                    "oneOf": [{"required": ["record"]}, {"required": ["alert"]}],
                }
            ),
        )
    ),
)
METADATA = strict(
    ("name",),
    name={"type": "string", "maxLength": 63},
    namespace=TEXT,
    labels={"type": "object", "additionalProperties": LABEL},
    annotations=TEXTS,
)


def of_kind(group: str, kind: str, spec: Schema) -> Schema:
    """A whole object of the kind."""
    return strict(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": group},
        kind={"const": kind},
        metadata=METADATA,
        spec=spec,
    )


SCHEMAS = {
    "RayCluster": of_kind("ray.io/v1", "RayCluster", CLUSTER_SPEC),
    "RayJob": of_kind("ray.io/v1", "RayJob", JOB_SPEC),
    "RayService": of_kind("ray.io/v1", "RayService", SERVICE_SPEC),
    "PodMonitor": of_kind("monitoring.coreos.com/v1", "PodMonitor", MONITOR_SPEC),
    "PrometheusRule": of_kind("monitoring.coreos.com/v1", "PrometheusRule", RULE_SPEC),
}
"""By kind."""
