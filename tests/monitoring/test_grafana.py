"""`swarm dashboards push` against a server that follows Grafana's published API."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from swarm.cli import app
from swarm.errors import SwarmError
from swarm.monitoring import dashboards
from swarm.monitoring.grafana import FOLDER_UID, SOURCE_NAME, SOURCE_UID, TOKEN_VARIABLE, covers
from tests.monitoring.fake_grafana import TOKEN, FakeGrafana, serving

UIDS = ["swarm-run", "swarm-market", "swarm-models", "swarm-cluster"]


@pytest.fixture
def grafana(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGrafana]:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with serving() as server:
        yield server


def push(url: str, *options: str) -> Result:
    return CliRunner().invoke(app, ["dashboards", "push", "--url", url, *options])


def lines(result: Result) -> list[str]:
    return result.stdout.splitlines()


def refused(url: str, *options: str) -> str:
    """The one line that is said in place of a push."""
    result = push(url, *options)
    assert isinstance(result.exception, SwarmError), result.exception or result.output
    assert result.exception.exit_status == 2
    said = str(result.exception)
    assert "\n" not in said
    assert TOKEN not in said + result.output
    return said


def outcomes(result: Result) -> list[str]:
    known = ("created", "updated", "unchanged", "provisioned")
    return [next(word for word in known if f": {word}" in line) for line in lines(result)]


def test_an_empty_grafana_gets_everything(grafana: FakeGrafana) -> None:
    result = push(grafana.url, "--prometheus", "http://prometheus:9090", "--every", "15")
    assert outcomes(result) == ["created"] * 6
    source = grafana.datasources[SOURCE_NAME]
    assert (source["uid"], source["type"], source["url"]) == (SOURCE_UID, "prometheus", "http://prometheus:9090")
    assert source["jsonData"]["timeInterval"] == "15s"
    assert list(grafana.folders) == [FOLDER_UID]
    assert list(grafana.dashboards) == UIDS
    assert set(grafana.folder_of.values()) == {FOLDER_UID}
    for dashboard in grafana.dashboards.values():
        [variable] = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
        assert variable["current"]["value"] == SOURCE_UID
    assert f"{grafana.url}/d/swarm-run" in result.stdout
    assert TOKEN not in result.output


def test_a_second_push_writes_nothing(grafana: FakeGrafana) -> None:
    push(grafana.url)
    grafana.requests.clear()
    assert outcomes(push(grafana.url)) == ["unchanged"] * 6
    assert grafana.writes() == []


def test_what_somebody_changed_is_put_right_and_nothing_else(grafana: FakeGrafana) -> None:
    push(grafana.url)
    grafana.dashboards["swarm-market"]["title"] = "Mine"
    grafana.dashboards["swarm-market"]["version"] += 1
    grafana.dashboards["swarm-models"]["panels"].pop()
    grafana.folder_of["swarm-cluster"] = ""
    grafana.folders[FOLDER_UID]["title"] = "Old"
    grafana.datasources[SOURCE_NAME]["basicAuthUser"] = "kept"
    grafana.datasources[SOURCE_NAME]["jsonData"]["queryTimeout"] = "60s"
    result = push(grafana.url, "--prometheus", "https://elsewhere")
    assert outcomes(result) == ["updated", "updated", "unchanged", "updated", "updated", "updated"]
    source = grafana.datasources[SOURCE_NAME]
    assert (source["url"], source["basicAuthUser"]) == ("https://elsewhere", "kept")
    assert source["jsonData"]["queryTimeout"] == "60s"
    committed = dashboards.committed()
    assert len(grafana.dashboards["swarm-models"]["panels"]) == len(committed["models"]["panels"])
    assert outcomes(push(grafana.url, "--prometheus", "https://elsewhere")) == ["unchanged"] * 6


def test_what_files_have_provisioned_is_left_as_it_is(grafana: FakeGrafana) -> None:
    push(grafana.url)
    grafana.provisioned.add("swarm-run")
    grafana.dashboards["swarm-run"]["title"] = "From a file"
    grafana.datasources[SOURCE_NAME]["readOnly"] = True
    grafana.requests.clear()
    result = push(grafana.url, "--prometheus", "https://elsewhere")
    assert outcomes(result) == ["provisioned", "unchanged", "provisioned", "unchanged", "unchanged", "unchanged"]
    assert grafana.writes() == []


def test_who_writes_at_the_same_time_is_read_again(grafana: FakeGrafana) -> None:
    push(grafana.url)
    grafana.dashboards["swarm-run"]["title"] = "Mine"
    grafana.folders[FOLDER_UID]["title"] = "Mine"
    hands = {"POST /api/dashboards/db": grafana.dashboards["swarm-run"], f"PUT /api/folders/{FOLDER_UID}": None}

    def once(method: str, path: str) -> None:
        if f"{method} {path}" in hands:
            (hands.pop(f"{method} {path}") or grafana.folders[FOLDER_UID])["version"] += 1

    grafana.before = once
    assert outcomes(push(grafana.url)) == ["unchanged", "updated", "updated", "unchanged", "unchanged", "unchanged"]
    assert not hands


def test_somebody_who_made_the_data_source_in_between_is_no_error(grafana: FakeGrafana) -> None:
    push(grafana.url)
    there = grafana.datasources.pop(SOURCE_NAME)

    def appear(method: str, path: str) -> None:
        if (method, path) == ("POST", "/api/datasources"):
            grafana.datasources[SOURCE_NAME] = there

    grafana.before = appear
    assert outcomes(push(grafana.url))[0] == "unchanged"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda g: g.datasources.update(x={"uid": SOURCE_UID, "name": "x"}), "the data source cannot be written (409"),
        (
            lambda g: g.folders.update(x={"uid": "x", "title": "Thousand Token Wood"}),
            "the folder cannot be written (409",
        ),
        (lambda g: g.datasources.update({SOURCE_NAME: {"uid": "x", "type": "loki"}}), "of type 'loki'"),
    ],
)
def test_what_is_in_the_way_is_named(grafana: FakeGrafana, spoil, expected: str) -> None:  # type: ignore[no-untyped-def]
    spoil(grafana)
    assert expected in refused(grafana.url)


def test_another_dashboard_of_the_same_name_is_not_overwritten(grafana: FakeGrafana) -> None:
    push(grafana.url)
    mine = grafana.dashboards.pop("swarm-run")
    grafana.dashboards["mine"], grafana.folder_of["mine"] = {**mine, "uid": "mine"}, FOLDER_UID
    said = refused(grafana.url)
    assert "swarm-run" in said
    assert "A dashboard with the same name in the folder already exists" in said
    assert grafana.dashboards["mine"]["version"] == mine["version"]


def test_a_wrong_token_is_refused_and_not_shown(grafana: FakeGrafana, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "glsa_wrong")
    said = refused(grafana.url)
    assert "401" in said
    assert TOKEN_VARIABLE in said
    assert "glsa_wrong" not in said


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((403, {"message": "You'll need additional permissions"}), "role Admin"),
        ((500, {"message": f"failed for {TOKEN}"}), "failed for ***"),
        ((502, "<html>Bad gateway</html>"), "502"),
        ((302, "https://elsewhere.example/login"), "redirects elsewhere"),
        ((200, "<!doctype html><title>Welcome</title>"), "no Grafana"),
        ((200, ["a", "list"]), "no Grafana"),
    ],
)
def test_what_a_server_says_is_one_line(grafana: FakeGrafana, answer: tuple[int, object], expected: str) -> None:
    grafana.instead = lambda _method, _path: answer
    assert expected in refused(grafana.url)


def test_nobody_there_is_one_line(grafana: FakeGrafana) -> None:
    assert "nobody answers" in refused("http://127.0.0.1:9")
    assert not grafana.requests


@pytest.mark.parametrize("token", ["", "  ", "two words", "token\n", "tokén"])
def test_without_a_token_nothing_is_sent(grafana: FakeGrafana, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    assert refused(grafana.url).startswith(TOKEN_VARIABLE)
    assert not grafana.requests


@pytest.mark.parametrize("url", ["http://grafana.example", "http://10.0.0.5:3000/", "http://localhost.example"])
def test_a_token_does_not_go_over_plain_http_to_others(grafana: FakeGrafana, url: str) -> None:
    assert "--insecure" in refused(url)


def test_insecure_lets_it_go(grafana: FakeGrafana) -> None:
    assert "nobody answers" in refused("http://grafana.invalid", "--insecure")


@pytest.mark.parametrize("url", ["grafana:3000", "ftp://grafana", "http://", "http://host:port", "https://g/?orgId=1"])
def test_an_address_that_is_none_is_named(grafana: FakeGrafana, url: str) -> None:
    assert refused(url).startswith("--url")


def test_a_user_in_the_address_is_refused_and_not_shown(grafana: FakeGrafana) -> None:
    assert "hunter2" not in refused("https://admin:hunter2@grafana.example")


def test_a_grafana_below_a_path_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with serving("/grafana") as server:
        assert outcomes(push(f"{server.url}/")) == ["created"] * 6


def test_the_token_is_in_no_file_of_the_push(
    grafana: FakeGrafana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    push(grafana.url)
    assert not list(tmp_path.rglob("*"))
    assert TOKEN not in str(grafana.bodies)


def test_covering_is_about_what_was_wanted() -> None:
    assert covers({"a": [{"b": 1, "c": 2}], "d": 3}, {"a": [{"b": 1}]})
    assert not covers({"a": [{"b": 1}, {}]}, {"a": [{"b": 1}]})
    assert not covers({"a": 1}, {"a": 1, "b": 0})
    assert not covers({"a": None}, {"a": {}})
