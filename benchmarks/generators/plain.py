"""`model.generate` of transformers, on padded batches in the order of the requests."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM


def generate(model, prompts, lengths):
    """The answers of one batch; it runs for as long as its longest answer."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    new = max(lengths)
    out = model.generate(
        ids, attention_mask=mask, do_sample=False, max_new_tokens=new, min_new_tokens=new, pad_token_id=0
    )
    return [row[width : width + length].tolist() for row, length in zip(out, lengths, strict=True)]


def main(job):
    """Answer everything."""
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, job["dtype"])).eval()
    pairs = list(zip(job["prompts"], job["lengths"], strict=True))
    batches = [pairs[begin : begin + job["rows"]] for begin in range(0, len(pairs), job["rows"])]
    generate(model, *zip(*pairs[: job["warm"]], strict=True))
    begin = time.perf_counter()
    answers = [answer for batch in batches for answer in generate(model, *zip(*batch, strict=True))]
    return {"seconds": time.perf_counter() - begin, "answers": answers, "how": "model.generate"}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
