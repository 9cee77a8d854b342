"""Our engine as the server has it, without the server: seconds for all requests, and until the first token of one."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from swift.config.chat import ChatConfig
from swift.config.model import ModelConfig
from swift.engines.base import Event, Live, Piece
from swift.engines.folders import Plan
from swift.engines.lanes import Limits
from swift.engines.load import load_live
from swift.types import Completion, Ids, Request, Sampling


class Answer:
    """What becomes of a request."""

    def __init__(self, live: Live, prompt: list[int], length: int) -> None:
        self.done = threading.Event()
        self.first = 0.0
        self.last: Event | None = None
        self.began = time.perf_counter()
        live.submit(Request(Ids(tuple(prompt)), Sampling(max_new_tokens=length, ignore_eos=True)), self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Piece):
            if event.text and not self.first:
                self.first = time.perf_counter() - self.began
            return
        self.last = event
        self.done.set()

    def text(self) -> str:
        """The whole answer, once it is there."""
        self.done.wait()
        assert isinstance(self.last, Completion), self.last
        return self.last.text


def main(job: dict[str, Any]) -> dict[str, Any]:
    """Answer everything at once, and then some requests one by one."""
    plan = Plan(ModelConfig(id=job["model"], dtype=job["dtype"]), {}, ChatConfig(), None)
    live = load_live(plan, limits=Limits(tokens=job["tokens"], rows=job["rows"]))
    requests = list(zip(job["prompts"], job["lengths"], strict=True))
    for answer in [Answer(live, *request) for request in requests[: job["warm"]]]:
        answer.text()
    begin = time.perf_counter()
    answers = [Answer(live, *request) for request in requests]
    texts = [answer.text() for answer in answers]
    seconds = time.perf_counter() - begin
    firsts = []
    for prompt in job["alone"]:
        answer = Answer(live, prompt, job["alone_length"])
        answer.text()
        firsts.append(answer.first)
    live.close()
    return {"seconds": seconds, "texts": texts, "firsts": firsts}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
