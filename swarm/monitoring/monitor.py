"""Runs Prometheus beside runs on one machine: writes its config, keeps its list of Ray's endpoints, and ends it.

It knows the runs by their addresses alone, and starts none.
"""

import http.client
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import yaml

from swarm import limits
from swarm.errors import ConfigError, OutputError

USUAL_METRICS_PORT = 9464
START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 15.0
POLL_S = 0.2
RAY_EVERY_S = 5.0
"""How often Ray writes anew which endpoints it has."""

RULES = Path(__file__).with_name("rules.yml")
"""The rules and alerts; in a checkout a link to those of deploy/prometheus, which are the same everywhere."""

RAY_TARGETS = (
    "/tmp/ray/prom_metrics_service_discovery.json",  # noqa: S108
    "/tmp/swarm-ray-*/prom_metrics_service_discovery.json",  # noqa: S108
)
"""Where Ray says which endpoints it has: `ray start`'s usual place and that of a run's own cluster. It does so only
with its dashboard on (runtime.dashboard_port)."""


@dataclass(frozen=True, slots=True)
class Monitoring:
    """The task of one Prometheus; `folder` keeps its config and its data from one time to the next."""

    program: Path
    folder: Path
    targets: tuple[str, ...]
    port: int = 9090
    every_s: float = 5.0
    ray_targets: tuple[str, ...] = RAY_TARGETS

    @property
    def address(self) -> str:
        """Returns where Prometheus answers."""
        return f"http://127.0.0.1:{self.port}"


def find_prometheus(named: Path | None) -> Path:
    """Returns the program, as named or on the PATH; ConfigError where there is none."""
    found = shutil.which("prometheus" if named is None else named)
    if found is None:
        raise ConfigError(
            "--prometheus",
            "no prometheus is on the PATH" if named is None else f"{named} is no program",
            "install it (Debian and Ubuntu: apt-get install prometheus; Homebrew: brew install prometheus), "
            "or use deploy/local with Docker",
        )
    return Path(found)


def target_of(text: str) -> str:
    """Returns HOST:PORT of a run's metrics, from that or from a whole address; ConfigError if it is neither."""
    # Without the two slashes, a host would be read as the scheme of an address.
    address = text if "//" in text else f"//{text}"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not parts.hostname or not port:
        raise ConfigError(text, "expected HOST:PORT of a run's metrics, say 127.0.0.1:9464, as the run has shown it")
    return parts.netloc


def config_text(monitoring: Monitoring) -> str:
    """Returns Prometheus' config: the runs, whatever Ray says it has, and the rules."""
    # In milliseconds, since Prometheus takes no fractions of a second.
    every = f"{round(monitoring.every_s * 1_000)}ms"
    config: dict[str, Any] = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(RULES.resolve())],
        "scrape_configs": [
            {"job_name": "swarm", "static_configs": [{"targets": list(monitoring.targets)}]},
            {"job_name": "ray", "file_sd_configs": [{"files": ["ray.json"], "refresh_interval": "5s"}]},
        ],
    }
    return yaml.safe_dump(config, sort_keys=False)


def ray_endpoints(files: Iterable[str]) -> list[dict[str, Any]]:
    """Returns the endpoints that Ray has written into `files`, which may be patterns; skips what is unreadable."""
    groups: list[dict[str, Any]] = []
    for pattern in files:
        for file in sorted(Path("/").glob(pattern.removeprefix("/"))):
            try:
                found = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                # Ray may just be writing it, or have ended; five seconds later it is whole or gone.
                continue
            if isinstance(found, list):
                groups += [group for group in found if isinstance(group, dict) and group.get("targets")]
    return groups


def write(monitoring: Monitoring) -> Path:
    """Writes the config into the folder and returns its path; OutputError where that fails."""
    path = monitoring.folder / "prometheus.yml"
    try:
        monitoring.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(config_text(monitoring), encoding="utf-8")
        _write_ray(monitoring)
    except OSError as error:
        raise OutputError(f"{monitoring.folder}: this folder cannot be written to ({error.strerror})") from error
    return path


def run(monitoring: Monitoring, should_stop: Callable[[], bool], ready: Callable[[int], None]) -> None:
    """Runs Prometheus until `should_stop`, and ends it; `ready` is called with its process id once it answers."""
    limits.must_be_free(monitoring.port, "--port", "choose another, say --port 9091")
    config = write(monitoring)
    log = monitoring.folder / "prometheus.log"
    command = [str(monitoring.program), f"--config.file={config}", f"--storage.tsdb.path={monitoring.folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{monitoring.port}"]
    with log.open("w", encoding="utf-8") as output:
        # In a session of its own, so that Ctrl-C reaches this process alone, which then ends Prometheus in good order.
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)  # noqa: S603
    try:
        _wait_until_ready(monitoring, process, log, should_stop)
        if not should_stop():
            ready(process.pid)
        # Its end is noticed within POLL_S; Ray's list is written anew more rarely, as Ray itself does.
        looked = monotonic()
        while not should_stop():
            if process.poll() is not None:
                raise OutputError(f"{log}: Prometheus has ended by itself ({_last_line(log)})")
            if monotonic() - looked > RAY_EVERY_S:
                _write_ray(monitoring)
                looked = monotonic()
            sleep(POLL_S)
    finally:
        _end(process)


def _write_ray(monitoring: Monitoring) -> None:
    """Writes Ray's endpoints anew in one step, so that Prometheus never reads half of them."""
    path = monitoring.folder / "ray.json"
    text = json.dumps(ray_endpoints(monitoring.ray_targets), indent=2) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        unfinished = path.with_suffix(".part")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.rename(path)


def _wait_until_ready(
    monitoring: Monitoring, process: subprocess.Popen[bytes], log: Path, should_stop: Callable[[], bool]
) -> None:
    deadline = monotonic() + START_TIMEOUT_S
    while not should_stop() and not _answers(monitoring.port):
        if process.poll() is not None:
            raise OutputError(f"{log}: Prometheus does not start ({_last_line(log)})")
        if monotonic() > deadline:
            raise OutputError(f"{log}: Prometheus does not answer after {START_TIMEOUT_S:.0f} s")
        sleep(POLL_S)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    # Asked first, since Prometheus then writes what it has in memory to its disk.
    process.terminate()
    try:
        process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1][-300:] if lines else "it said nothing"
