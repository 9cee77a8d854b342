"""Adapters over quantized weights, and training that rounds: loss falls, resuming is exact, reloading is equal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from swift.api import sft
from swift.chat.load import load_codec
from swift.config.chat import ChatConfig
from swift.config.export import ExportConfig
from swift.config.model import ModelConfig
from swift.config.quantization import BnbConfig
from swift.config.runs import InferConfig
from swift.config.sft import SftConfig
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.errors import CheckpointError, ConfigError, ModelError
from swift.exporting.export import export
from swift.models.quantize.layers import quantized_layers
from swift.models.tiny import save_tiny
from swift.train.listeners.jsonl import read_lines
from tests.engines.support import answers, go_on
from tests.train.runs import configure

METHODS: dict[str, dict[str, Any]] = {
    "nf4": {"type": "bnb"},
    "int8 of bitsandbytes": {"type": "bnb", "bits": 8},
    "hqq": {"type": "hqq", "group_size": 16},
    "int8 of torchao": {"type": "torchao"},
    "int4 of torchao": {"type": "torchao", "bits": 4, "group_size": 16},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), hidden_size=64, intermediate_size=128)


def configured(model: Path, rows: Path, output: Path, method: dict[str, Any], **sections: Any) -> SftConfig:
    given = {
        "model": {"quantization": method},
        "loop": {"max_steps": 20},
        "checkpoint": {"every": 8, "limit": 5},
        **sections,
    }
    return configure(model, rows, output, **given)


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_lines(folder / "metrics.jsonl") if "loss" in line]


def drop_after(folder: Path, step: int) -> None:
    """As if the run had died after this checkpoint."""
    for path in folder.glob("checkpoint-*"):
        if int(path.name.split("-")[1]) > step:
            shutil.rmtree(path)
    (folder / "last").unlink()
    (folder / "last").symlink_to(f"checkpoint-{step}")


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "last" / "adapter_model.safetensors")


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in METHODS if name not in ("nf4", "int8 of bitsandbytes")]


@pytest.mark.parametrize("name", ["nf4", *SLOW])
def test_training_lowers_the_loss_and_resumes_to_the_bit(name: str, model: Path, rows: Path, tmp_path: Path) -> None:
    whole = sft(configured(model, rows, tmp_path / "whole", METHODS[name]))
    assert sum(losses(whole)[-3:]) < sum(losses(whole)[:3]) - 0.3
    again = tmp_path / "again"
    shutil.copytree(whole, again, symlinks=True)
    drop_after(again, 8)
    sft(configured(model, rows, again, METHODS[name], checkpoint={"every": 8, "limit": 5, "resume": "last"}))
    assert losses(again) == losses(whole)
    expected = adapter(whole)
    assert all(torch.equal(value, expected[key]) for key, value in adapter(again).items())


@pytest.mark.slow
def test_eight_bits_of_bitsandbytes_train_too(model: Path, rows: Path, tmp_path: Path) -> None:
    found = losses(sft(configured(model, rows, tmp_path / "run", METHODS["int8 of bitsandbytes"])))
    assert sum(found[-3:]) < sum(found[:3]) - 0.3


def test_the_record_says_how_weights_were_held_and_inference_holds_them_so(
    model: Path, rows: Path, tmp_path: Path
) -> None:
    run = sft(configured(model, rows, tmp_path / "run", METHODS["nf4"], loop={"max_steps": 3}))
    record = json.loads((run / "run.json").read_text())
    assert record["config"]["model"]["quantization"]["type"] == "bnb"
    assert record["fingerprints"]["quantization"] == "bitsandbytes, 4 bits nf4, double quantization"
    assert "bitsandbytes" in record["versions"]
    assert json.loads((run / "last" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(model)
    plan = plan_model(None, [str(run)], ChatConfig())
    assert isinstance(plan.model.quantization, BnbConfig)
    engine = load_engine(plan, limits=Limits(1000, 4))
    assert "weights: bitsandbytes, 4 bits nf4" in engine.description
    said = InferConfig.model_validate({"model": {"quantization": {"type": "none"}}, "adapters": [str(run)]})
    plain = load_engine(plan_model(said.model, said.adapters, said.chat), limits=Limits(1000, 4))
    assert "weights:" not in plain.description
    assert len(answers(engine.generate([go_on("the cat", max_new_tokens=4)]))[0].token_ids) > 0


def test_another_quantization_is_another_run(model: Path, rows: Path, tmp_path: Path) -> None:
    run = sft(configured(model, rows, tmp_path / "run", METHODS["hqq"], loop={"max_steps": 2}))
    other = {"type": "hqq", "group_size": 32}
    config = configured(model, rows, run, other, loop={"max_steps": 2}, checkpoint={"resume": "last"})
    with pytest.raises(CheckpointError, match="quantization"):
        sft(config)


@pytest.mark.parametrize("name", ["nf4", "hqq"])
def test_merging_back_goes_into_plain_weights_and_says_the_difference(
    name: str, model: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM

    run = sft(configured(model, rows, tmp_path / "run", METHODS[name], loop={"max_steps": 4}))
    capsys.readouterr()
    merged = export(
        ExportConfig.model_validate({"adapters": [str(run)], "merge_lora": True, "certificate": {"min_stop": 0.0}})
    )
    shown = capsys.readouterr().err
    kind = METHODS[name]["type"]
    line = next(line for line in shown.splitlines() if f"over the {kind} weights that it was trained on" in line)
    divergence = float(line.split("KL divergence ")[1].split()[0])
    assert 0 < divergence < 0.5
    loaded = AutoModelForCausalLM.from_pretrained(merged)
    assert not quantized_layers(loaded)
    with pytest.raises(ModelError, match="cannot be merged into quantized") as caught:
        load_engine(plan_model(None, [str(run)], ChatConfig()), limits=Limits(1000, 4), merge_lora=True)
    assert "--quant_method none" in caught.value.hint


def test_gradient_checkpointing_gives_the_same_losses(model: Path, rows: Path, tmp_path: Path) -> None:
    runs = [
        losses(sft(configured(model, rows, tmp_path / f"{on}", METHODS["nf4"], loop={"max_steps": 3, **extra})))
        for on, extra in (("off", {}), ("on", {"gradient_checkpointing": True}))
    ]
    assert runs[0] == pytest.approx(runs[1], rel=1e-5)


def test_weights_that_are_quantized_are_not_trained_in_full(model: Path, rows: Path, tmp_path: Path) -> None:
    from swift.hub import Located
    from swift.models.load import load_config, load_model, load_tokenizer

    located = Located(model, "folder", "tiny", None)
    config = ModelConfig.model_validate({"id": str(model), "quantization": {"type": "bnb"}})
    saved = tmp_path / "saved"
    load_model(located, config, device=torch.device("cpu"), dtype=torch.float32).save_pretrained(saved)
    load_tokenizer(located).save_pretrained(saved)
    assert load_codec(saved, load_tokenizer(located), load_config(located), ChatConfig()) is not None
    (saved / "model.safetensors").unlink()  # would be told first if weights were looked at
    full = configure(saved, rows, tmp_path / "run", tuner={"type": "full"})
    with pytest.raises(ConfigError, match="cannot be trained themselves") as caught:
        sft(full)
    assert "--tuner_type lora" in caught.value.hint
    lora = {"type": "lora", "rank": 4, "modules_to_save": ["down_proj"]}
    with pytest.raises(ConfigError, match="trained in full, and its layer"):
        sft(configured(model, rows, tmp_path / "other", METHODS["nf4"], tuner=lora))


@pytest.mark.parametrize("name", ["nf4", pytest.param("int8 of torchao", marks=pytest.mark.slow)])
def test_adapters_over_a_checkpoint_that_is_quantized_already(
    name: str, model: Path, rows: Path, tmp_path: Path
) -> None:
    from swift.hub import Located
    from swift.models.load import load_model, load_tokenizer

    located = Located(model, "folder", "tiny", None)
    config = ModelConfig.model_validate({"id": str(model), "quantization": METHODS[name]})
    saved = tmp_path / "saved"
    load_model(located, config, device=torch.device("cpu"), dtype=torch.float32).save_pretrained(saved)
    load_tokenizer(located).save_pretrained(saved)
    found = sft(configure(saved, rows, tmp_path / "found", loop={"max_steps": 8}))
    made = sft(configured(model, rows, tmp_path / "made", METHODS[name], loop={"max_steps": 8}))
    assert losses(found) == pytest.approx(losses(made), rel=1e-4)
    assert losses(found)[-1] < losses(found)[0]
    assert "as in the checkpoint" in json.loads((found / "run.json").read_text())["fingerprints"]["quantization"]
    merging = ExportConfig.model_validate({"adapters": [str(found)], "merge_lora": True})
    with pytest.raises(ModelError, match="holds quantized weights") as caught:
        export(merging)
    assert "name the model that it was made of" in caught.value.hint


def test_dora_over_quantized_weights(model: Path, rows: Path, tmp_path: Path) -> None:
    tuner = {"type": "lora", "rank": 4, "dora": True}
    found = losses(sft(configured(model, rows, tmp_path / "run", METHODS["nf4"], tuner=tuner, loop={"max_steps": 8})))
    assert found[-1] < found[0]


@pytest.mark.parametrize("scheme", ["int8-dynamic-int4-weight", pytest.param("int4-weight", marks=pytest.mark.slow)])
def test_training_that_rounds(scheme: str, model: Path, rows: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    sections: dict[str, Any] = {
        "tuner": {"type": "full"},
        "optimizer": {"learning_rate": 2e-3},
        "qat": {"scheme": scheme, "group_size": 16},
        "loop": {"max_steps": 20},
    }
    whole = sft(configure(model, rows, tmp_path / "whole", checkpoint={"every": 8, "limit": 5}, **sections))
    assert sum(losses(whole)[-3:]) < sum(losses(whole)[:3]) - 0.3
    assert json.loads((whole / "run.json").read_text())["config"]["qat"]["scheme"] == scheme
    saved = load_file(whole / "last" / "model.safetensors")
    assert saved.keys() == AutoModelForCausalLM.from_pretrained(model).state_dict().keys()
    assert all(value.dtype == torch.float32 for value in saved.values())
    again = tmp_path / "again"
    shutil.copytree(whole, again, symlinks=True)
    drop_after(again, 8)
    sft(configure(model, rows, again, checkpoint={"every": 8, "limit": 5, "resume": "last"}, **sections))
    assert losses(again) == losses(whole)
    found = load_file(again / "last" / "model.safetensors")
    assert all(torch.equal(value, found[key]) for key, value in saved.items())
