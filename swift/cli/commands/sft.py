"""`swift sft` and `swift pt`."""

from __future__ import annotations

from collections.abc import Sequence

from swift.cli.arguments import read
from swift.config.runs import SftConfig


def main(argv: Sequence[str]) -> int:
    """Fine-tune on conversations."""
    config = read("sft", "fine-tune a model on conversations", SftConfig, argv, preset={"task": "sft"})
    if config is not None:
        from swift.api import sft

        sft(config)
    return 0


def pretrain(argv: Sequence[str]) -> int:
    """Continue pre-training on plain text."""
    config = read("pt", "continue pre-training on plain text", SftConfig, argv, preset={"task": "pt"})
    if config is not None:
        from swift.api import pretrain

        pretrain(config)
    return 0
