"""Every panel of every dashboard, asked of a real Prometheus that has watched a real run on Ray."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from swarm.monitoring import dashboards
from tests.monitoring.conftest import Prometheus
from tests.monitoring.stage import Stage, played

pytestmark = [pytest.mark.ray, pytest.mark.timeout(420)]

NO_VLLM = "vLLM's own series, and the run has no model on vLLM"
NO_GPU = "series of GPUs, and the machine may have none"
NEVER_FILLED: Mapping[tuple[str, str], str] = {
    ("models", "Requests in the engine"): NO_VLLM,
    ("models", "KV cache in use"): NO_VLLM,
    ("models", "Prefix cache hits"): NO_VLLM,
    ("models", "First token in the engine"): NO_VLLM,
    ("models", "Time in the queue"): NO_VLLM,
    ("models", "Tokens a second in the engine"): NO_VLLM,
    ("cluster", "GPU in use"): NO_GPU,
    ("cluster", "GPU memory in use"): NO_GPU,
}
"""The panels that this run cannot fill, each with the reason; nothing else may be empty, and these must be."""

STEP_S = 1
BUILT_IN = {"__rate_interval": "8s", "__interval": f"{STEP_S}s", "datasource": "prometheus"}
LABEL_VALUES = re.compile(r"label_values\((.+), *(\w+)\)")


@pytest.fixture(scope="module")
def stage(prometheus: Prometheus) -> Iterator[Stage]:
    with played(prometheus.prometheus) as found:
        yield found


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


def substituted(text: str, values: Mapping[str, str]) -> str:
    """The text with its variables' values; one that nobody knows is a mistake."""

    def value(match: re.Match[str]) -> str:
        return values[match["braced"] or match["plain"]]

    return re.sub(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>[a-zA-Z_]\w*))", value, text)


def variables(stage: Stage, dashboard: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The values as Grafana chooses them when the dashboard is opened, and those that can be chosen."""
    chosen = {**BUILT_IN, "__range": f"{math.ceil(stage.end_s - stage.begin_s)}s"}
    options: dict[str, list[str]] = {}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "datasource":
            continue
        match = LABEL_VALUES.fullmatch(variable["query"]["query"])
        assert match, variable
        found = stage.label_values(substituted(match[1], chosen), match[2])
        assert found, f"the variable {variable['name']} has no values"
        options[variable["name"]] = sorted(found)
        chosen[variable["name"]] = variable["allValue"] if variable.get("includeAll") else max(found)
    return chosen, options


def as_regex(value: str) -> str:
    """A value as Grafana puts it where several can be chosen: for a regular expression within PromQL's quotes."""
    return re.sub(r"[\\^$*+?.()|{}\[\]/]", r"\\\\\g<0>", value)


def legend(text: str, labels: Mapping[str, str]) -> str:
    """The name of a series as Grafana shows it."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), text)


def has_value(series: Mapping[str, Any]) -> bool:
    return any(not math.isnan(float(value)) for _, value in series["values"])


@pytest.mark.parametrize("name", dashboards.NAMES)
def test_every_panel_shows_something_of_a_real_run(stage: Stage, name: str) -> None:
    dashboard = dashboards.committed()[name]
    chosen, _ = variables(stage, dashboard)
    empty, unlabelled = set[tuple[str, str]](), []
    for panel in panels(dashboard):
        for target in panel["targets"]:
            found = [s for s in stage.query(substituted(target["expr"], chosen), STEP_S) if has_value(s)]
            if not found:
                empty.add((name, panel["title"]))
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                unlabelled += [(panel["title"], label, s["metric"]) for s in found if not s["metric"].get(label)]
            legends = [legend(target["legendFormat"], s["metric"]) for s in found]
            assert len(set(legends)) == len(legends), f"{panel['title']}: two series look the same: {legends}"
    assert empty == {panel for panel in NEVER_FILLED if panel[0] == name}
    assert not unlabelled


@pytest.mark.parametrize("name", dashboards.NAMES)
def test_every_choice_of_every_variable_gives_lawful_queries(stage: Stage, name: str) -> None:
    dashboard = dashboards.committed()[name]
    chosen, options = variables(stage, dashboard)
    asked = 0
    several = {v["name"] for v in dashboard["templating"]["list"] if v.get("multi")}
    for variable, values in options.items():
        for value in map(as_regex, values) if variable in several else values:
            for panel in panels(dashboard):
                for target in panel["targets"]:
                    if f"${variable}" in target["expr"]:
                        stage.query(substituted(target["expr"], {**chosen, variable: value}), STEP_S)
                        asked += 1
    assert asked


def test_a_model_is_shown_with_its_lab(stage: Stage) -> None:
    info = stage.query("swarm_model_info", STEP_S)
    assert {(s["metric"]["model"], s["metric"]["lab"], s["metric"]["engine"]) for s in info} == {
        ("tiny-value", "Thousand Token Wood", "embedded"),
        ("tiny-maker", "Thousand Token Wood", "embedded"),
        ("nervous", "no language model", "scripted"),
        ("served", "unknown", "openai"),
    }


def test_what_minds_of_several_models_did_is_what_the_summary_says(stage: Stage) -> None:
    def last(name: str, *labels: str) -> dict[tuple[str, ...], float]:
        found = stage.query(name, STEP_S)
        return {tuple(s["metric"][label] for label in labels): float(s["values"][-1][1]) for s in found}

    council, cascade = stage.summary["councils"]["three"], stage.summary["cascades"]["careful"]
    assert last("swarm_vetoes_total", "mind") == {("three",): council["vetoed"]}
    assert last("sum by (mind) (swarm_escalations_total)", "mind") == {("careful",): cascade["escalated"]}
    tiers = stage.summary["auction"]["tiers"]
    assert last("swarm_awards_total", "model") == {(name,): tier["awards"] for name, tier in tiers.items()}
    assert last("swarm_compute_cents") == {(): stage.summary["compute"]["paid_cents"]}
    calls = last("swarm_mind_calls_total", "mind", "model")
    # Each member of the council was asked in each of its turns, and tiny-value sits in it twice.
    assert calls["three", "tiny-value"] == 2 * calls["three", "tiny-maker"] == 2 * council["turns"] > 0
