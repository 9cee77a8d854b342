"""This project's own `swift sft`."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.recipe import RECIPE, Job, Tuner, write_jsonl
from benchmarks.systems.base import Flags, Launch, System, words

MATCHED: Flags = {
    "dataset_shuffle": False,
    "group_by_length": False,
    "gradient_checkpointing": False,
    "allocator": "system",
}
LORA: Flags = {
    "tuner_type": "lora",
    "lora_rank": RECIPE.rank,
    "lora_alpha": RECIPE.alpha,
    "lora_dropout": 0,
    "target_modules": "all-linear",
}
GALORE = f"rank={RECIPE.galore_rank},update_proj_gap={RECIPE.galore_gap},scale={RECIPE.galore_scale}"
TUNER_FLAGS: dict[Tuner, Flags] = {
    "lora": LORA,
    "dora": {**LORA, "use_dora": True},
    "full": {"tuner_type": "full"},
    "galore": {"tuner_type": "full", "optim": "galore", "optim_args": GALORE},
}


def prepare(job: Job, python: Path) -> Launch:
    """Chat rows and flat flags.

    In matched mode 16-bit weights that are trained have no float32 copy, as they have none in the peers.
    """
    rows = write_jsonl(job.folder / "rows.jsonl", [{"messages": example.messages()} for example in job.examples])
    flags: dict[str, str | int | float | bool | Path] = {
        "model": job.model,
        "dataset": rows,
        **TUNER_FLAGS[job.tuner],
        "torch_dtype": job.dtype,
        "per_device_train_batch_size": RECIPE.batch,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 1,
        "learning_rate": RECIPE.learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": 0,
        "adam_beta2": RECIPE.beta2,
        "max_grad_norm": RECIPE.max_grad_norm,
        "max_length": RECIPE.max_length,
        "truncation_strategy": "right",
        "seed": RECIPE.seed,
        "logging_steps": 1,
        "output_dir": job.output,
    }
    if job.max_steps is not None:
        flags["max_steps"] = job.max_steps
    if job.mode == "matched":
        flags |= MATCHED
        if not job.adapter:
            flags["master_weights"] = False
    return Launch((str(python), "-m", "swift", "sft", *words(flags)), job.output / "metrics.jsonl")


def is_step(line: str) -> bool:
    """Whether a line of metrics.jsonl is about a training step."""
    return "loss" in json.loads(line)


def losses(job: Job) -> list[float]:
    """From metrics.jsonl."""
    lines = (job.output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [float(entry["loss"]) for entry in map(json.loads, lines) if "loss" in entry]


OURS = System("ours", ("swift-finetune", "torch", "transformers", "peft"), prepare, is_step, losses)
