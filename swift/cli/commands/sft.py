"""`swift sft` and `swift pt`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from swift.cli import launch
from swift.cli.arguments import read
from swift.config.sft import SftConfig


def main(argv: Sequence[str]) -> int:
    """Fine-tune on conversations."""
    return _train("sft", "fine-tune a model on conversations", argv)


def pretrain(argv: Sequence[str]) -> int:
    """Continue pre-training on plain text."""
    return _train("pt", "continue pre-training on plain text", argv)


def _train(command: str, summary: str, argv: Sequence[str]) -> int:
    with launch.first_tells():
        config = read(command, summary, SftConfig, argv, preset={"task": command}, notes=launch.tells())
        if config is None:
            return 0
        from swift.config.rules import require

        require(config)
    code = launch.start_others([command, *argv])
    return _run(config) if code is None else code


def _run(config: SftConfig) -> int:
    from swift.api import sft
    from swift.train.stop import Interrupted

    place = launch.place()
    try:
        sft(config, place=place)
    except Interrupted as stop:
        if place.main:
            print("interrupted; go on with --resume_from_checkpoint last", file=sys.stderr)
        return 128 + stop.signum
    return 0
