"""A Grafana of the tests: the part of its HTTP API that a push uses, with its bodies and its status codes.

After the published API: data sources (409 for a name or uid that is there, 403 for a provisioned one, 409 for an old
version), folders (409, 412), dashboards (404, 412 by `status`, 400 for a provisioned one), search, bearer tokens (401).
"""

import copy
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "glsa_0123456789abcdefghijklmnopqrstuv_01234567"
Answer = tuple[int, Any]


@dataclass
class FakeGrafana:
    """What it holds, and all that it was asked."""

    datasources: dict[str, dict[str, Any]] = field(default_factory=dict)
    folders: dict[str, dict[str, Any]] = field(default_factory=dict)
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)
    folder_of: dict[str, str] = field(default_factory=dict)
    provisioned: set[str] = field(default_factory=set)
    requests: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    before: Callable[[str, str], None] = lambda _method, _path: None
    """Called before each request is answered: somebody else's hand."""
    instead: Callable[[str, str], Answer | None] = lambda _method, _path: None
    """An answer to give in place of its own."""
    url: str = ""

    def writes(self) -> list[tuple[str, str]]:
        """The requests that would change something."""
        return [(method, path) for method, path in self.requests if method != "GET"]

    def answer(self, method: str, path: str, body: Any) -> Answer:
        """What Grafana says."""
        for pattern, handler in self._routes().items():
            if match := re.fullmatch(pattern, f"{method} {urlsplit(path).path}"):
                return handler(*map(unquote, match.groups()), body=body, query=parse_qs(urlsplit(path).query))
        return 404, {"message": "Not found"}

    def _routes(self) -> dict[str, Callable[..., Answer]]:
        return {
            r"GET /api/datasources/name/([^/]+)": self._get_datasource,
            r"POST /api/datasources": self._add_datasource,
            r"PUT /api/datasources/uid/([^/]+)": self._update_datasource,
            r"GET /api/folders/([^/]+)": self._get_folder,
            r"POST /api/folders": self._add_folder,
            r"PUT /api/folders/([^/]+)": self._update_folder,
            r"GET /api/dashboards/uid/([^/]+)": self._get_dashboard,
            r"POST /api/dashboards/db": self._save_dashboard,
            r"GET /api/search": self._search,
        }

    def _get_datasource(self, name: str, **_: Any) -> Answer:
        if name not in self.datasources:
            return 404, {"message": "Data source not found", "messageId": "", "statusCode": 404, "traceID": ""}
        return 200, self.datasources[name]

    def _add_datasource(self, *, body: Any, **_: Any) -> Answer:
        if not body.get("name") or not body.get("type") or not body.get("access"):
            return 400, {"message": "bad request data"}
        uids = {source["uid"] for source in self.datasources.values()}
        if body["name"] in self.datasources:
            return 409, {"message": "data source with the same name already exists"}
        if body.get("uid") in uids:
            return 409, {"message": "data source with the same uid already exists"}
        number = len(self.datasources) + 1
        made = {
            "id": number,
            "uid": body.get("uid") or f"uid{number}",
            "orgId": 1,
            "name": body["name"],
            "type": body["type"],
            "typeLogoUrl": "",
            "access": body["access"],
            "url": body.get("url", ""),
            "user": "",
            "database": "",
            "basicAuth": False,
            "basicAuthUser": "",
            "withCredentials": False,
            "isDefault": body.get("isDefault", False),
            "jsonData": body.get("jsonData", {}),
            "secureJsonFields": {},
            "version": 1,
            "readOnly": False,
        }
        self.datasources[body["name"]] = made
        return 200, {"datasource": made, "id": number, "message": "Datasource added", "name": body["name"]}

    def _update_datasource(self, uid: str, *, body: Any, **_: Any) -> Answer:
        found = next((source for source in self.datasources.values() if source["uid"] == uid), None)
        if found is None:
            return 404, {"message": "Data source not found"}
        if found["readOnly"]:
            return 403, {"message": "Cannot update read-only data source"}
        if body.get("version") and body["version"] != found["version"]:
            return 409, {"message": "Datasource has already been updated by someone else. Please reload and try again"}
        found.update({**body, "version": found["version"] + 1, "secureJsonFields": found["secureJsonFields"]})
        return 200, {"datasource": found, "id": found["id"], "message": "Datasource updated", "name": found["name"]}

    def _get_folder(self, uid: str, **_: Any) -> Answer:
        if uid not in self.folders:
            return 404, {"message": "folder not found", "status": "not-found"}
        return 200, self.folders[uid]

    def _add_folder(self, *, body: Any, **_: Any) -> Answer:
        if not body.get("title"):
            return 400, {"message": "folder title cannot be empty"}
        if body.get("uid") in self.folders:
            return 409, {"message": "a folder with the same uid already exists"}
        if body["title"] in {folder["title"] for folder in self.folders.values()}:
            return 409, {"message": "a folder with the same name already exists in the current location"}
        uid = body.get("uid") or f"folder{len(self.folders) + 1}"
        made = {"id": len(self.folders) + 1, "uid": uid, "title": body["title"], "url": f"/dashboards/f/{uid}/"}
        self.folders[uid] = {**made, "hasAcl": False, "canSave": True, "canEdit": True, "canAdmin": True, "version": 1}
        return 200, self.folders[uid]

    def _update_folder(self, uid: str, *, body: Any, **_: Any) -> Answer:
        found = self.folders.get(uid)
        if found is None:
            return 404, {"message": "folder not found"}
        if not body.get("overwrite") and body.get("version") != found["version"]:
            return 412, {"message": "the folder has been changed by someone else", "status": "version-mismatch"}
        found.update(title=body["title"], version=found["version"] + 1)
        return 200, found

    def _get_dashboard(self, uid: str, **_: Any) -> Answer:
        if uid not in self.dashboards:
            return 404, {"message": "Dashboard not found", "traceID": ""}
        folder = self.folder_of[uid]
        meta = {
            "type": "db",
            "canSave": True,
            "slug": uid,
            "version": self.dashboards[uid]["version"],
            "folderUid": folder,
            "folderTitle": self.folders.get(folder, {}).get("title", "General"),
            "provisioned": uid in self.provisioned,
        }
        return 200, {"meta": meta, "dashboard": self.dashboards[uid]}

    def _save_dashboard(self, *, body: Any, **_: Any) -> Answer:
        wanted, folder = body["dashboard"], body.get("folderUid", "")
        uid, title = wanted.get("uid"), wanted.get("title")
        if not title:
            return 400, {"message": "Dashboard title cannot be empty"}
        if folder and folder not in self.folders:
            return 400, {"message": "folder not found", "status": "not-found"}
        if wanted.get("id") and wanted["id"] not in {d["id"] for d in self.dashboards.values()}:
            return 404, {"message": "Dashboard not found", "status": "not-found"}
        if uid in self.provisioned:
            return 400, {"message": "Cannot save provisioned dashboard"}
        same_name = [u for u, d in self.dashboards.items() if d["title"] == title and self.folder_of[u] == folder]
        if not body.get("overwrite"):
            if uid in self.dashboards and wanted.get("version") != self.dashboards[uid]["version"]:
                message = "The dashboard has been changed by someone else"
                return 412, {"message": message, "status": "version-mismatch"}
            if same_name and same_name != [uid]:
                message = "A dashboard with the same name in the folder already exists"
                return 412, {"message": message, "status": "name-exists"}
        before = self.dashboards.get(uid, {"id": len(self.dashboards) + 1, "version": 0})
        saved = {**copy.deepcopy(wanted), "id": before["id"], "version": before["version"] + 1}
        # Grafana adds defaults of its own to what it stores.
        saved["schemaVersion"] = saved.get("schemaVersion", 42)
        saved.setdefault("weekStart", "")
        for panel in saved.get("panels", []):
            panel.setdefault("pluginVersion", "12.2.0")
        self.dashboards[uid], self.folder_of[uid] = saved, folder
        return 200, {
            "folderUid": folder,
            "id": saved["id"],
            "uid": uid,
            "url": f"/d/{uid}/{uid}",
            "status": "success",
            "version": saved["version"],
            "slug": uid,
        }

    def _search(self, *, query: dict[str, list[str]], **_: Any) -> Answer:
        tags = set(query.get("tag", []))
        return 200, [
            {"id": d["id"], "uid": uid, "title": d["title"], "url": f"/d/{uid}/{uid}", "type": "dash-db"}
            | {"tags": d.get("tags", []), "isStarred": False, "folderUid": self.folder_of[uid]}
            for uid, d in self.dashboards.items()
            if tags <= set(d.get("tags", []))
        ]


@contextmanager
def serving(prefix: str = "") -> Iterator[FakeGrafana]:
    """A Grafana on a port of this machine, below `prefix`."""
    grafana = FakeGrafana()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            body = json.loads(raw) if raw else None
            method, path = self.command, self.path.removeprefix(prefix)
            grafana.before(method, path)
            if (given := grafana.instead(method, path)) is not None:
                self.send(*given)
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.send(401, {"message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401})
            elif not self.path.startswith(f"{prefix}/api/"):
                self.send(200, "<!doctype html><title>Some other page</title>")
            else:
                grafana.requests.append((method, path))
                grafana.bodies.append(body)
                self.send(*grafana.answer(method, path, body))

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815

        def send(self, status: int, answer: Any) -> None:
            text = answer if isinstance(answer, str) else json.dumps(answer)
            payload = text.encode()
            self.send_response(status)
            if status in (301, 302):
                self.send_header("Location", text)
            self.send_header("Content-Type", "text/html" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        grafana.url = f"http://127.0.0.1:{server.server_port}{prefix}"
        try:
            yield grafana
        finally:
            server.shutdown()
            thread.join()
