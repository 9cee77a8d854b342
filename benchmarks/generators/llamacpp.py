"""llama.cpp, as `--engine llamacpp` starts it: a server over a GGUF file in the asked type, or in four bits."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import swift
from swift.types import Completion, Ids, Request, Sampling


def main(job: dict[str, object]) -> dict[str, object]:
    """Answer everything."""
    options = {"type": "llamacpp", "quantize": "q4_k_m"}
    engine = swift.load_engine(swift.InferConfig(model={"id": job["model"]}, engine=options))
    requests = [
        Request(Ids(tuple(prompt)), Sampling(max_new_tokens=length, ignore_eos=True))
        for prompt, length in zip(job["prompts"], job["lengths"], strict=True)
    ]
    engine.generate(requests[: job["warm"]])
    begin = time.perf_counter()
    answers = engine.generate(requests)
    seconds = time.perf_counter() - begin
    assert all(isinstance(answer, Completion) for answer in answers), answers
    return {"seconds": seconds, "answers": [list(answer.token_ids) for answer in answers], "how": engine.description}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
