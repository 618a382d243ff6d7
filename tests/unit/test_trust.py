"""A run's folder made by somebody else: nothing leaves this machine, opens or is read that was not said yes to."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm import cli, trust
from swarm.config_file import resolve
from swarm.errors import ConfigError, OutputError, TrustError

ELSEWHERE = "https://models.example.org/v1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "swarm"


def config(runtime: dict[str, Any] | None = None, **model: Any) -> dict[str, Any]:
    entry = {"name": "m", "engine": "openai", "base_url": ELSEWHERE, "model": "x", **model}
    return {"population": 4, "rounds": 2, "models": [entry], "runtime": runtime or {}}


def texts(data: dict[str, Any], hosts: trust.KeyHosts | None = None) -> list[str]:
    return [demand.text for demand in trust.demands(resolve(data), hosts)]


def test_a_config_without_anything_outside_demands_nothing() -> None:
    scripted = {"name": "m", "temperament": "value"}
    assert texts({"population": 4, "models": [scripted], "runtime": {"metrics_port": 0}}) == []
    for url in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:9/v1", "http://127.9.9.9/v1"):
        assert texts(config(base_url=url, api_key_env="OPENAI_API_KEY")) == []


@pytest.mark.parametrize(
    "url", ["http://localhost.example.org/v1", "http://0.0.0.0/v1", "http://10.0.0.5/v1", "http://127.0.0.1.nip.io/v1"]
)
def test_what_only_looks_like_this_machine_is_elsewhere(url: str) -> None:
    [text] = texts(config(base_url=url, api_key_env="OPENAI_API_KEY"))
    assert url in text
    assert "OPENAI_API_KEY" in text


def test_all_that_reaches_beyond_this_machine_is_told() -> None:
    assert ELSEWHERE in texts(config())[0]
    [_, shown] = texts(config(runtime={"metrics_port": 0, "metrics_host": "0.0.0.0"}))
    assert "0.0.0.0" in shown
    assert any("http_port" in text for text in texts(config(runtime={"http_port": 8001})))
    vllm = {"name": "m", "engine": "vllm", "source": "some/model", "trust_remote_code": True, "chat_template": "/etc/x"}
    [text] = texts({"population": 4, "models": [vllm]})
    for word in ("some/model", "trust_remote_code", "/etc/x"):
        assert word in text
    embedded = {"name": "m", "engine": "embedded", "path": "/etc/x"}
    assert texts({"population": 4, "models": [embedded]}) == ["models.m.path reads /etc/x"]
    embedded = {"name": "m", "engine": "embedded", "temperament": "profit"}
    assert texts({"population": 4, "models": [embedded]}) == []


def test_a_demand_is_asked_for_once_and_any_other_again(home: Path) -> None:
    wanted = trust.demands(resolve(config(api_key_env="KEY")))
    with pytest.raises(TrustError, match="trusted=True") as refused:
        trust.must_be_trusted(Path("run"), wanted, False)
    assert "KEY" in str(refused.value)
    assert ELSEWHERE in str(refused.value)
    assert trust.must_be_trusted(Path("run"), wanted, True) == wanted
    assert trust.must_be_trusted(Path("elsewhere"), wanted, False) == []
    changes: list[dict[str, Any]] = [{"api_key_env": "OTHER"}, {"api_key_env": "KEY", "base_url": ELSEWHERE + "/x"}]
    for change in changes:
        with pytest.raises(TrustError):
            trust.must_be_trusted(Path("run"), trust.demands(resolve(config(**change))), False)
    (home / "trusted.json").write_text("[" * 10_000)
    with pytest.raises(TrustError):
        trust.must_be_trusted(Path("run"), wanted, False)


def test_a_key_is_bound_to_its_hosts(home: Path) -> None:
    bound = resolve(config(api_key_env="KEY"))
    trust.check_key_hosts(bound, {})
    trust.check_key_hosts(bound, {"KEY": ["models.example.org"]})
    trust.check_key_hosts(resolve(config(api_key_env="KEY", base_url="http://127.0.0.1/v1")), {"KEY": []})
    with pytest.raises(ConfigError, match="KEY") as refused:
        trust.check_key_hosts(bound, {"KEY": ["api.example.com"]})
    assert refused.value.key == "models.0.base_url"
    # What goes where its key is bound to needs no word.
    assert texts(config(api_key_env="KEY"), {"KEY": ["models.example.org"]}) == []
    home.mkdir(parents=True)
    (home / "keys.yaml").write_text("KEY: [api.example.com]\n")
    assert trust.key_hosts(("KEY=b.example.com", "OTHER=c")) == {
        "KEY": ["api.example.com", "b.example.com"],
        "OTHER": ["c"],
    }
    for text in ("[]", "KEY: api", "KEY: [1]", "[" * 500):
        (home / "keys.yaml").write_text(text)
        with pytest.raises(OutputError, match=r"keys\.yaml"):
            trust.key_hosts()


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("sys.argv", ["swarm", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_a_folder_of_somebody_else_sends_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    monkeypatch.setenv("MY_SECRET", "sk-secret")
    monkeypatch.setattr("swarm.runtime.run.Session.resume", lambda *given: asked.append(given))
    monkeypatch.setattr("swarm.runtime.fork.fork", lambda *given: asked.append(given))
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config(api_key_env="MY_SECRET")))
    assert call(monkeypatch, "run", "--resume", folder, "--local") == 2
    assert call(monkeypatch, "fork", folder, "--at-round", "1", "--local") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 2
    for word in ("MY_SECRET", ELSEWHERE, "--trust"):
        assert word in said
    assert "sk-secret" not in said
    assert not asked


def test_who_ran_a_config_goes_on_with_its_folder(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(config(api_key_env="MY_SECRET")))
    monkeypatch.setattr("swarm.commands.runs._run", lambda *given: None)
    assert call(monkeypatch, "run", file, "--local") == 0
    assert list(json.loads((home / "trusted.json").read_text()).values()) == texts(config(api_key_env="MY_SECRET"))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(file.read_text())
    assert call(monkeypatch, "run", "--resume", folder, "--local") == 0
