"""Makes a data source, a folder and dashboards in a Grafana through its HTTP API, or leaves them as they are.

The one place that knows grafana-api. It knows nothing of runs, and the token passes through it and is shown nowhere.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import requests
from grafana_api.grafana_api import GrafanaClientError, GrafanaException
from grafana_api.grafana_face import GrafanaFace

from swarm.errors import ConfigError, GrafanaError

TOKEN_VARIABLE = "GRAFANA_TOKEN"  # noqa: S105  # the variable's name, and no token
TIMEOUT_S = 20.0
ATTEMPTS = 3
"""How often something is read and written again because somebody else wrote in between."""

SOURCE_NAME, SOURCE_UID = "Swarm Prometheus", "swarm-prometheus"
FOLDER_TITLE, FOLDER_UID = "Thousand Token Wood", "thousand-token-wood"
TAG = "swarm"

NO_GRAFANA = "what answers there is no Grafana; see whether the address, with its path, is right"

Outcome = Literal["created", "updated", "unchanged", "provisioned from a file, left as it is"]


@dataclass(frozen=True, slots=True)
class Pushed:
    """The outcome of pushing one thing to Grafana."""

    what: str
    outcome: Outcome
    url: str = ""


class Grafana:
    """A Grafana with the three things that a push needs; a call that is made again changes nothing."""

    def __init__(self, face: Any, url: str) -> None:
        self._face = face
        self.url = url

    def ensure_datasource(self, prometheus_url: str, scrape_interval_s: int) -> Outcome:
        """Makes the dashboards' data source, found by its name; leaves one that a file has provisioned."""
        wanted: dict[str, Any] = {
            "name": SOURCE_NAME,
            "type": "prometheus",
            "access": "proxy",
            "url": prometheus_url,
            "jsonData": {"httpMethod": "POST", "timeInterval": f"{scrape_interval_s}s"},
        }

        def write() -> Outcome:
            found = self._found(lambda: self._face.datasource.get_datasource_by_name(quote(SOURCE_NAME)))
            if found is None:
                self._face.datasource.create_datasource({**wanted, "uid": SOURCE_UID, "isDefault": False})
                return "created"
            if found.get("type") != "prometheus":
                raise GrafanaError(
                    f"{self.url}: there is a data source {SOURCE_NAME!r} of type {found.get('type')!r}, expected "
                    "prometheus; rename it there"
                )
            # Nothing is written where nothing differs, so that a push can be repeated by whoever deploys.
            if covers(found, wanted):
                return "unchanged"
            if found.get("readOnly"):
                return "provisioned from a file, left as it is"
            merged = {**found, **wanted, "jsonData": {**(found.get("jsonData") or {}), **wanted["jsonData"]}}
            # Some Grafanas take no data source by its number, so the path goes by the uid.
            self._face.datasource.update_datasource(f"uid/{found['uid']}", merged)
            return "updated"

        return self._written(write, "the data source")

    def ensure_folder(self) -> Outcome:
        """Makes the folder of the dashboards, found by its uid."""

        def write() -> Outcome:
            found = self._found(lambda: self._face.folder.get_folder(FOLDER_UID))
            if found is None:
                self._face.folder.create_folder(FOLDER_TITLE, FOLDER_UID)
                return "created"
            if found["title"] == FOLDER_TITLE:
                return "unchanged"
            self._face.folder.update_folder(FOLDER_UID, FOLDER_TITLE, version=found.get("version"))
            return "updated"

        return self._written(write, "the folder")

    def upsert_dashboard(self, dashboard: Mapping[str, Any]) -> Outcome:
        """Puts a dashboard, found by its uid, into the folder; leaves one that a file has provisioned."""

        def write() -> Outcome:
            found = self._found(lambda: self._face.dashboard.get_dashboard(dashboard["uid"]))
            version = 0
            if found is not None:
                meta = found.get("meta") or {}
                if meta.get("provisioned"):
                    return "provisioned from a file, left as it is"
                if covers(found["dashboard"], dashboard) and meta.get("folderUid") == FOLDER_UID:
                    return "unchanged"
                version = found["dashboard"].get("version", 0)
            body = {**dashboard, "id": None, "version": version}
            message = "Pushed by swarm"
            # Not to overwrite means that Grafana refuses what was read before somebody else wrote.
            request = {"dashboard": body, "folderUid": FOLDER_UID, "overwrite": False, "message": message}
            self._face.dashboard.update_dashboard(request)
            return "updated" if found is not None else "created"

        return self._written(write, f"the dashboard {dashboard['uid']}")

    def dashboards(self) -> dict[str, str]:
        """Returns the uids of the dashboards that bear our tag, and the folder that each lies in."""
        found = self._face.search.search_dashboards(tag=TAG, type_="dash-db")
        return {entry["uid"]: entry.get("folderUid", "") for entry in found}

    def _found(self, get: Callable[[], Any]) -> Any:
        try:
            found = get()
        except GrafanaClientError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                return None
            raise
        if not isinstance(found, Mapping):
            raise ValueError(NO_GRAFANA)
        return found

    def _written(self, write: Callable[[], Outcome], what: str) -> Outcome:
        """Returns what `write` came to, tried again where somebody else wrote at the same time."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return write()
            except GrafanaClientError as error:
                # Grafana says so when the version that was read is not the last one.
                conflict = error.status_code in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED)
                if not conflict or attempt == ATTEMPTS:
                    if conflict:
                        raise GrafanaError(
                            f"{self.url}: {what} cannot be written ({_said(error)}); something else there has its name "
                            "or its uid, or is being written: move that away, then push again"
                        ) from error
                    raise
        raise AssertionError("unreachable")


def push(
    server: Grafana, dashboards: Sequence[Mapping[str, Any]], prometheus_url: str, scrape_interval_s: int
) -> Iterator[Pushed]:
    """Makes the data source, the folder and the dashboards, and yields what became of each."""
    yield Pushed(f"data source {SOURCE_NAME}", server.ensure_datasource(prometheus_url, scrape_interval_s))
    yield Pushed(f"folder {FOLDER_TITLE}", server.ensure_folder())
    outcomes: dict[str, Outcome] = {}
    for dashboard in dashboards:
        uid = str(dashboard["uid"])
        outcomes[uid] = server.upsert_dashboard(sourced(dashboard))
        yield Pushed(f"dashboard {dashboard['title']}", outcomes[uid], f"{server.url}/d/{uid}")
    # What was taken must also be found, as a person would look for it.
    there = server.dashboards()
    absent = [uid for uid, outcome in outcomes.items() if there.get(uid) is None]
    if absent:
        raise GrafanaError(
            f"{server.url}: took {', '.join(absent)}, but its search does not find them; see whether the token may "
            "read what it wrote"
        )


def sourced(dashboard: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the dashboard with our data source chosen, so that it opens with data."""
    variables = [
        {**v, "current": {"selected": True, "text": SOURCE_NAME, "value": SOURCE_UID}}
        if v["type"] == "datasource"
        else v
        for v in dashboard["templating"]["list"]
    ]
    return {**dashboard, "templating": {**dashboard["templating"], "list": variables}}


def covers(found: Any, wanted: Any) -> bool:
    """Tells whether `found` has all that is `wanted`; Grafana adds keys of its own to what it was given."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(covers(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(covers, found, wanted))
    return bool(found == wanted)


@contextmanager
def connected(url: str, token: str, insecure: bool = False) -> Iterator[Grafana]:
    """Yields the Grafana at `url`; what it refuses within the block becomes a GrafanaError without the token."""
    # All that could let the token out is refused before anything is sent.
    parts, loopback = _address(url)
    if not token.strip():
        raise ConfigError(
            TOKEN_VARIABLE,
            "the environment has no token",
            "make a service account in Grafana (Administration, role Admin), and export its token under this name",
        )
    if not token.isascii() or any(c.isspace() or not c.isprintable() for c in token):
        raise ConfigError(
            TOKEN_VARIABLE,
            "expected one word of printable ASCII",
            "export the token alone, without quotes or a newline",
        )
    if parts.scheme == "http" and not loopback and not insecure:
        raise ConfigError(
            "--url",
            f"over plain http the token could be read on its way to {parts.hostname}",
            "use https, or --insecure if the way is safe",
        )
    # The library puts the address together again from its parts, and forgets the brackets of IPv6.
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    prefix = parts.path.strip("/")
    face = GrafanaFace(
        token,
        host=host,
        port=parts.port,
        url_path_prefix=f"{prefix}/" if prefix else "",
        protocol=parts.scheme,
        timeout=TIMEOUT_S,
    )
    session: requests.Session = face.api.s
    # A redirect could lead the token elsewhere, and would make a GET of a POST.
    session.max_redirects = 0
    # What runs on this machine is not reached through a proxy.
    session.trust_env = not loopback
    server = Grafana(face, url.rstrip("/"))
    try:
        yield server
    except (GrafanaException, requests.RequestException, ValueError, KeyError) as error:
        # No cause is kept: a traceback of it could show the request with its headers.
        raise GrafanaError(f"{server.url}: {_reason(error).replace(token, '***')}") from None
    finally:
        session.close()


def _address(url: str) -> tuple[Any, bool]:
    """Returns the parts of an address, and whether it is this machine's own."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        parts, valid = urlsplit(""), False
    if not valid or parts.query or parts.fragment:
        raise ConfigError(
            "--url", "expected Grafana's address, such as https://grafana.example.org or http://127.0.0.1:3000"
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError("--url", "expected an address without a user", f"a token comes from {TOKEN_VARIABLE}")
    try:
        loopback = ipaddress.ip_address(str(parts.hostname)).is_loopback
    except ValueError:
        loopback = parts.hostname == "localhost"
    return parts, loopback


def _said(error: GrafanaException) -> str:
    response = error.response
    message = response.get("message") if isinstance(response, Mapping) else response
    # One line, bounded: a proxy in between may answer with a page.
    first = str(message or "no reason given").strip().splitlines()[0]
    return f"{error.status_code}: {first[:200]}"


def _reason(error: Exception) -> str:
    if isinstance(error, GrafanaException):
        advice = {
            HTTPStatus.UNAUTHORIZED: f"the token in {TOKEN_VARIABLE} is not valid there; make another",
            HTTPStatus.FORBIDDEN: "the token's service account may not do this; give it the role Admin",
        }.get(error.status_code, "see Grafana's log")
        return f"Grafana refused ({_said(error)}); {advice}"
    if isinstance(error, requests.TooManyRedirects):
        return "redirects elsewhere, where the token is not sent; name the address that it leads to"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be verified; put its authority's into a file and name that in REQUESTS_CA_BUNDLE"
    if isinstance(error, requests.Timeout):
        return f"does not answer within {TIMEOUT_S:.0f} s; see whether Grafana runs there"
    if isinstance(error, requests.ConnectionError):
        return "nobody answers there; see whether Grafana runs and the address is right"
    return NO_GRAFANA
