"""Runs `swift sft` in several processes, as a user would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from swift.config.sft import SftConfig
from swift.train.listeners.jsonl import read_lines
from tests.conftest import Finished, Swift


def run_processes(
    swift: Swift, config: SftConfig, *, processes: int = 2, env: Mapping[str, str] | None = None
) -> Finished:
    """The run of `config`, started through NPROC_PER_NODE."""
    file = Path(config.output_dir).with_suffix(".yaml")
    file.write_text(config.model_dump_json())  # JSON is YAML
    return swift("sft", str(file), env={"NPROC_PER_NODE": str(processes), **(env or {})})


def finished(done: Finished, config: SftConfig) -> Path:
    """The run folder of a run that went well."""
    assert done.code == 0, done.err
    return Path(config.output_dir)


def curve(folder: Path, key: str = "loss") -> list[float]:
    """One value of every line that has it."""
    return [line[key] for line in read_lines(folder / "metrics.jsonl") if key in line]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """What was saved last."""
    last = folder / "last"
    name = "adapter_model.safetensors" if (last / "adapter_config.json").is_file() else "model.safetensors"
    return load_file(last / name)


def errors(text: str) -> list[str]:
    """The lines that tell an error."""
    return [line for line in text.splitlines() if line.startswith("error:")]
