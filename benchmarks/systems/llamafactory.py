"""LLaMA-Factory."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from benchmarks.recipe import RECIPE, Job, Tuner
from benchmarks.systems.base import Flags, Launch, System, is_trainer_log, trainer_state_losses
from benchmarks.tokens import load_tokenizer, render

MATCHED: Flags = {
    "disable_shuffling": True,
    "disable_gradient_checkpointing": True,
}
LORA: Flags = {
    "finetuning_type": "lora",
    "lora_rank": RECIPE.rank,
    "lora_alpha": RECIPE.alpha,
    "lora_dropout": 0.0,
    "lora_target": "all",
}
TUNER_FLAGS: dict[Tuner, Flags] = {"lora": LORA, "dora": {**LORA, "use_dora": True}}
"""In full it trains a float32 copy unless `pure_bf16`, which it refuses on a CPU; its GaLore wants a package more."""


def prepare(job: Job, python: Path) -> Launch:
    """A YAML file and a registered data set of rendered rows.

    Its own ChatML template also trains on the line break after the stop token, so the rows are rendered before and
    its `empty` template leaves them as they are: the same tokens and targets as everybody's.
    """
    data = job.folder / "data"
    data.mkdir()
    rendered = render(job.examples, load_tokenizer(job.model))
    rows = [{"instruction": row.prompt, "input": "", "output": row.completion} for row in rendered]
    (data / "rows.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    (data / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}), encoding="utf-8")
    settings: dict[str, str | int | float | bool | Path] = {
        "model_name_or_path": str(job.model),
        "stage": "sft",
        "do_train": True,
        "dataset": "rows",
        "dataset_dir": str(data),
        "template": "empty",
        **TUNER_FLAGS[job.tuner],
        "bf16": job.dtype == "bfloat16",
        "use_cpu": True,
        "per_device_train_batch_size": RECIPE.batch,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 1.0,
        "learning_rate": RECIPE.learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "adam_beta2": RECIPE.beta2,
        "max_grad_norm": RECIPE.max_grad_norm,
        "cutoff_len": RECIPE.max_length,
        "seed": RECIPE.seed,
        "logging_steps": 1,
        "report_to": "none",
        "output_dir": str(job.output),
    }
    if job.max_steps is not None:
        settings["max_steps"] = job.max_steps
    if job.mode == "matched":
        settings |= MATCHED
    config = job.folder / "train.yaml"
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return Launch((str(python.parent / "llamafactory-cli"), "train", str(config)), job.folder / "stdout")


def losses(job: Job) -> list[float]:
    """From the trainer's state, as exact as it keeps them."""
    return trainer_state_losses(job.output)


LLAMA_FACTORY = System(
    "llamafactory",
    ("llamafactory", "torch", "transformers", "peft", "trl"),
    prepare,
    is_trainer_log,
    losses,
    tuple(TUNER_FLAGS),
)
