"""What one experiment came to, read from the files of its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from swift.train.atomic import write_atomic
from swift.train.listeners.jsonl import FILE, read_lines
from swift.train.run_folder import read_record

RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table; None where something was not measured.

    Attributes:
        name: The experiment's.
        fingerprint: Of all that decides it.
        error: Why it failed; empty where it did not.
        trained: Trained parameters.
        total: All parameters.
        memory_gib: Peak memory of training.
        samples_per_second: In training, without the first step.
        tokens_per_second: Real tokens in training, without the first step.
        infer_tokens_per_second: New tokens in the tasks that generate.
        train_loss: Mean loss per target over the whole run.
        eval_loss: Loss on the validation rows at the end.
        tasks: Accuracy of each task in percent.
        seconds: Time of training with all that belongs to it, from start to exit.
    """

    name: str
    fingerprint: str
    error: str = ""
    trained: int | None = None
    total: int | None = None
    memory_gib: float | None = None
    samples_per_second: float | None = None
    tokens_per_second: float | None = None
    infer_tokens_per_second: float | None = None
    train_loss: float | None = None
    eval_loss: float | None = None
    tasks: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float | None = None

    def save(self, folder: Path) -> None:
        """Write it into the experiment's folder."""
        write_atomic(folder / RESULT, (json.dumps(asdict(self), indent=2) + "\n").encode())


def load_result(folder: Path) -> Result | None:
    """What an earlier bench has measured there; None where it has not, or not to the end."""
    try:
        return Result(**json.loads((folder / RESULT).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def training_values(run: Path) -> dict[str, Any]:
    """Values of a `Result` from the folder of a training run."""
    lines = list(read_lines(run / FILE))
    trained = [line for line in lines if "loss" in line]
    judged = [line["eval_loss"] for line in lines if "eval_loss" in line]
    parameters = read_record(run).parameters or {}
    values: dict[str, Any] = {"trained": parameters.get("trained"), "total": parameters.get("total")}
    if judged:
        values["eval_loss"] = judged[-1]
    if trained:
        values["memory_gib"] = trained[-1]["memory_gib"]
        values["train_loss"] = _mean_loss(trained)
    if len(trained) > 1:
        first, last = trained[0], trained[-1]
        seconds = last["elapsed_seconds"] - first["elapsed_seconds"]
        values["samples_per_second"] = (last["samples"] - first["samples"]) / seconds
        values["tokens_per_second"] = (last["tokens"] - first["tokens"]) / seconds
    return values


def _mean_loss(lines: list[dict[str, Any]]) -> float:
    """Per target: each line is the mean since the line before."""
    total, before = 0.0, 0
    for line in lines:
        total += line["loss"] * (line["target_tokens"] - before)
        before = line["target_tokens"]
    return total / before
