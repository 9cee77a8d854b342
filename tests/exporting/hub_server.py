"""Two hubs that take uploads, spoken to over HTTP by their real client libraries: Hugging Face's routes for files sent
as in git LFS, and ModelScope's."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = 10_000
"""Files of more bytes go to the store of large files."""


@dataclass
class Repository:
    """A repository: whether it is private, and the files of each branch."""

    private: bool
    branches: dict[str, dict[str, bytes]]


@dataclass
class Site:
    """What the server holds.

    Attributes:
        url: For HF_ENDPOINT and MODELSCOPE_ENDPOINT.
        token: What a client must show to write.
        repositories: By id.
        blobs: Large files by their SHA-256.
        stored: How many bytes came into the store, in the order of coming.
        full: SHA-256 of large files that the store refuses, for now.
        lost: Files that commits name and that do not appear.
        messages: Of the commits.
    """

    url: str = ""
    token: str = "secret"
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    stored: list[int] = field(default_factory=list)
    full: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)


@contextmanager
def site() -> Iterator[Site]:
    """Run the server for the block."""

    class Handler(_Handler):
        state = Site()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Handler.state
    server.shutdown()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Site

    def do_HEAD(self) -> None:
        self._send(200, {})

    def do_GET(self) -> None:
        path, query = self._path()
        match path:
            case ["api", "models", owner, name, *rest] | ["api", "v1", "models", owner, name, *rest]:
                self._read(f"{owner}/{name}", rest, query, modelscope=path[1] == "v1")
            case ["openapi", "v1", "models", owner, name]:
                self._read(f"{owner}/{name}", [], query, modelscope=True)
            case _:
                self._send(404, {})

    def do_POST(self) -> None:
        path, _ = self._path()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.state.token not in self.headers.get("Authorization", "") and path[-1] != "validate-yaml":
            self._send(401, {"error": "Invalid username or password."})
            return
        match path:
            case ["api", "validate-yaml"]:
                self._send(200, {"warnings": [], "errors": []})
            case ["api", "repos", "create"]:
                self._create_hf(json.loads(body))
            case ["api", "v1", "models"]:
                self._create_ms(json.loads(body))
            case ["api", "models", owner, name, "branch", branch]:
                repository = self.state.repositories[f"{owner}/{name}"]
                repository.branches.setdefault(branch, dict(repository.branches["main"]))
                self._send(200, {})
            case ["api", "models", _, _, "preupload", _]:
                self._preupload(json.loads(body))
            case [_, _, "info", "lfs", "objects", "batch"] | [
                "api", "v1", "repos", "models", _, _, "info", "lfs", "objects", "batch"
            ]:  # fmt: skip
                self._batch(json.loads(body), modelscope=path[0] == "api")
            case ["api", "models", owner, name, "commit", revision]:
                self._commit_hf(f"{owner}/{name}", revision, [json.loads(line) for line in body.splitlines()])
            case ["api", "v1", "repos", "models", owner, name, "commit", revision]:
                self._commit_ms(f"{owner}/{name}", revision, json.loads(body))
            case _:
                self._send(404, {})

    def do_PUT(self) -> None:
        digest = self._path()[0][-1]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if digest in self.state.full:
            self._send(403, {"error": "the store is full"})
        elif hashlib.sha256(body).hexdigest() != digest:
            self._send(400, {"error": "other bytes"})
        else:
            self.state.blobs[digest] = body
            self.state.stored.append(len(body))
            self._send(200, {})

    def log_message(self, *_: object) -> None:
        pass

    def _path(self) -> tuple[list[str], dict[str, list[str]]]:
        parts = urlsplit(self.path)
        path = [unquote(part) for part in parts.path.strip("/").split("/")]
        return [part.removesuffix(".git") for part in path], parse_qs(parts.query)

    def _read(self, repo: str, rest: list[str], query: dict[str, list[str]], *, modelscope: bool) -> None:
        repository = self.state.repositories.get(repo)
        if repository is None:
            self._send(404, {"Code": 404, "Message": "not there"}, {"X-Error-Code": "RepoNotFound"})
        elif rest[:1] == ["tree"]:
            files = repository.branches[rest[1]]
            self._send(200, [{"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                             for name, data in files.items()])  # fmt: skip
        elif rest == ["repo", "files"]:
            files = repository.branches[query["Revision"][0]]
            listed = [{"Path": name, "Name": name, "Size": len(data), "Type": "blob"} for name, data in files.items()]
            self._send(200, {"Code": 200, "Data": {"Files": listed}})
        elif modelscope:
            value = {
                "Path": repo.split("/")[0],
                "Name": repo.split("/")[1],
                "Visibility": 1 if repository.private else 5,
            }
            self._send(200, {"Code": 200, "Data": value, "data": value})
        else:
            self._send(200, {"id": repo, "private": repository.private, "tags": [], "downloads": 0, "siblings": []})

    def _create_hf(self, wanted: dict[str, Any]) -> None:
        repo = f"{wanted['organization']}/{wanted['name']}"
        if repo in self.state.repositories:
            self._send(409, {"error": "You already created this model repo", "url": f"{self.state.url}/{repo}"})
            return
        private = wanted.get("private") is True or wanted.get("visibility") == "private"
        self.state.repositories[repo] = Repository(private, {"main": {}})
        self._send(200, {"url": f"{self.state.url}/{repo}"})

    def _create_ms(self, wanted: dict[str, Any]) -> None:
        repo = f"{wanted['Path']}/{wanted['Name']}"
        if repo in self.state.repositories:
            self._send(400, {"Code": 400, "Message": "exists"})
            return
        self.state.repositories[repo] = Repository(wanted["Visibility"] == 1, {"master": {}})
        self._send(200, {"Code": 200, "Data": {}})

    def _preupload(self, wanted: dict[str, Any]) -> None:
        files = [
            {"path": file["path"], "uploadMode": "lfs" if file["size"] > LARGE else "regular", "shouldIgnore": False}
            for file in wanted["files"]
        ]
        self._send(200, {"files": files})

    def _batch(self, wanted: dict[str, Any], *, modelscope: bool) -> None:
        objects = []
        for item in wanted["objects"]:
            known = item["oid"] in self.state.blobs
            actions = {} if known else {"actions": {"upload": {"href": f"{self.state.url}/store/{item['oid']}"}}}
            if not (known and modelscope):
                objects.append({**item, **actions})
        self._send(200, {"Code": 200, "Data": {"objects": objects}} if modelscope else {"objects": objects})

    def _commit_hf(self, repo: str, revision: str, lines: list[dict[str, Any]]) -> None:
        files = self.state.repositories[repo].branches[revision]
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.state.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.state.blobs[value["oid"]]
        for name in self.state.lost:
            files.pop(name, None)
        url = f"{self.state.url}/{repo}/commit/{'c' * 40}"
        self._send(200, {"commitUrl": url, "commitOid": "c" * 40, "success": True})

    def _commit_ms(self, repo: str, revision: str, wanted: dict[str, Any]) -> None:
        files = self.state.repositories[repo].branches[revision]
        self.state.messages.append(wanted["commit_message"])
        for action in wanted["actions"]:
            large = action["type"] == "lfs"
            files[action["path"]] = self.state.blobs[action["sha256"]] if large else base64.b64decode(action["content"])
        for name in self.state.lost:
            files.pop(name, None)
        self._send(200, {"Code": 200, "Success": True, "Data": {}})

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
