"""A Hugging Face hub of one model, spoken to over HTTP by the real client library."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40


@dataclass
class Hub:
    """What the server holds and what it was asked.

    Attributes:
        url: For `HF_ENDPOINT`.
        files: Of the model `org/tiny`. `org/gated` has the same, for nobody.
        cut: Files of which only so many bytes are sent before the connection drops; each cut is used once.
        served: Names of files whose content was asked for.
    """

    url: str
    files: Mapping[str, bytes]
    cut: dict[str, int] = field(default_factory=dict)
    served: list[str] = field(default_factory=list)


@contextmanager
def hub(files: Mapping[str, bytes]) -> Iterator[Hub]:
    """Run the server for the block."""

    class Handler(_Handler):
        state = Hub("", files)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Handler.state
    server.shutdown()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        repo = "/".join(parts[2:4] if api else parts[:2])
        rest = parts[4:] if api else parts[2:]
        if not parts[0]:
            self._send(200, b"")
        elif repo == "org/gated" and not (api and "tree" not in rest):
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif repo not in ("org/tiny", "org/gated"):
            self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif len(rest) > 1 and rest[1] not in ("main", COMMIT):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif api:
            self._describe(repo, rest)
        else:
            self._file("/".join(rest[2:]))

    def _describe(self, repo: str, rest: list[str]) -> None:
        if rest[:1] == ["tree"]:
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in self.state.files.items()
            ]
            self._send(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})
            return
        siblings = [{"rfilename": name} for name in self.state.files]
        body = {"id": repo, "modelId": repo, "sha": COMMIT, "private": False, "gated": False, "siblings": siblings}
        self._send(200, json.dumps({**body, "tags": [], "downloads": 0}).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str) -> None:
        if name not in self.state.files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        data = self.state.files[name]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        status, start = 200, self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        if start.isdecimal() and int(start) > 0:
            status, headers["Content-Range"] = 206, f"bytes {start}-{len(data) - 1}/{len(data)}"
            data = data[int(start) :]
        if self.command == "GET":
            self.state.served.append(f"{name}@{start or 0}")
        self._send(status, data, headers, cut=self.state.cut.pop(name, None) if self.command == "GET" else None)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] = {}, cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True
