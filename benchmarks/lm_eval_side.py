"""One side of `benchmarks.lm_eval`: evaluates tasks, and prints seconds and samples as JSON.

    python -m benchmarks.lm_eval_side JOB.json

Loading the model does not count, nor does reading the data.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

SAMPLES = ("doc_id", "resps", "metrics")


def main() -> None:
    """Do the job."""
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    torch.set_num_threads(job["threads"])
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    out, sys.stdout = sys.stdout, sys.stderr
    manager = TaskManager(include_path=job["tasks"])
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = None
        if job["system"] == "ours":
            from swift.evaluation.harness.kept import kept

            model = _ours(job, stack.enter_context(kept(temporary, {})))
        for task in job["names"]:
            for size in job["sizes"][task]:
                model_now = model or _hf(job, size)
                loaded = list(manager.load([task])["tasks"].values())
                begun, spent = time.monotonic(), time.process_time()
                found = simple_evaluate(
                    model=model_now, tasks=loaded, task_manager=manager, limit=job["limit"], bootstrap_iters=0
                )
                seconds, spent = time.monotonic() - begun, time.process_time() - spent
                told = {
                    "task": task,
                    "size": size,
                    "seconds": seconds,
                    "processor_seconds": spent,
                    "results": found["results"][task],
                    "samples": [{name: sample[name] for name in SAMPLES} for sample in found["samples"][task]],
                }
                print(json.dumps(told, default=str), file=out, flush=True)


_LOADED: list[Any] = []


def _hf(job: dict[str, Any], size: int) -> Any:
    """lm-eval's own model of transformers, loaded once."""
    from lm_eval.models.huggingface import HFLM

    if not _LOADED:
        _LOADED.append(HFLM(pretrained=job["model"], dtype=job["dtype"], device="cpu", batch_size=size))
    _LOADED[0].batch_size_per_gpu = size
    return _LOADED[0]


def _ours(job: dict[str, Any], answers: Any) -> Any:
    from swift.config.chat import ChatConfig
    from swift.config.model import ModelConfig
    from swift.engines.folders import plan_model
    from swift.engines.lanes import Limits
    from swift.engines.load import load_engine
    from swift.evaluation.harness.model import EngineModel

    plan = plan_model(ModelConfig(id=job["model"], dtype=job["dtype"], device="cpu"), (), ChatConfig())
    engine = load_engine(plan, limits=Limits(tokens=16384, rows=32))
    return EngineModel(engine, answers, plan.chat, 0, messages=False)


if __name__ == "__main__":
    main()
