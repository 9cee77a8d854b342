"""A small server over llama.cpp that takes token ids and tells token ids; run as a file, by the environment's Python.

`llama_server.py MODEL PORT CONTEXT THREADS`; the key that requests must carry is in LLAMA_SERVER_KEY. It speaks the
part of OpenAI's completions that `swift.engines.llamacpp` needs, with the names that vLLM has for the rest. The server
that comes with llama-cpp-python takes prompts as texts only, and so would make tokens of its own.

One request runs at a time, since there is one context for answers; others wait. Who closes the connection is not
answered further.
"""

from __future__ import annotations

import hmac
import json
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import llama_cpp
import numpy as np

MODEL = "base"
_LARGEST_BODY = 64 << 20


class Model:
    """A model and its one context.

    Args:
        path: The GGUF file.
        context: Tokens of prompt and answer.
        threads: Of the computation.
    """

    def __init__(self, path: str, context: int, threads: int) -> None:
        self.context = context
        self.lock = threading.Lock()
        # All is computed in one thread: OpenMP keeps threads for each one that asks for some, and where there are more
        # of them than cores they sleep between any two operations instead of waiting for work, at a third of the speed.
        self._thread = ThreadPoolExecutor(1)
        self._path, self._threads = path, threads
        self._llama = self._opened(every=False)
        self._scorer: llama_cpp.Llama | None = None
        self.vocabulary: int = self._llama.n_vocab()

    def _opened(self, *, every: bool) -> llama_cpp.Llama:
        """A context over the file; `every` keeps the logits behind each token, which makes prompts slow."""
        return self._compute(
            llama_cpp.Llama,
            self._path,
            n_ctx=self.context,
            n_threads=self._threads,
            n_threads_batch=self._threads,
            logits_all=every,
            verbose=False,
        )

    def _compute(self, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return self._thread.submit(work, *given, **named).result()

    def answer(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The tokens of an answer, an event each, then one with the reason of its end."""
        prompt: list[int] = body["prompt"]
        most = min(int(body.get("max_tokens", 16)), self.context - len(prompt))
        stops = frozenset(body.get("stop_token_ids") or ())
        least, logprobs = int(body.get("min_tokens") or 0), body.get("logprobs")
        yield {"prompt_token_ids": prompt}
        count, finish = 0, "length"
        tokens = self._compute(self._tokens, body, prompt, stops if least else frozenset(), least)
        while (token := self._compute(next, tokens, None)) is not None:
            event: dict[str, Any] = {"token_ids": [token]}
            if logprobs is not None:
                event["logprobs"] = self._logprobs(token, int(logprobs))
            count += 1
            ended = token in stops
            finish = "stop" if ended else finish
            yield event
            if ended or count >= most:
                break
        yield {"finish_reason": finish, "usage": {"prompt_tokens": len(prompt), "completion_tokens": count}}

    def score(self, ids: list[int]) -> list[dict[str, Any] | None]:
        """The log-probability of each token behind those before it; None for the first."""
        if self._scorer is None:  # a context of its own, over the same mapped weights
            self._scorer = self._opened(every=True)
        self._scorer.reset()
        self._compute(self._scorer.eval, ids)
        found: list[dict[str, Any] | None] = [None]
        for place, token in enumerate(ids[1:]):
            found.append({str(token): {"logprob": float(_log_softmax(self._scorer.scores[place])[token])}})
        return found

    def _tokens(self, body: dict[str, Any], prompt: list[int], late: frozenset[int], least: int) -> Iterator[int]:
        """Tokens without end; those of `late` not among the first `least`.

        Penalties and biases are applied here: the library's own do not count the prompt.
        """
        change = Change(body, len(prompt), late, least)
        guide = body.get("json_schema")
        grammar = None if guide is None else llama_cpp.LlamaGrammar.from_json_schema(guide, verbose=False)
        seed = body.get("seed")
        self._llama.set_seed(llama_cpp.LLAMA_DEFAULT_SEED if seed is None else int(seed) % (1 << 32))
        # The library would also move states of tokens that stand elsewhere now, which are not what they would be there.
        known = min(_common(self._llama.input_ids[: self._llama.n_tokens], prompt), len(prompt) - 1)
        self._llama.n_tokens = known
        tokens: Iterator[int] = self._llama.generate(
            prompt[known:],
            reset=False,
            top_k=int(body.get("top_k") or 0),
            top_p=float(body.get("top_p", 1.0)),
            min_p=float(body.get("min_p") or 0.0),
            typical_p=1.0,
            temp=float(body.get("temperature", 1.0)),
            repeat_penalty=1.0,
            logits_processor=llama_cpp.LogitsProcessorList([change]) if change.needed else None,
            grammar=grammar,
        )
        return tokens

    def _logprobs(self, token: int, count: int) -> dict[str, Any]:
        """How likely the token just chosen was, and the likeliest ones in its place."""
        logits = llama_cpp.llama_get_logits_ith(self._llama.ctx, -1)
        values = _log_softmax(np.ctypeslib.as_array(logits, shape=(self.vocabulary,)))
        top = np.argsort(values)[::-1][:count]
        return {
            "tokens": [f"token_id:{token}"],
            "token_logprobs": [float(values[token])],
            "top_logprobs": [{f"token_id:{number}": float(values[number]) for number in top}],
        }


class Change:
    """What becomes of logits before a token is chosen.

    Args:
        body: The request.
        begun: Tokens of the prompt.
        late: Tokens that are not to come early.
        least: How many tokens come before them.
    """

    def __init__(self, body: dict[str, Any], begun: int, late: frozenset[int], least: int) -> None:
        self._begun, self._late, self._least = begun, sorted(late), least
        self._repetition = float(body.get("repetition_penalty") or 1.0)
        self._presence = float(body.get("presence_penalty") or 0.0)
        self._frequency = float(body.get("frequency_penalty") or 0.0)
        self._bias = {int(token): float(value) for token, value in (body.get("logit_bias") or {}).items()}

    @property
    def needed(self) -> bool:
        """Whether anything changes."""
        others = self._repetition != 1.0 or self._presence != 0.0 or self._frequency != 0.0
        return bool(self._bias or self._late or others)

    def __call__(self, ids: Any, scores: Any) -> Any:
        """The logits [vocabulary] behind `ids`, which are prompt and answer so far."""
        values = np.array(scores)
        if self._repetition != 1.0:
            seen = np.unique(ids)
            values[seen] = np.where(values[seen] > 0, values[seen] / self._repetition, values[seen] * self._repetition)
        if self._presence or self._frequency:
            seen, counts = np.unique(ids[self._begun :], return_counts=True)
            values[seen] -= self._presence + self._frequency * counts
        for token, value in self._bias.items():
            values[token] += value
        if self._late and len(ids) - self._begun < self._least:
            values[self._late] = -math.inf
        return values


def _common(left: Any, right: list[int]) -> int:
    """How many tokens two sequences begin with in common."""
    count = min(len(left), len(right))
    differing = np.nonzero(np.asarray(left[:count]) != np.asarray(right[:count]))[0]
    return int(differing[0]) if len(differing) else count


def _log_softmax(scores: Any) -> Any:
    values = np.asarray(scores, dtype=np.float64)
    values = values - values.max()
    return values - np.log(np.exp(values).sum())


class Handler(BaseHTTPRequestHandler):
    """Answers requests; the server has `model` and `key`."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        """Health, and the list of models."""
        if self.path == "/health":
            self._send(200, {"status": "ok"})
        elif self.path == "/v1/models" and self._allowed():
            entry = {"id": MODEL, "object": "model", "owned_by": "llamacpp", "max_model_len": self.server.model.context}
            self._send(200, {"object": "list", "data": [entry]})
        else:
            self._fail(404, "there is no such path")

    def do_POST(self) -> None:
        """A completion, or the likelihood of given tokens."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST_BODY:
            self.close_connection = True
            self._fail(413, "the request is too large")
            return
        content = self.rfile.read(length)
        if not self._allowed():
            return
        if self.path != "/v1/completions":
            self._fail(404, "there is no such path")
            return
        try:
            body = json.loads(content)
            prompt = body["prompt"]
            if not prompt or not all(isinstance(token, int) for token in prompt):
                raise ValueError("the prompt must be a list of token ids")
            if max(prompt) >= self.server.model.vocabulary or min(prompt) < 0:
                raise ValueError(f"a token is beyond the model's {self.server.model.vocabulary}")
            if len(prompt) >= self.server.model.context:
                raise ValueError(f"{len(prompt)} tokens, and the context has {self.server.model.context}")
        except (ValueError, KeyError, TypeError) as error:
            self._fail(400, str(error))
            return
        self._answer(body)

    def _answer(self, body: dict[str, Any]) -> None:
        model: Model = self.server.model
        with model.lock:
            try:
                if body.get("prompt_logprobs") is not None:
                    choice = {"text": "", "prompt_logprobs": model.score(body["prompt"]), "finish_reason": "length"}
                    self._send(200, {"choices": [choice]})
                elif body.get("stream"):
                    self._stream(model.answer(body))
                else:
                    self._send(200, joined(model.answer(body)))
            except OSError:
                self.close_connection = True  # who asked has gone

    def _stream(self, events: Iterator[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for event in events:
            usage = event.pop("usage", None)
            data = {"choices": [{"index": 0, "text": "", **event}], **({} if usage is None else {"usage": usage})}
            self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")

    def _allowed(self) -> bool:
        told = self.headers.get("Authorization", "")
        if hmac.compare_digest(told.encode(), f"Bearer {self.server.key}".encode()):
            return True
        self._fail(401, "the key is missing or wrong")
        return False

    def _fail(self, status: int, message: str) -> None:
        self._send(status, {"error": {"message": message, "code": status}})

    def _send(self, status: int, value: dict[str, Any]) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the engine's client tells what goes wrong."""


def joined(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """All events of an answer as one response."""
    choice: dict[str, Any] = {"index": 0, "text": "", "token_ids": []}
    logprobs: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": []}
    usage: dict[str, int] = {}
    for event in events:
        usage = event.pop("usage", usage)
        choice["token_ids"] += event.pop("token_ids", [])
        for name, values in event.pop("logprobs", {}).items():
            logprobs[name] += values
        choice |= event
    return {"choices": [{**choice, "logprobs": logprobs}], "usage": usage}


def main(words: list[str]) -> None:
    """Load the model and serve it on the loopback address."""
    path, port, context, threads = words
    server: Any = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    server.model = Model(path, int(context), int(threads))
    server.key = os.environ["LLAMA_SERVER_KEY"]
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
