"""Every technique: trains, saves, is loaded by others, goes on bit for bit, and merges where it can."""

from __future__ import annotations

import shutil
import zlib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from swift.api import sft
from swift.batch import Batch
from swift.config.chat import ChatConfig
from swift.config.sft import SftConfig
from swift.config.tuner import AdapterConfig
from swift.data.collate import collate
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.engines.merging import merge
from swift.models.tiny import save_tiny
from swift.train.assemble import assembled
from swift.train.listeners.jsonl import read_lines
from swift.train.loop import train
from swift.train.parallel.processes import Parallel
from swift.tuners.extra import extra_config, load_extra
from swift.tuners.methods import known_methods, method_options
from swift.types import Completion, Ids, Request, Sampling
from tests.train.runs import configure, write_rows

STEPS, HALF = 20, 10
EVERY = 6  # a technique is in the quick run of one day in so many

CASES: dict[str, dict[str, Any]] = {
    "full": {"type": "full"},
    "freeze": {"type": "freeze", "ratio": 0.5},
    "lora": {"type": "lora", "rank": 4, "dropout": 0.1},
    "rslora": {"type": "lora", "rank": 4, "rslora": True},
    "dora": {"type": "lora", "rank": 4, "dora": True},
    **{
        f"lora {init}": {"type": "lora", "rank": 4, "init": init}
        for init in ("gaussian", "pissa", "pissa_niter_4", "olora", "orthogonal", "mica", "eva", "corda", "lora_ga")
    },
    "lora bfloat16": {"type": "lora", "rank": 4, "dtype": "bfloat16"},
    "adapter bfloat16": {"type": "adapter", "width": 16, "dtype": "bfloat16"},
    "loha bfloat16": {"type": "loha", "rank": 4, "dtype": "bfloat16"},
    "adalora": {"type": "adalora", "init_r": 6, "target_r": 3, "tinit": 2, "tfinal": 4, "delta_t": 2},
    "ia3": {"type": "ia3"},
    "vera": {"type": "vera", "rank": 32},
    "boft": {"type": "boft"},
    "oft": {"type": "oft", "block_size": 16},
    "fourierft": {"type": "fourierft", "n_frequency": 200},
    "loha": {"type": "loha", "rank": 4},
    "lokr": {"type": "lokr", "rank": 4},
    "miss": {"type": "miss", "rank": 8},
    "miss bat": {"type": "miss", "rank": 8, "init": "bat"},
    "ln": {"type": "ln"},
    "tokens": {"type": "tokens", "token_ids": list(range(3, 300))},
    "prompt": {"type": "prompt", "num_virtual_tokens": 8},
    "ptuning": {"type": "ptuning", "num_virtual_tokens": 8},
    "prefix": {"type": "prefix", "num_virtual_tokens": 8},
    "longlora": {"type": "longlora", "rank": 4},
    "llamapro": {"type": "llamapro", "new_blocks": 2},
    "lisa": {"type": "lisa", "activated_layers": 1, "step_interval": 4},
    "adapter": {"type": "adapter", "width": 16},
    "reft": {"type": "reft", "rank": 4},
}

RATES = {
    "full": 1e-3,
    "freeze": 1e-3,
    "llamapro": 3e-3,
    "lisa": 1e-3,
    "prompt": 0.1,
    "ptuning": 3e-2,
    "prefix": 0.1,
    "fourierft": 0.2,
}
UNMERGED = ("prompt", "ptuning", "prefix", "adapter", "reft")

OPTIONS: dict[str, dict[str, Any]] = {
    "adamss": {"r": 8, "num_subspaces": 2},
    "c3a": {"block_size": 16},
    "gralora": {"r": 8},
    "randlora": {"r": 8, "randlora_alpha": 64},
    "road": {"group_size": 16},
    "shira": {"r": 4, "random_seed": 1},
    "unilora": {"theta_d_length": 512},
    "vblora": {"num_vectors": 16, "vector_length": 16},
    "waveft": {"n_frequency": 200},
}


def due(name: str) -> bool:
    return zlib.crc32(name.encode()) % EVERY == date.today().timetuple().tm_yday % EVERY


def sampled(names: list[str]) -> list[Any]:
    return [pytest.param(name, marks=() if due(name) else pytest.mark.slow) for name in names]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model", "llama", num_hidden_layers=4)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("rows") / "rows.jsonl", 64, longest=12)


@pytest.mark.parametrize("name", sampled(list(CASES)))
def test_technique(name: str, tiny: Path, rows: Path, tmp_path: Path) -> None:
    passes(configured(CASES[name], tiny, rows, tmp_path / "run"), tiny, tmp_path)


def configured(tuner: dict[str, Any], tiny: Path, rows: Path, output: Path, **sections: Any) -> SftConfig:
    return configure(
        tiny,
        rows,
        output,
        tuner=tuner,
        optimizer={"learning_rate": RATES.get(tuner["type"], 1e-2)},
        loop={"max_steps": STEPS},
        schedule={"name": "constant"},
        checkpoint={"every": HALF, **sections.pop("checkpoint", {})},
        **sections,
    )


def passes(config: SftConfig, tiny: Path, tmp_path: Path) -> None:
    """It learns, is loaded by others as it was, merges where it can, and goes on bit for bit from its middle."""
    folder = Path(config.output_dir)
    with assembled(config, Parallel()) as run:
        train(run)
        run.policy.model.eval()
        batch = _batch(run)
        with torch.no_grad():
            expected = run.policy.logits(run.policy.hidden_states(batch))
    losses = [line["loss"] for line in read_lines(folder / "metrics.jsonl") if "loss" in line]
    assert sum(losses[-5:]) < sum(losses[:5]) * 0.999, losses
    # Plain PEFT computes with the adapter's own type, training with the model's.
    near = 1e-4 if config.tuner.model_dump().get("dtype", "float32") == "float32" else 5e-3
    torch.testing.assert_close(_reloaded(tiny, folder / "last", batch), expected, atol=near, rtol=near)
    if isinstance(config.tuner, AdapterConfig) and config.tuner.type not in UNMERGED and _merges(config):
        merged = merge(AutoModelForCausalLM.from_pretrained(tiny), folder / "last")
        torch.testing.assert_close(_logits(merged, batch), expected, atol=max(near, 1e-3), rtol=max(near, 1e-3))
    _goes_on(config, folder, tmp_path / "again")


def _merges(config: SftConfig) -> bool:
    return config.tuner.type != "peft" or config.tuner.method not in NOT_MERGED  # type: ignore[union-attr]


def _batch(run: Any) -> Batch:
    """A few rows, padded."""
    store = run.feed._store
    return collate([store[number] for number in range(3)], padding_free=False, pad_id=0)


@torch.no_grad()
def _logits(model: nn.Module, batch: Batch) -> Tensor:
    """Logits at the batch's targets, by a plain call for each row; what stands in front of a row is cut off."""
    model.eval()
    width, found = batch.input_ids.shape[1], []
    for number, length in enumerate(batch.lengths):
        logits = model(input_ids=batch.input_ids[number : number + 1, :length]).logits[0, -length:]
        found.append(torch.cat((logits, logits.new_zeros(width - length, logits.shape[1]))))
    return torch.cat(found)[batch.target_index]


def _reloaded(tiny: Path, folder: Path, batch: Batch) -> Tensor:
    """By plain transformers and PEFT where the files are theirs."""
    if not (folder / "adapter_config.json").is_file():
        return _logits(AutoModelForCausalLM.from_pretrained(folder), batch)
    base = AutoModelForCausalLM.from_pretrained(tiny)
    config = extra_config(folder)
    if config is None:
        return _logits(PeftModel.from_pretrained(base, str(folder)), batch)
    load_extra(base, folder, config)
    return _logits(base, batch)


def _goes_on(config: SftConfig, folder: Path, again: Path) -> None:
    """From the checkpoint in the middle to the same end."""
    shutil.copytree(folder, again, symlinks=True)
    shutil.rmtree(again / f"checkpoint-{STEPS}")
    (again / "last").unlink()
    (again / "last").symlink_to(f"checkpoint-{HALF}")
    update = {"output_dir": str(again), "checkpoint": config.checkpoint.model_copy(update={"resume": "last"})}
    sft(config.model_copy(update=update))
    for file in ("adapter_model.safetensors", "model.safetensors"):
        if (folder / "last" / file).is_file():
            expected, found = load_file(folder / "last" / file), load_file(again / "last" / file)
            assert found.keys() == expected.keys()
            assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


NOT_MERGED = ("beft", "osf")  # a bias where there is none to add to; not what was trained


def _generic() -> list[str]:
    from swift.config.tuner import PeftConfig
    from swift.errors import ConfigError

    found = []
    for method in known_methods():
        try:
            method_options(PeftConfig(method=method))
        except ConfigError:
            continue
        found.append(method)
    return found


@pytest.mark.parametrize("method", sampled(_generic()))
def test_technique_of_peft(method: str, tiny: Path, rows: Path, tmp_path: Path) -> None:
    tuner = {"type": "peft", "method": method, "options": OPTIONS.get(method, {})}
    passes(configured(tuner, tiny, rows, tmp_path / "run"), tiny, tmp_path)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough for weights to be packed where the CPU has units for it."""
    sizes = {"num_hidden_layers": 2, "hidden_size": 128, "intermediate_size": 256}
    return save_tiny(tmp_path_factory.mktemp("wide") / "model", "llama", **sizes)


@pytest.mark.parametrize("name", sampled([*CASES, *(f"peft {method}" for method in _generic())]))
def test_technique_over_16_bit_weights(name: str, wide: Path, rows: Path, tmp_path: Path) -> None:
    """It trains, and the engine answers as plain forward passes of the trained model would."""
    method = name.removeprefix("peft ")
    tuner = CASES.get(name) or {"type": "peft", "method": method, "options": OPTIONS.get(method, {})}
    config = configured(tuner, wide, rows, tmp_path / "run", model={"dtype": "bfloat16"}, logging={"every": 1})
    with assembled(config, Parallel()) as run:
        train(run)
        run.policy.model.eval()
        sample = collate([run.feed._store[0]], padding_free=False, pad_id=0)
        with torch.no_grad():
            expected = run.policy.logits(run.policy.hidden_states(sample)).log_softmax(-1)
    plan = plan_model(None, (config.output_dir,), ChatConfig())
    engine = load_engine(plan, limits=Limits())
    ids, end = sample.input_ids[0].tolist(), int(sample.target_index[-1]) + 1
    request = Request(Ids(tuple(ids[:end])), Sampling(max_new_tokens=1, logprobs=1))
    (answer,) = engine.generate([request])
    assert isinstance(answer, Completion)
    assert answer.logprobs is not None
    (token,) = answer.logprobs
    assert abs(float(expected[-1, token.id]) - token.logprob) < 0.25
