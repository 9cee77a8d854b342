"""What happens when a loss or a gradient is not finite: the run stops, and says which rows did it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from safetensors.torch import save_file
from torch import Tensor

from swift.batch import Batch
from swift.data.slices import ONE_BY_ONE, sliced
from swift.errors import TrainingError
from swift.train.run import Run
from swift.train.saving import save


def stop_on_nonfinite(run: Run, micro_batches: Sequence[Batch], *, loss: float, grad_norm: float) -> NoReturn:
    """Name the rows, keep the batch, save the state before this step, and raise.

    Every process comes here, whichever of them saw it, and gives what it knows to the first one.
    The checkpoint that is saved stands just before the failing step, so resuming replays it exactly. None is saved
    where some weights were updated in the backward pass.

    Raises:
        TrainingError: Always.
    """
    run.optimizer.zero_grad()
    folder = run.folder / f"nonfinite-step-{run.state.step + 1}"
    evidence = run.parallel.gather(_Evidence.of(run, micro_batches))
    suspects = [row for each in evidence for row in each.suspects]
    rows = [row for each in evidence for row in each.rows]
    if run.parallel.main:
        report = {"step": run.state.step + 1, "loss": str(loss), "grad_norm": str(grad_norm)}
        _write(folder, {**report, "rows": rows, "not_finite_alone": suspects}, evidence)
    checkpoint = None if run.optimizer.broken else save(run)
    what = "loss" if not math.isfinite(loss) else "gradient"
    blame = f"{what} of {', '.join(suspects[:3])}" if suspects else f"{what} of the whole step, of {len(rows)} rows"
    if run.optimizer.broken:
        raise TrainingError(
            f"step {run.state.step + 1}: the {blame} is not finite, and some weights were updated before it was seen",
            hint=f"see {folder}/rows.json; resume with --resume_from_checkpoint last; a lower learning rate helps, and "
            "without --optim_in_backward a step is whole or not at all",
        )
    raise TrainingError(
        f"step {run.state.step + 1}: the {blame} is not finite; nothing was updated",
        hint=f"see {folder}/rows.json; replay the step with --resume_from_checkpoint {checkpoint or 'last'}; "
        "a lower learning rate, float32 or a look at those rows usually helps",
    )


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What one process saw.

    Attributes:
        rows: All rows of its part of the step.
        suspects: Those whose own loss is not finite.
        batches: The tensors of its micro-batches.
    """

    rows: list[str]
    suspects: list[str]
    batches: list[dict[str, Tensor]]

    @classmethod
    def of(cls, run: Run, micro_batches: Sequence[Batch]) -> _Evidence:
        rows = [str(origin) for batch in micro_batches for origin in batch.origins]
        batches = [
            {"input_ids": batch.input_ids, "targets": batch.targets, "target_index": batch.target_index}
            for batch in micro_batches
        ]
        return cls(rows, _suspects(run, micro_batches), batches)


def _write(folder: Path, report: Mapping[str, object], evidence: Sequence[_Evidence]) -> None:
    folder.mkdir(exist_ok=True)
    for number, tensors in enumerate(batch for each in evidence for batch in each.batches):
        save_file({name: t.contiguous() for name, t in tensors.items()}, folder / f"micro-batch-{number}.safetensors")
    (folder / "rows.json").write_text(json.dumps(report, indent=2, ensure_ascii=False))


@torch.no_grad()
def _suspects(run: Run, micro_batches: Sequence[Batch]) -> list[str]:
    """Rows whose own loss is not finite."""
    found = []
    for batch in micro_batches:
        for single in sliced(batch.to(run.device), ONE_BY_ONE):
            if single.count and not math.isfinite(run.objective(run.policy, single).total.item()):
                found.append(str(single.origins[0]))
    return found
