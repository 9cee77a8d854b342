"""What interrupted quantizations leave in the cache does not stay for ever."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file

from swift.config.model import ModelConfig
from swift.exporting.quantize.kept import kept_layers, sweep
from swift.exporting.quantize.method import QuantPlan
from swift.hub import Located


def state(shelf: Path, name: str, *, days: float, size: int = 1000) -> Path:
    """Layers of an interrupted quantization whose last one was done some days ago."""
    folder = shelf / name
    folder.mkdir(parents=True)
    (folder / "layer.safetensors").write_bytes(bytes(size))
    (folder / ".lock").touch()
    for path in (*folder.iterdir(), folder):
        os.utime(path, (time.time() - days * 86400,) * 2)
    return folder


def test_old_ones_go_and_are_told(tmp_path: Path, capsys) -> None:
    old, recent = state(tmp_path, "old", days=8), state(tmp_path, "recent", days=6)
    mine = state(tmp_path, "mine", days=30)
    assert sweep(tmp_path, mine) == [old]
    assert not old.exists()
    assert recent.is_dir()
    assert mine.is_dir()
    assert capsys.readouterr().err.count("interrupted") == 1


def test_the_oldest_go_where_all_are_too_large(tmp_path: Path) -> None:
    folders = [state(tmp_path, str(days), days=days) for days in (1, 2, 3)]
    mine = state(tmp_path, "mine", days=0, size=5000)
    assert sweep(tmp_path, mine, limit=2500) == [folders[2]]
    assert folders[0].is_dir()
    assert folders[1].is_dir()


def test_what_another_process_is_at_stays(tmp_path: Path) -> None:
    old, mine = state(tmp_path, "old", days=8), state(tmp_path, "mine", days=0)
    with FileLock(old / ".lock"):
        assert sweep(tmp_path, mine) == []
    assert old.is_dir()
    assert sweep(tmp_path, mine) == [old]


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_another_model_takes_no_layers_from_this_one(suffix: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path / "cache"))
    model = tmp_path / "model"
    model.mkdir()
    names = {"safetensors": "model.safetensors", "bin": "pytorch_model.bin"}

    def shelf(config: str, weight: float) -> str:
        (model / "config.json").write_text(config)
        save = save_file if suffix == "safetensors" else torch.save
        save({"weight": torch.full((2,), weight)}, model / names[suffix])
        source = Located(model, "folder", "model", None)
        cpu, plain = torch.device("cpu"), torch.float32
        plan = QuantPlan(source, ModelConfig(), None, (), {}, True, (), None, cpu, plain, "5GB", tmp_path)
        with kept_layers({"method": "gptq"}, plan, "llmcompressor") as folder:
            return folder

    first = shelf("{}", 1.0)
    assert shelf("{}", 1.0) == first
    assert shelf('{"rms_norm_eps": 1}', 1.0) != first
    assert shelf("{}", 2.0) != first
