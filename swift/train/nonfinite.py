"""What happens when a loss or a gradient is not finite: the run stops, and says which rows did it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import NoReturn

import torch
from safetensors.torch import save_file

from swift.batch import Batch
from swift.errors import TrainingError
from swift.train.run import Run
from swift.train.saving import save
from swift.types import Origin


def stop_on_nonfinite(run: Run, micro_batches: Sequence[Batch], *, loss: float, grad_norm: float) -> NoReturn:
    """Name the rows, keep the batch, save the state before this step, and raise.

    The checkpoint that is saved stands just before the failing step, so resuming replays it exactly.

    Raises:
        TrainingError: Always.
    """
    run.optimizer.zero_grad()
    folder = run.folder / f"nonfinite-step-{run.state.step + 1}"
    folder.mkdir(exist_ok=True)
    suspects = _suspects(run, micro_batches)
    for number, batch in enumerate(micro_batches):
        tensors = {"input_ids": batch.input_ids, "targets": batch.targets, "target_index": batch.target_index}
        save_file({name: t.contiguous() for name, t in tensors.items()}, folder / f"micro-batch-{number}.safetensors")
    rows = [str(origin) for batch in micro_batches for origin in batch.origins]
    report = {"step": run.state.step + 1, "loss": str(loss), "grad_norm": str(grad_norm)}
    (folder / "rows.json").write_text(
        json.dumps({**report, "rows": rows, "not_finite_alone": suspects}, indent=2, ensure_ascii=False)
    )
    checkpoint = save(run)
    what = "loss" if not math.isfinite(loss) else "gradient"
    blame = f"{what} of {', '.join(suspects[:3])}" if suspects else f"{what} of the whole step, of {len(rows)} rows"
    raise TrainingError(
        f"step {run.state.step + 1}: the {blame} is not finite; nothing was updated",
        hint=f"see {folder}/rows.json; replay the step with --resume_from_checkpoint {checkpoint or 'last'}; "
        "a lower learning rate, float32 or a look at those rows usually helps",
    )


@torch.no_grad()
def _suspects(run: Run, micro_batches: Sequence[Batch]) -> list[str]:
    """Rows whose own loss is not finite. Micro-batches are judged whole where they hold padding."""
    found = []
    for batch in micro_batches:
        for origin, single in _samples(batch.to(run.device)):
            if single.count and not math.isfinite(run.objective(run.policy, single).total.item()):
                found.append(str(origin))
    return found


def _samples(batch: Batch) -> list[tuple[Origin, Batch]]:
    """Each sample of a batch as a padding-free batch of its own."""
    rows, length = batch.input_ids.shape
    if batch.boundaries is not None:
        spans = list(zip(batch.boundaries[:-1], batch.boundaries[1:], strict=True))
    else:
        assert batch.attention_mask is not None
        sizes = batch.attention_mask.sum(1).tolist()
        spans = [(row * length, row * length + sizes[row]) for row in range(rows)]
    ids, positions = batch.input_ids.reshape(1, -1), batch.position_ids.reshape(1, -1)
    samples: list[tuple[Origin, Batch]] = []
    for origin, (begin, end) in zip(batch.origins, spans, strict=True):
        mine = (batch.target_index >= begin) & (batch.target_index < end)
        mask = None
        if batch.attention_mask is not None:
            mask = torch.ones((1, end - begin), dtype=torch.bool, device=ids.device)
        single = Batch(
            input_ids=ids[:, begin:end],
            position_ids=positions[:, begin:end],
            targets=batch.targets[mine],
            target_index=batch.target_index[mine] - begin,
            weights=batch.weights[mine],
            boundaries=(0, end - begin) if batch.boundaries is not None else None,
            attention_mask=mask,
            tokens=end - begin,
            origins=(origin,),
        )
        samples.append((origin, single))
    return samples
