"""TRL."""

from __future__ import annotations

from pathlib import Path

from benchmarks.recipe import RECIPE, Job, Tuner, write_jsonl
from benchmarks.systems.base import Flags, Launch, System, is_trainer_log, trainer_state_losses, words
from benchmarks.tokens import load_tokenizer, render

MATCHED: Flags = {
    "train_sampling_strategy": "sequential",
    "gradient_checkpointing": False,
}
LORA: Flags = {
    "use_peft": True,
    "lora_r": RECIPE.rank,
    "lora_alpha": RECIPE.alpha,
    "lora_dropout": 0,
    "lora_target_modules": "all-linear",
}
TUNER_FLAGS: dict[Tuner, Flags] = {"lora": LORA, "dora": {**LORA, "use_dora": True}, "full": {}}
"""Its GaLore is that of transformers, which wants a package more."""


def prepare(job: Job, python: Path) -> Launch:
    """Rendered prompts and completions, so that the loss is on the answer only, and flat flags."""
    data = job.folder / "data"
    data.mkdir()
    rendered = render(job.examples, load_tokenizer(job.model))
    write_jsonl(data / "train.jsonl", [{"prompt": row.prompt, "completion": row.completion} for row in rendered])
    flags: dict[str, str | int | float | bool | Path] = {
        "model_name_or_path": job.model,
        "dtype": job.dtype,
        "dataset_name": data,
        **TUNER_FLAGS[job.tuner],
        "per_device_train_batch_size": RECIPE.batch,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 1,
        "learning_rate": RECIPE.learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": 0,
        "adam_beta2": RECIPE.beta2,
        "max_grad_norm": RECIPE.max_grad_norm,
        "max_length": RECIPE.max_length,
        "bf16": job.dtype == "bfloat16",
        "use_cpu": True,
        "seed": RECIPE.seed,
        "logging_steps": 1,
        "report_to": "none",
        "output_dir": job.output,
    }
    if job.max_steps is not None:
        flags["max_steps"] = job.max_steps
    if job.mode == "matched":
        flags |= MATCHED
    return Launch((str(python.parent / "trl"), "sft", *words(flags)), job.folder / "stdout")


def losses(job: Job) -> list[float]:
    """From the trainer's state, as exact as it keeps them."""
    return trainer_state_losses(job.output)


TRL = System(
    "trl",
    ("trl", "torch", "transformers", "peft", "accelerate"),
    prepare,
    is_trainer_log,
    losses,
    tuple(TUNER_FLAGS),
)
