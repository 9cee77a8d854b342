"""Training rows for initialisations that look at some: through the model as it is, before a tuner is in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from transformers import PreTrainedModel

from swift.batch import Batch
from swift.models.head import HeadTransform
from swift.models.isolation import Layout
from swift.models.structure import output_head
from swift.objectives.policy import Policy
from swift.objectives.sft import SftObjective
from swift.tuners.lora import Look


def look_at(
    model: PreTrainedModel, layout: Layout, transform: HeadTransform | None, rows: Callable[[], list[Batch]]
) -> Look:
    """The rows as functions that take them through `model`.

    Args:
        layout: How it is called.
        transform: Of its output head.
        rows: Makes a batch of each row.
    """
    policy = Policy(model, layout.backbone, output_head(model), transform)
    objective = SftObjective()
    device = next(model.parameters()).device
    batches = [batch.to(device) for batch in rows() if batch.count]

    def forward(batch: Batch) -> None:
        with torch.no_grad():
            layout.backbone(batch)

    def backward() -> None:
        for batch in batches:
            (objective(policy, batch).total / batch.count).backward()

    return Look([partial(forward, batch) for batch in batches], backward)
