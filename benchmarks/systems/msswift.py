"""ms-swift."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.recipe import RECIPE, Job, Tuner, write_jsonl
from benchmarks.systems.base import Flags, Launch, System, is_trainer_log, words
from benchmarks.tokens import load_tokenizer, render

MATCHED: Flags = {
    "dataset_shuffle": False,
    "train_dataloader_shuffle": False,
    "gradient_checkpointing": False,
}
LORA: Flags = {
    "tuner_type": "lora",
    "lora_rank": RECIPE.rank,
    "lora_alpha": RECIPE.alpha,
    "lora_dropout": 0,
    "target_modules": "all-linear",
}
TUNER_FLAGS: dict[Tuner, Flags] = {
    "lora": LORA,
    "dora": {**LORA, "use_dora": True},
    "full": {"tuner_type": "full"},
    "galore": {
        "tuner_type": "full",
        "use_galore": True,
        "galore_target_modules": "proj",  # In every name of them; by default it finds none and fails.
        "galore_rank": RECIPE.galore_rank,
        "galore_update_proj_gap": RECIPE.galore_gap,
        "galore_scale": RECIPE.galore_scale,
    },
}


def prepare(job: Job, python: Path) -> Launch:
    """Rendered rows and flat flags.

    Its ChatML template also trains on the line break after the stop token, so the rows are rendered before and its
    `dummy` template passes them on, adding the stop token: the same tokens and targets as everybody's.
    `check_model` false leaves out a look at its hub, which would wait for the network. `model_type` is needed for a
    checkpoint in a local folder, `use_cpu` for bfloat16 on a CPU.
    """
    tokenizer = load_tokenizer(job.model)
    rendered = render(job.examples, tokenizer)
    rows = write_jsonl(
        job.folder / "rows.jsonl",
        [{"query": row.prompt, "response": row.completion.removesuffix(tokenizer.eos_token)} for row in rendered],
    )
    flags: dict[str, str | int | float | bool | Path] = {
        "model": job.model,
        "model_type": "llama",
        "template": "dummy",
        "dataset": rows,
        **TUNER_FLAGS[job.tuner],
        "torch_dtype": job.dtype,
        "per_device_train_batch_size": RECIPE.batch,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 1,
        "learning_rate": RECIPE.learning_rate,
        "lr_scheduler_type": "constant",
        "warmup_ratio": 0,
        "weight_decay": 0,
        "adam_beta2": RECIPE.beta2,
        "max_grad_norm": RECIPE.max_grad_norm,
        "max_length": RECIPE.max_length,
        "truncation_strategy": "right",
        "seed": RECIPE.seed,
        "logging_steps": 1,
        "use_cpu": True,
        "check_model": False,
        "report_to": "none",
        "output_dir": job.output,
        "add_version": False,
    }
    if job.max_steps is not None:
        flags["max_steps"] = job.max_steps
    if job.mode == "matched":
        flags |= MATCHED
    return Launch((str(python.parent / "swift"), "sft", *words(flags)), job.folder / "stdout", {"USE_HF": "1"})


def losses(job: Job) -> list[float]:
    """From its logging.jsonl, where they have eight digits."""
    lines = (job.output / "logging.jsonl").read_text(encoding="utf-8").splitlines()
    return [float(entry["loss"]) for entry in map(json.loads, lines) if "loss" in entry]


VERSIONS = ("ms-swift", "torch", "transformers", "peft", "trl")
MS_SWIFT = System("ms-swift", VERSIONS, prepare, is_trainer_log, losses)
"""As pip installs it. Its GaLore hangs on a method that the trainer of transformers no longer calls as of 5.1, so that
`use_galore` trains with plain AdamW there."""
MS_SWIFT_GALORE = replace(MS_SWIFT, name="ms-swift-transformers-5.0", tuners=("galore",))
"""With the newest transformers under which its GaLore is one."""
