"""A real HTTP server with a tiny model behind it that speaks as vLLM does, and can be made to misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

from swift.engines.transformers import TransformersEngine
from swift.types import Completion, Ids, Request, Sampling

Fault = Callable[["Handler"], bool]
"""Misbehaves instead of answering; returns whether it did."""


class EngineServer(ThreadingHTTPServer):
    """Answers completions with an engine.

    Attributes:
        asked: Bodies of requests, in order.
        headers_seen: Their headers.
        faults: Each request takes the first.
        left: Set when a client went away in the middle of a stream.
        pause: Seconds between the tokens of a stream.
        chat: What `/chat/completions` answers: events of a stream, or one response.
        models: Entries of `/models`.
    """

    daemon_threads = True

    def __init__(self, engine: TransformersEngine) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.engine = engine
        self.lock = threading.Lock()
        self.asked: list[dict[str, Any]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.faults: list[Fault] = []
        self.left = threading.Event()
        self.pause = 0.0
        self.chat: list[dict[str, Any]] = []
        self.models: list[dict[str, Any]] = [{"id": "base", "owned_by": "vllm", "max_model_len": 1024}]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def complete(self, body: dict[str, Any]) -> Completion:
        rules = Sampling(
            max_new_tokens=body["max_tokens"],
            temperature=body["temperature"],
            seed=body.get("seed"),
        )
        with self.lock:
            (answer,) = self.engine.generate([Request(Ids(tuple(body["prompt"])), rules)])
        assert isinstance(answer, Completion), answer
        return answer

    @torch.no_grad()
    def logprobs(self, ids: list[int]) -> list[dict[str, Any] | None]:
        with self.lock:
            logits = self.engine._model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
        rows = [{str(token): {"logprob": float(logits[at, token])}} for at, token in enumerate(ids[1:])]
        return [None, *rows]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: EngineServer

    def do_GET(self) -> None:
        self.send_json(200, {"object": "list", "data": self.server.models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.headers_seen.append(dict(self.headers))
        if self.server.faults and self.server.faults.pop(0)(self):
            return
        if self.path.endswith("/chat/completions"):
            self._chat(body)
        elif body.get("prompt_logprobs") is not None:
            choice = {"index": 0, "text": "", "prompt_logprobs": self.server.logprobs(body["prompt"])}
            self.send_json(200, {"choices": [choice]})
        else:
            self._complete(body)

    def _complete(self, body: dict[str, Any]) -> None:
        answer = self.server.complete(body)
        usage = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": len(answer.token_ids)}
        ids = list(answer.token_ids)
        if not body.get("stream"):
            choice = {"index": 0, "text": answer.text, "token_ids": ids, "finish_reason": answer.finish}
            choice["prompt_token_ids"] = body["prompt"]
            self.send_json(200, {"choices": [choice], "usage": usage})
            return

        def events() -> Iterator[dict[str, Any]]:
            for place, token in enumerate(ids):
                last = place == len(ids) - 1
                choice = {
                    "index": 0,
                    "text": "x",
                    "token_ids": [token],
                    "finish_reason": answer.finish if last else None,
                }
                yield {"choices": [choice | ({} if place else {"prompt_token_ids": body["prompt"]})]}
            yield {"choices": [], "usage": usage}

        self.stream(events())

    def _chat(self, body: dict[str, Any]) -> None:
        if body.get("stream"):
            self.stream(iter(self.server.chat))
        else:
            self.send_json(200, self.server.chat[0])

    def stream(self, events: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for event in events:
                self.wfile.write(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n")
                self.wfile.flush()
                time.sleep(self.server.pause)
            self.wfile.write(b": a comment\ndata: [DONE]\n\n")
        except OSError:
            self.server.left.set()

    def send_json(self, status: int, value: dict[str, Any], **headers: str) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def status(code: int, message: str = "no", **headers: str) -> Fault:
    """Answers with an error."""

    def fault(handler: Handler) -> bool:
        handler.send_json(code, {"error": {"message": message}}, **headers)
        return True

    return fault


def hang_up(handler: Handler) -> bool:
    """Closes the connection without a word."""
    handler.close_connection = True
    return True


def break_off(handler: Handler) -> bool:
    """Begins a stream and ends it in the middle."""
    handler.stream(iter([{"choices": [{"index": 0, "text": "x", "token_ids": [5], "finish_reason": None}]}]))
    return True


def fine(handler: Handler) -> bool:
    """Lets the request through."""
    return False


@contextmanager
def serving(engine: TransformersEngine) -> Iterator[EngineServer]:
    """The server, running."""
    server = EngineServer(engine)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
