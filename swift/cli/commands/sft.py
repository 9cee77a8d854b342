"""`swift sft` and `swift pt`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from swift.cli.arguments import read
from swift.config.runs import SftConfig


def main(argv: Sequence[str]) -> int:
    """Fine-tune on conversations."""
    return _train(read("sft", "fine-tune a model on conversations", SftConfig, argv, preset={"task": "sft"}))


def pretrain(argv: Sequence[str]) -> int:
    """Continue pre-training on plain text."""
    return _train(read("pt", "continue pre-training on plain text", SftConfig, argv, preset={"task": "pt"}))


def _train(config: SftConfig | None) -> int:
    if config is None:
        return 0
    from swift.api import sft
    from swift.train.loop import Interrupted

    try:
        sft(config)
    except Interrupted as stop:
        print("interrupted; go on with --resume_from_checkpoint last", file=sys.stderr)
        return 128 + stop.signum
    return 0
