"""Tells what a config of somebody else's demands of this machine, and remembers what its user has said yes to.

A config that the user names is the user's own. A run's folder may come from anybody: what its config demands beyond
this machine is shown, needs the user's word once, and is remembered by digest in the user's own folder. Keys are bound
to hosts there, too. Nothing here looks at a key, and a run, a replay or a model knows nothing of this.
"""

import hashlib
import ipaddress
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from swarm import bounded_yaml
from swarm.config import RunConfig
from swarm.errors import ConfigError, OutputError, TrustError, called
from swarm.llm import engines

MOST_REMEMBERED = 2_000
_FILES = ("_file", ".path", "_path", "_folder", "_dir", "tokenizer", "plugin", "module", "chat_template")

KeyHosts = Mapping[str, Sequence[str]]
"""By environment variable, the hosts that its key may be sent to."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One thing that a config has this machine do beyond computing: what a person is told, and what is remembered."""

    text: str
    digest: str


def demands(config: RunConfig, hosts: KeyHosts | None = None) -> list[Demand]:
    """Returns what a config demands, but for loopback and for keys that go to a host they are bound to."""
    found = [_demand(*told) for told in _told(config.record(), hosts or {})]
    # The same demand of several models is asked about once.
    return list({demand.digest: demand for demand in found}.values())


def must_be_trusted(folder: Path, wanted: Sequence[Demand], trust: bool) -> list[Demand]:
    """Returns the demands that are trusted by `trust` alone, once remembered; TrustError if some are not trusted."""
    known = _remembered()
    new = [demand for demand in wanted if demand.digest not in known]
    if new and not trust:
        raise TrustError(
            f"{folder}: this folder's config demands what nothing here was ever trusted with: "
            f"{'; '.join(demand.text for demand in new)}. "
            f"If you know who made it and want that, give {called('--trust', 'trusted=True')} once"
        )
    remember(new)
    return new


def remember(wanted: Sequence[Demand]) -> None:
    """Keeps demands as trusted; without a folder to write to they will be asked for again."""
    known = _remembered()
    if all(demand.digest in known for demand in wanted):
        return
    known |= {demand.digest: demand.text for demand in wanted}
    path = _home() / "trusted.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Written beside and renamed, so that two runs at once leave one whole file; the oldest entries go.
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_text(json.dumps(dict(list(known.items())[-MOST_REMEMBERED:]), indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError:
        return


def key_hosts(given: Sequence[str] = ()) -> dict[str, list[str]]:
    """Returns the hosts that keys are bound to, by `keys.yaml` in the user's folder and by `VARIABLE=HOST` pairs."""
    path = _home() / "keys.yaml"
    found: dict[str, list[str]] = {}
    try:
        kept = bounded_yaml.parse(bounded_yaml.read_text(path)) if path.exists() else None
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: this file cannot be read ({error}); it binds keys to hosts") from error
    if kept is not None and not isinstance(kept, dict):
        raise OutputError(f"{path}: expected variables and their hosts, say OPENAI_API_KEY: [api.openai.com]")
    for variable, hosts in (kept or {}).items():
        if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
            raise OutputError(f"{path}: {variable}: expected a list of hosts, say [api.openai.com]")
        found[variable] = [host.lower() for host in hosts]
    for pair in given:
        variable, equals, host = pair.partition("=")
        if not (variable and equals and host):
            raise ConfigError(f"--key-host {pair}", "expected VARIABLE=HOST", "say OPENAI_API_KEY=api.openai.com")
        found.setdefault(variable, []).append(host.lower())
    return found


def check_key_hosts(config: RunConfig, hosts: KeyHosts) -> None:
    """Raises ConfigError where a key that is bound to hosts would be sent to another; whoever wrote the config."""
    for index, entry in enumerate(config.record()["models"]):
        variable, url = entry.get("api_key_env"), entry.get("base_url")
        if variable in hosts and url and not is_loopback(url) and not _allowed(variable, url, hosts):
            raise ConfigError(
                f"models.{index}.base_url",
                f"the key in {variable} is bound to {', '.join(hosts[variable]) or 'no host'}, and this is "
                f"{urlsplit(url).netloc}",
                f"add the host to {_home() / 'keys.yaml'}, or name another variable",
            )


def take_as_own(config: RunConfig, hosts: KeyHosts) -> None:
    """Trusts a config that its user wrote or named, so that its run's folder is gone on with unasked.

    ConfigError where a key that is bound to hosts would be sent to another.
    """
    check_key_hosts(config, hosts)
    remember(demands(config))


def is_loopback(url: str) -> bool:
    """Returns whether a URL leads to this machine alone, by its address or by the name `localhost`."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _told(record: Mapping[str, Any], hosts: KeyHosts) -> Iterator[tuple[str, Any]]:
    """Yields what a config demands, in words and in the values that it rests on."""
    for entry in record["models"]:
        if engines.find(entry["engine"]).stays_here:
            # What travels with the code is nobody's demand, a file that the entry names is.
            for key, value in _files(entry, f"models.{entry['name']}"):
                yield f"{key} reads {value}", [key, value]
            continue
        url, variable, request = entry.get("base_url"), entry.get("api_key_env"), entry.get("request") or {}
        # No address: the engine loads something here.
        if url is None:
            yield _of_engine(entry)
        elif not is_loopback(url) and not (variable and _allowed(variable, url, hosts)):
            key = f" with the key in {variable}" if variable else ""
            extra = [f"{part} {', '.join(request[part])}" for part in ("headers", "query") if request.get(part)]
            yield (
                f"prompts go to {url}{key}{''.join(f', {part}' for part in extra)}",
                [url, variable, entry.get("api_key_header"), request],
            )
    runtime = record["runtime"]
    # Ports that the run opens are demands as well as addresses that it calls.
    if runtime["metrics_port"] is not None and not is_loopback(f"http://{_bracketed(runtime['metrics_host'])}"):
        yield f"metrics are shown on {runtime['metrics_host']}", ["metrics", runtime["metrics_host"]]
    host = runtime["guests_host"]
    if record["traders"]["guests"] and not is_loopback(f"http://{_bracketed(host)}"):
        yield f"guests are heard on {host}", ["guests", host]
    if runtime["http_port"] is not None:
        yield "its models answer everybody on this machine (runtime.http_port)", ["http"]
    for key, value in _files({name: part for name, part in record.items() if name != "models"}, ""):
        yield f"{key} reads {value}", [key, value]


def _of_engine(entry: Mapping[str, Any]) -> tuple[str, Any]:
    """Returns what an engine that loads models demands: its words and switches, any of which may name what it loads."""
    plain = {"name", "engine", "form", "temperament"}
    said = {
        key: value for key, value in entry.items() if key not in plain and (isinstance(value, str) or value is True)
    }
    words = ", ".join(f"{key} {value}" for key, value in said.items())
    return f"{entry['engine']} loads a model ({words})", [entry["engine"], said]


def _files(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yields keys, at any depth, that by their name lead to files or code."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _files(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _files(part, key)
    elif isinstance(value, str) and key.endswith(_FILES):
        yield key, value


def _allowed(variable: str, url: str, hosts: KeyHosts) -> bool:
    parts = urlsplit(url)
    # A binding may name a host with its port or any port of it.
    return any(host in ((parts.hostname or "").lower(), parts.netloc.lower()) for host in hosts.get(variable, ()))


def _demand(text: str, values: Any) -> Demand:
    return Demand(text, hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest())


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _remembered() -> dict[str, str]:
    """Returns what was trusted before, by digest; nothing where the file is not there or is none."""
    try:
        found = json.loads((_home() / "trusted.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _home() -> Path:
    """Returns the user's own folder for this program."""
    try:
        return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "swarm"
    except RuntimeError:
        # A user without a home, as containers have: nothing is remembered.
        return Path(os.devnull) / "swarm"
