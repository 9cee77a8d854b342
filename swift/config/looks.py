"""The configurations of the commands that look at a training run before it is started."""

from __future__ import annotations

from swift.config.option import option
from swift.config.runs import SftConfig


class CheckConfig(SftConfig):
    """`swift check`: what training would see, before training. Needs no weights."""

    show: int = option(3, "Samples to print in colour.", "show", ge=0)
    dump: str | None = option(None, "Write row, input_ids and loss_weights of every row to this JSONL file.", "dump")
    report: str | None = option(None, "Write an HTML report to this file.", "report")


class PlanConfig(SftConfig):
    """`swift plan`: memory and time of a run, before paying for it."""

    device_memory: float | None = option(None, "Memory of one device in GiB; default: measured.", "device_memory", gt=0)
