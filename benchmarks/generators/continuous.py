"""Continuous batching of transformers."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig


def main(job):
    """Answer everything: one call for each length, as `generate_batch` has one length for all its requests."""
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, job["dtype"])).eval()
    cache = ContinuousBatchingConfig(page_size=16, num_blocks=job["tokens"] // 16, max_batch_tokens=256)
    rules = GenerationConfig(max_new_tokens=max(job["lengths"]), do_sample=False, eos_token_id=-1, pad_token_id=0)
    manager = model.init_continuous_batching(generation_config=rules, continuous_batching_config=cache)
    manager.start()
    _answer(manager, job["prompts"][: job["warm"]], job["lengths"])
    begin = time.perf_counter()
    answers = _answer(manager, job["prompts"], job["lengths"])
    seconds = time.perf_counter() - begin
    manager.stop(block=True)
    return {"seconds": seconds, "answers": answers, "how": "transformers' continuous batching"}


def _answer(manager, prompts, lengths):
    names = [
        manager.add_request(prompt, max_new_tokens=length) for prompt, length in zip(prompts, lengths, strict=False)
    ]
    found = {}
    while len(found) < len(names):
        result = manager.get_result(timeout=1)
        if result is not None and result.is_finished():
            found[result.request_id] = list(result.generated_tokens)
    return [found[name] for name in names]


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
