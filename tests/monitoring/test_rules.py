"""Rules, alerts and the local configs, as Prometheus' own tool reads them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm.errors import ConfigError
from swarm.monitoring.metrics import METRICS
from swarm.monitoring.monitor import RULES, Monitoring, config_text, find_prometheus, ray_endpoints, target_of, write
from tests.monitoring.conftest import ROOT, Prometheus

SOURCE = ROOT / "deploy" / "prometheus" / "rules.yml"
TESTS = ROOT / "tests" / "monitoring" / "rules_test.yml"
LOCAL = ROOT / "deploy" / "local"


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def rules() -> list[dict[str, Any]]:
    return [rule for group in loaded(SOURCE)["groups"] for rule in group["rules"]]


NAMES = [rule.get("alert") or rule["record"] for rule in rules()]
ALERTS = [rule["alert"] for rule in rules() if "alert" in rule]


def test_the_package_and_the_repository_have_one_file() -> None:
    assert RULES.resolve() == SOURCE.resolve()


def test_promtool_takes_the_rules(prometheus: Prometheus) -> None:
    checked = prometheus.check("check", "rules", SOURCE)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(NAMES)} rules found" in checked.stdout


def test_every_alert_fires_when_it_must_and_only_then(prometheus: Prometheus) -> None:
    tested = prometheus.check("test", "rules", TESTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_has_a_moment_at_which_it_is_silent() -> None:
    checks = [check for case in loaded(TESTS)["tests"] for check in case.get("alert_rule_test", [])]
    silent = {check["alertname"] for check in checks if not check.get("exp_alerts")}
    firing = {check["alertname"] for check in checks if check.get("exp_alerts")}
    assert silent == firing == set(ALERTS)


@pytest.mark.parametrize("always", [True, False], ids=["always", "never"])
@pytest.mark.parametrize("name", NAMES)
def test_the_tests_notice_a_broken_rule(prometheus: Prometheus, tmp_path: Path, name: str, always: bool) -> None:
    broken = loaded(SOURCE)
    for group in broken["groups"]:
        for rule in group["rules"]:
            if name in (rule.get("alert"), rule.get("record")):
                rule["expr"] = "vector(7)" if always else "vector(7) < 0"
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(broken))
    cases = loaded(TESTS) | {"rule_files": ["rules.yml"]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(cases))
    assert prometheus.check("test", "rules", tmp_path / "test.yml").returncode != 0


def test_every_alert_says_what_to_do() -> None:
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("warning", "critical")
            said = rule["annotations"]
            assert set(said) == {"summary", "description", "action"}
            assert said["summary"].startswith("{{ $labels.run }}: ")
            assert len(said["action"].split()) > 10


def test_rules_name_only_metrics_that_are_exported() -> None:
    suffixes = ("", "_bucket", "_count", "_sum")
    exported = {metric.name + suffix for metric in METRICS for suffix in suffixes} | set(NAMES)
    for rule in rules():
        words = "".join(c if c.isalnum() or c in "_:" else " " for c in rule["expr"]).split()
        named = {word for word in words if "swarm_" in word}
        assert named
        assert named <= exported, named - exported


@pytest.mark.parametrize("targets", [("127.0.0.1:9464",), ("127.0.0.1:1", "[::1]:2")])
def test_the_config_that_monitor_writes_is_one(
    prometheus: Prometheus, tmp_path: Path, targets: tuple[str, ...]
) -> None:
    path = write(Monitoring(prometheus.prometheus, tmp_path, targets, every_s=0.5))
    checked = prometheus.check("check", "config", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(NAMES)} rules found" in checked.stdout
    config = yaml.safe_load(path.read_text())
    assert config["global"]["scrape_interval"] == "500ms"
    assert config["scrape_configs"][0]["static_configs"][0]["targets"] == list(targets)


def test_the_config_of_deploy_local_is_one(prometheus: Prometheus, tmp_path: Path) -> None:
    """It lies beside the rules in the container, as the compose file mounts both."""
    (tmp_path / "prometheus.yml").write_text((LOCAL / "prometheus.yml").read_text())
    (tmp_path / "rules.yml").write_text(SOURCE.read_text())
    checked = prometheus.check("check", "config", tmp_path / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_deploy_local_mounts_is_there() -> None:
    compose = loaded(LOCAL / "compose.yaml")
    mounts = [v for service in compose["services"].values() for v in service["volumes"]]
    named = {mount.partition(":")[0] for mount in mounts}
    for source in named - set(compose["volumes"]):
        assert (LOCAL / source).exists() or source == "../../dashboards", source
    assert "../prometheus/rules.yml:/etc/prometheus/rules.yml:ro" in mounts
    provider = loaded(LOCAL / "grafana/dashboards/swarm.yml")["providers"][0]
    assert f"../../dashboards:{provider['options']['path']}:ro" in mounts
    assert "./grafana:/etc/grafana/provisioning:ro" in mounts


def test_local_configs_scrape_alike() -> None:
    """Docker or not, the same jobs with the same names, which dashboards go by."""
    own = yaml.safe_load(config_text(Monitoring(Path("p"), Path(), ("127.0.0.1:9464",))))
    ours = loaded(LOCAL / "prometheus.yml")
    assert [job["job_name"] for job in own["scrape_configs"]] == [job["job_name"] for job in ours["scrape_configs"]]
    assert own["scrape_configs"][0] == ours["scrape_configs"][0]
    assert own["global"] == {key: value.replace("5s", "5000ms") for key, value in ours["global"].items()}


def test_endpoints_of_all_rays_are_put_together(tmp_path: Path) -> None:
    head = [{"labels": {"job": "ray"}, "targets": ["10.0.0.1:8080", "10.0.0.1:44217"]}]
    own = [{"labels": {"job": "ray"}, "targets": ["10.0.0.2:8080"]}]
    for name, groups in (("swarm-ray-a", own), ("swarm-ray-b", [{"targets": []}])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sd.json").write_text(json.dumps(groups))
    (tmp_path / "ray.json").write_text(json.dumps(head))
    (tmp_path / "half.json").write_text('[{"targets": ["10')
    files = (
        f"{tmp_path}/ray.json",
        f"{tmp_path}/swarm-ray-*/sd.json",
        f"{tmp_path}/half.json",
        f"{tmp_path}/none.json",
    )
    assert ray_endpoints(files) == head + own


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ("127.0.0.1:9464", "127.0.0.1:9464"),
        ("http://127.0.0.1:9464/metrics", "127.0.0.1:9464"),
        ("[::1]:9464", "[::1]:9464"),
        ("head.cluster:80", "head.cluster:80"),
    ],
)
def test_targets_may_be_said_in_two_ways(given: str, target: str) -> None:
    assert target_of(given) == target


@pytest.mark.parametrize("given", ["", "127.0.0.1", ":9464", "host:port", "host:99999", "http://host/metrics"])
def test_what_is_no_target_is_said(given: str) -> None:
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        target_of(given)


def test_without_a_prometheus_it_is_said_where_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"prometheus.*PATH"):
        find_prometheus(None)
    with pytest.raises(ConfigError, match="is no program"):
        find_prometheus(tmp_path / "prometheus")
