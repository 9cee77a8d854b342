"""`swift export` and `swift merge-lora`."""

from __future__ import annotations

from collections.abc import Sequence

from swift.cli.arguments import read
from swift.config.export import ExportConfig


def main(argv: Sequence[str]) -> int:
    """Turn a checkpoint into something that others load."""
    config = read("export", "merge, quantize or convert a model, prove it, upload it", ExportConfig, argv)
    return _export(config)


def merge(argv: Sequence[str]) -> int:
    """The same with `--merge_lora true`."""
    summary = "merge an adapter into the weights"
    return _export(read("merge-lora", summary, ExportConfig, argv, preset={"merge_lora": True}))


def _export(config: ExportConfig | None) -> int:
    if config is not None:
        from swift.api import export

        export(config)
    return 0
