"""Our engine."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from swift.config.chat import ChatConfig
from swift.config.model import ModelConfig
from swift.engines.folders import Plan
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.types import Completion, Ids, Request, Sampling


def main(job: dict[str, object]) -> dict[str, object]:
    """Answer everything."""
    plan = Plan(ModelConfig(id=job["model"], dtype=job["dtype"]), {}, ChatConfig(), None)
    engine = load_engine(plan, limits=Limits(tokens=job["tokens"], rows=job["rows"]))
    requests = [
        Request(Ids(tuple(prompt)), Sampling(max_new_tokens=length, ignore_eos=True))
        for prompt, length in zip(job["prompts"], job["lengths"], strict=True)
    ]
    engine.generate(requests[: job["warm"]])
    begin = time.perf_counter()
    answers = engine.generate(requests)
    seconds = time.perf_counter() - begin
    assert all(isinstance(answer, Completion) for answer in answers)
    return {"seconds": seconds, "answers": [list(answer.token_ids) for answer in answers], "how": engine.description}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
