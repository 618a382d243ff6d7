"""Builds the dashboard of the cluster: shards, nodes, Ray Serve and Ray's own actors, tasks and memory.

It knows the names of metrics, a run's and Ray's, and does not import Ray.
"""

from typing import Any

from swarm.monitoring.dashboards.panels import BAD, FAIR, RATE, Query, board, lines, number, quantile, row, variable

RUN = 'run="$run"'
RAY = 'SessionName="$session"'
NODE = f'{RAY},ip=~"$node"'
NODE_ADDRESS = f'{RAY},NodeAddress=~"$node"'


def dashboard() -> Any:
    """Returns the dashboard, built."""
    return board(
        "swarm-cluster",
        "Swarm: the cluster",
        "What the Ray cluster of a run does: its shards, nodes, Ray Serve, and Ray's actors, tasks and memory.",
        [
            variable("run", "Run", "swarm_run_info", "run", "The run's folder, and six digits of its path."),
            variable(
                "session", "Ray session", "ray_node_cpu_count", "SessionName", "One start of a Ray cluster; the latest."
            ),
            variable("node", "Node", f"ray_node_cpu_count{{{RAY}}}", "ip", "The nodes to show.", several=True),
        ],
        [
            *_state(),
            row("Nodes"),
            *_nodes(),
            *_processes_and_gpus(),
            row("Ray Serve"),
            *_serve(),
            *_replicas(),
            row("Ray"),
            *_ray(),
            *_ray_at_work(),
        ],
    )


def _state() -> list[Any]:
    # The run's own figures stand beside Ray's, so that one look tells whether what Ray has is what the run uses.
    return [
        number(
            "Shards",
            "Ray actors that host the run's traders, one process each.",
            "none",
            Query(f"swarm_shards{{{RUN}}}", "shards"),
            decimals=0,
        ),
        number(
            "Nodes",
            "Nodes of the Ray cluster that report.",
            "none",
            Query(f"count(ray_node_cpu_count{{{RAY}}})", "nodes"),
            decimals=0,
        ),
        number(
            "Actors alive",
            "Ray actors that are alive: the market, the shards, Serve's replicas and its controller.",
            "none",
            Query(f'sum(ray_actors{{{RAY},Source="gcs",State="ALIVE"}})', "actors"),
            decimals=0,
        ),
        number(
            "Replicas healthy",
            "Replicas of Ray Serve deployments that passed their last health check.",
            "none",
            Query(f"sum(ray_serve_deployment_replica_healthy{{{RAY}}})", "replicas"),
            decimals=0,
        ),
        number(
            # One restart is worth a look; from the third on something is wrong with the machine.
            "Market restarts",
            "How often the market's process was lost and came back from its journal.",
            "none",
            Query(f"swarm_market_restarts_total{{{RUN}}}", "restarts"),
            decimals=0,
            steps=[(1, FAIR), (3, BAD)],
        ),
        number(
            "Turns late",
            "Turns so far that were lost because the trader's shard did not answer before the deadline.",
            "short",
            Query(f"sum(swarm_late_traders_total{{{RUN}}})", "late"),
            decimals=0,
            steps=[(1, FAIR)],
        ),
    ]


def _by_process(series: str) -> str:
    """Returns a series with the label `process`: the component without a program's folder or what an actor does.

    Ray renames a process with each call that it works on, which would make a series for each.
    """
    program = f'label_replace({series}{{{NODE}}}, "process", "$1", "Component", ".*/([^/]+)")'
    return f'label_replace({program}, "process", "$1", "Component", "(?:ray::)?([A-Za-z_]+).*")'


def _nodes() -> list[Any]:
    # A node's whole load, whatever causes it; the axes end where the machine does.
    return [
        lines(
            "CPU in use",
            "Share of each node's cores that is busy, with whatever else runs there.",
            "percent",
            Query(f"ray_node_cpu_utilization{{{NODE}}}", "{{ip}}"),
            width=8,
            top=100,
        ),
        lines(
            "Memory in use",
            "Share of each node's memory that is taken. Ray ends workers from 95 % on.",
            "percentunit",
            Query(f"ray_node_mem_used{{{NODE}}} / ray_node_mem_total{{{NODE}}}", "{{ip}}"),
            width=8,
            top=1,
        ),
        lines(
            "Disk in use",
            "Share of the disk that Ray's folder lies on; nearly full, Ray takes no more work.",
            "percent",
            Query(f"ray_node_disk_utilization_percentage{{{NODE}}}", "{{ip}}"),
            width=8,
            top=100,
        ),
        lines(
            "Network",
            "What each node receives and sends.",
            "binBps",
            Query(f"ray_node_network_receive_speed{{{NODE}}}", "{{ip}} in"),
            Query(f"ray_node_network_send_speed{{{NODE}}}", "{{ip}} out"),
            width=8,
        ),
    ]


def _processes_and_gpus() -> list[Any]:
    # Memory that is a process's alone: shared pages, as of the object store, would be counted once for each.
    return [
        lines(
            "Memory of processes",
            "Memory that Ray's processes have for themselves, by kind of process, over the nodes chosen.",
            "bytes",
            Query(f"sum by (process) ({_by_process('ray_component_uss_bytes')})", "{{process}}"),
            width=8,
            stacked=True,
        ),
        lines(
            "CPU of processes",
            "Cores that Ray's processes keep busy, by kind of process, over the nodes chosen.",
            "short",
            Query(f"sum by (process) ({_by_process('ray_component_cpu_percentage')}) / 100", "{{process}}"),
            width=8,
            stacked=True,
        ),
        lines(
            "GPU in use",
            "Share of each GPU's time in which it computes. Empty where no node has a GPU.",
            "percent",
            Query(f"ray_node_gpus_utilization{{{NODE}}}", "{{ip}} GPU {{GpuIndex}}"),
            width=12,
            height=6,
            top=100,
        ),
        lines(
            "GPU memory in use",
            "Memory of each GPU that is taken. Empty where no node has a GPU.",
            "decmbytes",
            Query(f"ray_node_gram_used{{{NODE}}}", "{{ip}} GPU {{GpuIndex}}"),
            width=12,
            height=6,
        ),
    ]


def _serve() -> list[Any]:
    # A request is a batch: shards send all prompts of a round for one model at once.
    requests = f"ray_serve_deployment_request_counter_total{{{RAY}}}"
    latency = f"ray_serve_deployment_processing_latency_ms_bucket{{{RAY}}}"
    return [
        lines(
            "Batches a second",
            "Requests that each deployment answers; one is the batch of one shard's prompts for one model and round.",
            "reqps",
            Query(f"sum by (deployment) (rate({requests}[{RATE}]))", "{{deployment}}"),
            width=8,
            stacked=True,
        ),
        lines(
            "95th percentile of a batch's time",
            "Time in the replica, from Ray Serve's buckets.",
            "ms",
            Query(quantile(0.95, latency, "deployment"), "{{deployment}}"),
            width=8,
        ),
        lines(
            "Batches that failed",
            "Requests that ended in an exception, per second; Serve has no series for them until there was one.",
            "reqps",
            Query(
                f"sum by (deployment) (rate(ray_serve_deployment_error_counter_total{{{RAY}}}[{RATE}])) "
                f"or 0 * sum by (deployment) (rate({requests}[{RATE}]))",
                "{{deployment}}",
            ),
            width=8,
            top=0.1,
        ),
    ]


def _replicas() -> list[Any]:
    return [
        lines(
            "Batches under way",
            "Requests that the replicas of each deployment work on.",
            "short",
            Query(f"sum by (deployment) (ray_serve_replica_processing_queries{{{RAY}}})", "{{deployment}}"),
            width=8,
            stacked=True,
        ),
        # Waiting is the sign of too few replicas; that they work on much is not.
        lines(
            "Batches waiting",
            "Requests that wait in the callers for a replica with room.",
            "short",
            Query(f"sum by (deployment) (ray_serve_deployment_queued_queries{{{RAY}}})", "{{deployment}}"),
            width=8,
            top=1,
            stacked=True,
        ),
        lines(
            "Replicas",
            "Healthy replicas of each deployment, and how many Ray Serve wants.",
            "short",
            Query(f"sum by (deployment) (ray_serve_deployment_replica_healthy{{{RAY}}})", "{{deployment}} healthy"),
            Query(f"sum by (deployment) (ray_serve_autoscaling_target_replicas{{{RAY}}})", "{{deployment}} wanted"),
            width=8,
            decimals=0,
            top=2,
        ),
    ]


def _ray() -> list[Any]:
    # Ray counts a task's states in several processes, whose reports are not of one moment: a sum can fall below 0.
    tasks = f'clamp_min(sum by (State) (ray_tasks{{{RAY},State!~"FINISHED|FAILED"}}), 0)'
    return [
        lines(
            "Actors by state",
            "Ray actors as the head knows them, but for those that have ended.",
            "short",
            Query(f'sum by (State) (ray_actors{{{RAY},Source="gcs",State!="DEAD"}})', "{{State}}"),
            width=8,
            decimals=0,
            stacked=True,
        ),
        lines(
            "Tasks by state",
            "Ray tasks and calls of actors that are under way; states in which none ever was are left out.",
            "short",
            Query(f"{tasks} and on (State) (max_over_time(({tasks})[$__range:$__interval] @ end()) > 0)", "{{State}}"),
            width=8,
            decimals=0,
            stacked=True,
        ),
        lines(
            "Cores reserved",
            "Cores that Ray has promised to actors and tasks, and those it has left.",
            "short",
            Query(f'sum by (State) (ray_resources{{{NODE_ADDRESS},Name="CPU"}})', "{{State}}"),
            width=8,
            decimals=1,
            stacked=True,
        ),
        lines(
            "Object store",
            "Share of each node's object store that is taken; at 100 % Ray spills to disk.",
            "percentunit",
            Query(
                f"ray_object_store_used_memory{{{NODE_ADDRESS}}} / (ray_object_store_used_memory{{{NODE_ADDRESS}}} "
                f"+ ray_object_store_available_memory{{{NODE_ADDRESS}}})",
                "{{NodeAddress}}",
            ),
            width=8,
            top=1,
        ),
    ]


def _ray_at_work() -> list[Any]:
    return [
        lines(
            "Health checks",
            "How long nodes take to answer the head's health checks: 95th percentile.",
            "ms",
            Query(quantile(0.95, f"ray_health_check_rpc_latency_ms_bucket{{{RAY}}}"), "95th percentile"),
            width=8,
        ),
        lines(
            "Work that finds no place",
            "Tasks and actors that wait, by reason: for resources of this node or another, for workers, or for ever.",
            "short",
            Query(f"sum by (Reason) (ray_scheduler_unscheduleable_tasks{{{NODE_ADDRESS}}})", "{{Reason}}"),
            width=8,
            decimals=0,
            stacked=True,
            top=1,
        ),
    ]
