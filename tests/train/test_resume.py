"""Resuming is exact: the same batches, random numbers, optimizer and schedule, so the same bits."""

from __future__ import annotations

import json
import multiprocessing
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from swift.api import sft
from swift.config.sft import SftConfig
from swift.errors import CheckpointError
from swift.train.listeners.jsonl import read_lines
from tests.train.runs import configure, write_rows

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout and noise": {
        "tuner": {"type": "lora", "rank": 4, "dropout": 0.2},
        "loop": {"max_steps": 11, "neftune_alpha": 5.0},
    },
    "packed": {"batch": {"size": 1, "accumulation": 2, "packing": True}, "chat": {"max_length": 128}},
    "streamed": {"data": {"streaming": True, "shuffle_buffer": 16}},
    "streamed and packed": {
        "data": {"streaming": True, "shuffle_buffer": 16},
        "batch": {"size": 1, "accumulation": 2, "packing": True},
        "chat": {"max_length": 128},
    },
    "full": {"tuner": {"type": "full"}, "optimizer": {"learning_rate": 1e-3}},
    "full in bfloat16": {
        "model": {"dtype": "bfloat16"},
        "tuner": {"type": "full"},
        "optimizer": {"learning_rate": 1e-3},
    },
    "with evaluation": {"data": {"split_ratio": 0.2}, "evaluation": {"every": 2}},
}


def _config(tiny: Path, rows: Path, output: Path, kind: str, **sections: Any) -> SftConfig:
    merged: dict[str, Any] = {"loop": {"max_steps": 11}, "checkpoint": {"every": 2, "limit": 3}}
    for extra in (KINDS[kind], sections):
        for name, section in extra.items():
            merged[name] = {**merged.get(name, {}), **section}
    return configure(tiny, rows, output, **merged)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    last = folder / "last"
    name = "adapter_model.safetensors" if (last / "adapter_config.json").is_file() else "model.safetensors"
    return load_file(last / name)


def _losses(folder: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in read_lines(folder / "metrics.jsonl") if "loss" in line]


def _assert_same(folder: Path, reference: Path) -> None:
    expected = _weights(reference)
    found = _weights(folder)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert _losses(folder) == _losses(reference)


def _drop_after(folder: Path, step: int) -> None:
    """Make the folder look as if the run had died after this checkpoint."""
    for path in folder.glob("checkpoint-*"):
        if int(path.name.split("-")[1]) > step:
            shutil.rmtree(path)
    (folder / "last").unlink()
    (folder / "last").symlink_to(f"checkpoint-{step}")


@pytest.mark.parametrize("kind", list(KINDS))
def test_resumed_run_is_bit_identical(kind: str, tiny: Path, rows: Path, tmp_path: Path) -> None:
    whole = sft(_config(tiny, rows, tmp_path / "whole", kind))
    again = tmp_path / "again"
    shutil.copytree(whole, again, symlinks=True)
    _drop_after(again, 8)
    sft(_config(tiny, rows, again, kind, checkpoint={"resume": "last"}))
    _assert_same(again, whole)
    # The first epoch has five steps, so both checkpoints stand inside one.
    shutil.rmtree(again)
    shutil.copytree(whole, again, symlinks=True)
    _drop_after(again, 8)
    sft(_config(tiny, rows, again, kind, checkpoint={"resume": str(again / "checkpoint-8")}))
    _assert_same(again, whole)


def test_changed_rows_are_refused_and_named(tiny: Path, rows: Path, tmp_path: Path) -> None:
    folder = sft(_config(tiny, rows, tmp_path / "run", "plain"))
    other = write_rows(tmp_path / "other.jsonl", 37, seed=9)
    with pytest.raises(CheckpointError, match="data"):
        sft(_config(tiny, other, folder, "plain", checkpoint={"resume": "last"}))
    with pytest.raises(CheckpointError, match=r"optimizer\.learning_rate was 0\.01 and is 0\.02"):
        sft(_config(tiny, rows, folder, "plain", checkpoint={"resume": "last"}, optimizer={"learning_rate": 0.02}))


def test_a_machine_that_computes_in_another_type_is_refused(
    tiny: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    automatic: dict[str, Any] = {"model": {"dtype": "auto"}, "loop": {"max_steps": 2}}
    monkeypatch.setattr("swift.models.device.cpu_features", lambda: frozenset({"avx512_bf16"}))
    folder = sft(_config(tiny, rows, tmp_path / "run", "plain", **automatic))
    monkeypatch.setattr("swift.models.device.cpu_features", lambda: frozenset({"avx2"}))
    with pytest.raises(CheckpointError, match='number type was "bfloat16" and is "float32"'):
        sft(_config(tiny, rows, folder, "plain", checkpoint={"resume": "last"}, **automatic))


def test_a_change_that_is_allowed_by_flag(tiny: Path, rows: Path, tmp_path: Path) -> None:
    folder = sft(_config(tiny, rows, tmp_path / "run", "plain"))
    sft(
        _config(
            tiny,
            rows,
            folder,
            "plain",
            loop={"max_steps": 13},
            checkpoint={"resume": "last", "allow_change": True},
        )
    )
    assert [step for step, _ in _losses(folder)] == list(range(1, 14))


def test_a_corrupt_newest_checkpoint_falls_back(tiny: Path, rows: Path, tmp_path: Path, capfd: Any) -> None:
    folder = sft(_config(tiny, rows, tmp_path / "run", "plain"))
    reference = tmp_path / "reference"
    shutil.copytree(folder, reference, symlinks=True)
    _drop_after(folder, 10)
    file = folder / "checkpoint-10" / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(bytes(content))
    sft(_config(tiny, rows, folder, "plain", checkpoint={"resume": "last"}))
    assert "checkpoint-10" in capfd.readouterr().err
    _assert_same(folder, reference)


def _child(values: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    sft(SftConfig.model_validate(values))


def _killed_runs(tiny: Path, rows: Path, tmp_path: Path, kills: int, seed: int) -> tuple[Path, int]:
    """Run with SIGKILL at random moments, resuming each time, until it has been killed so often; then to the end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["swift.train.assemble", "swift.tuners.lora_layer", "peft", "tests.train.runs"])
    draw, folder, killed = random.Random(seed), tmp_path / "killed", 0
    while True:
        resume = {"resume": "last"} if list(folder.glob("checkpoint-*")) else {}
        config = _config(tiny, rows, folder, "plain", checkpoint={"every": 1, "limit": 2, **resume})
        config = config.model_copy(update={"overwrite": not resume})
        process = context.Process(target=_child, args=(json.loads(config.model_dump_json()),))
        process.start()
        if killed < kills:
            # Wait until the run writes, then strike anywhere between now and some steps later.
            _wait_for_writing(process, folder)
            time.sleep(draw.uniform(0.0, 0.25))
            process.kill()
        process.join()
        if process.exitcode == 0:
            return folder, killed
        assert killed < kills, f"exit code {process.exitcode}"
        killed += 1


def _wait_for_writing(process: Any, folder: Path) -> None:
    known = {path.name for path in folder.glob("*")}
    deadline = time.monotonic() + 60
    while process.is_alive() and time.monotonic() < deadline:
        if {path.name for path in folder.glob("*")} - known - {".lock"}:
            return
        time.sleep(0.002)


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_killed_at_random_moments(kills: int, tiny: Path, rows: Path, tmp_path: Path) -> None:
    whole = sft(_config(tiny, rows, tmp_path / "whole", "plain", checkpoint={"every": 1, "limit": 2}))
    folder, killed = _killed_runs(tiny, rows, tmp_path, kills, seed=kills)
    assert killed >= min(kills, 2)
    _assert_same(folder, whole)
    assert not list(folder.glob(".tmp-*"))
