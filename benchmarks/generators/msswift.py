"""ms-swift's TransformersEngine, on batches in the order of the requests.

It takes texts, not token ids: the prompts are decoded, go through its template without any frame, and may be encoded
a little differently, so its answers are not compared. A batch has one length, its longest, as with `model.generate`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from swift.infer_engine import InferRequest, RequestConfig, TransformersEngine


def generate(engine, prompts, lengths):
    """How many tokens each answer of one batch has."""
    rules = RequestConfig(max_tokens=max(lengths), temperature=0)
    engine.generation_config.min_new_tokens = max(lengths)
    answers = engine.infer(
        [InferRequest(messages=[{"role": "user", "content": p}]) for p in prompts], rules, use_tqdm=False
    )
    return [answer.usage for answer in answers]


def main(job):
    """Answer everything."""
    engine = TransformersEngine(
        job["model"],
        torch_dtype=getattr(torch, job["dtype"]),
        max_batch_size=job["rows"],
        model_type="llama",
        template_type="dummy",
    )
    prompts = [engine.tokenizer.decode(prompt) for prompt in job["prompts"]]
    pairs = list(zip(prompts, job["lengths"], strict=True))
    batches = [pairs[begin : begin + job["rows"]] for begin in range(0, len(pairs), job["rows"])]
    generate(engine, *zip(*pairs[: job["warm"]], strict=True))
    begin = time.perf_counter()
    usages = [usage for batch in batches for usage in generate(engine, *zip(*batch, strict=True))]
    seconds = time.perf_counter() - begin
    short = sum(usage.completion_tokens < length for usage, length in zip(usages, job["lengths"], strict=True))
    assert not short, f"{short} answers ended too early"
    read = sum(usage.prompt_tokens for usage in usages)
    return {"seconds": seconds, "answers": [[]] * len(usages), "how": f"TransformersEngine; {read} prompt tokens"}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
