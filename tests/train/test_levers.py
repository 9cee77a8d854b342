"""What saves memory and time: compiled layers give the run that plain ones do, and a run says what is active."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import swift.models.compiled
import swift.train.assemble
from swift.api import sft
from swift.config.rules import find
from swift.errors import ConfigError, ModelError, ResourceError
from swift.models.compiled import compile_blocks, compiler_errors, compiling
from swift.models.offload import Offload
from swift.models.structure import decoder_layers
from swift.models.tiny import save_tiny, tiny_model
from swift.train.listeners.jsonl import read_lines
from tests.train.runs import configure


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_lines(folder / "metrics.jsonl") if "loss" in line]


def active(folder: Path) -> list[str]:
    found: list[str] = json.loads((folder / "run.json").read_text())["levers"]
    return found


def weights(folder: Path) -> dict[str, torch.Tensor]:
    file = next((folder / "last").glob("*model.safetensors"))
    return load_file(file)


def same_run(plain: Path, compiled: Path) -> None:
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-5)
    expected, found = weights(plain), weights(compiled)
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, atol=2e-4, rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sections", "checkpointing"),
    [
        ({}, True),
        ({"tuner": {"type": "lora", "rank": 4, "dora": True}}, False),
        ({"tuner": {"type": "full"}, "optimizer": {"learning_rate": 1e-3}}, True),
        ({"tuner": {"type": "freeze", "ratio": 0.5}, "optimizer": {"learning_rate": 1e-3}}, False),
        ({"tuner": {"type": "llamapro", "new_blocks": 1}, "optimizer": {"learning_rate": 1e-3}}, False),
        ({"batch": {"size": 4, "accumulation": 2, "padding_free": False}}, True),
        ({"batch": {"size": 1, "accumulation": 2, "packing": True}, "chat": {"max_length": 256}}, False),
    ],
    ids=["lora", "dora", "full", "freeze", "llamapro", "padded", "packed"],
)
def test_compiled_layers_train_the_same(
    sections: dict[str, Any], checkpointing: bool, tiny: Path, rows: Path, tmp_path: Path
) -> None:
    loop = {"max_steps": 4, "gradient_checkpointing": checkpointing}
    plain = sft(configure(tiny, rows, tmp_path / "plain", loop=loop, **sections))
    loop |= {"compile_blocks": True}
    compiled = sft(configure(tiny, rows, tmp_path / "compiled", loop=loop, data={"split_ratio": 0.0}, **sections))
    same_run(plain, compiled)
    layers = 3 if sections.get("tuner", {}).get("type") == "llamapro" else 2
    assert f"{layers} compiled layers" in active(compiled)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gemma2", "qwen3_moe"])
def test_other_architectures_compiled(kind: str, rows: Path, tmp_path: Path) -> None:
    model = save_tiny(tmp_path / kind, kind)
    plain = sft(configure(model, rows, tmp_path / "plain", loop={"max_steps": 4}))
    loop = {"max_steps": 4, "compile_blocks": True}
    same_run(plain, sft(configure(model, rows, tmp_path / "compiled", loop=loop)))


@pytest.mark.slow
def test_a_compiled_run_resumes_to_the_bit(tiny: Path, rows: Path, tmp_path: Path) -> None:
    """With evaluation and dropout, whose random numbers are the compiler's."""
    sections: dict[str, Any] = {
        "tuner": {"type": "lora", "rank": 4, "dropout": 0.2},
        "data": {"split_ratio": 0.2},
        "schedule": {"name": "constant"},
    }
    whole = sft(configure(tiny, rows, tmp_path / "whole", loop={"max_steps": 6, "compile_blocks": True}, **sections))
    parts = tmp_path / "parts"
    sft(configure(tiny, rows, parts, loop={"max_steps": 3, "compile_blocks": True}, **sections))
    resume = {"resume": "last", "allow_change": True}
    sft(configure(tiny, rows, parts, loop={"max_steps": 6, "compile_blocks": True}, checkpoint=resume, **sections))
    expected, found = weights(whole), weights(parts)
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())


@pytest.mark.slow
def test_what_cannot_be_compiled_is_told(rows: Path, tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "gemma2", "gemma2")
    loop = {"max_steps": 2, "compile_blocks": True, "gradient_checkpointing": True}
    with pytest.raises(ModelError, match="nothing of the decoder layers could be compiled") as caught:
        sft(configure(model, rows, tmp_path / "run", loop=loop))
    assert "--gradient_checkpointing false" in caught.value.hint


def test_layers_are_compiled_in_place() -> None:
    model = tiny_model()
    names = [name for name, _ in model.named_modules()]
    state = set(model.state_dict())
    assert compile_blocks(model) == len(decoder_layers(model)) == 2
    assert [name for name, _ in model.named_modules()] == names
    assert set(model.state_dict()) == state
    with pytest.raises(ModelError, match="nothing of the decoder layers"), compiling():
        pass  # nothing was called


def test_errors_of_the_compiler_are_one_line() -> None:
    def broken(graph: object, inputs: object) -> object:
        raise ValueError("no such kernel")

    function = torch.compile(lambda x: x + 1, backend=broken)
    with pytest.raises(ModelError, match=r"cannot be compiled: .*no such kernel") as caught, compiler_errors():
        function(torch.ones(2))
    assert "\n" not in caught.value.message


def test_without_a_compiler_no_weights_are_loaded(
    tiny: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import cpp_builder, exc

    def none() -> str:
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(ResourceError, match="needs a C\\+\\+ compiler"):
        sft(configure(tiny, rows, tmp_path / "run", loop={"compile_blocks": True}))
    with pytest.raises(ResourceError, match="needs Triton"):
        swift.models.compiled.require_compiler(torch.device("cuda"))


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({"tuner": {"type": "longlora"}}, "--tuner_type longlora"),
        ({"tuner": {"type": "lisa"}}, "--tuner_type lisa"),
        ({"model": {"quantization": {"type": "bnb"}}}, "--quant_method bnb"),
        ({"tuner": {"type": "full"}, "qat": {"scheme": "int4-weight"}}, "--qat"),
    ],
)
def test_what_compiled_layers_do_not_go_with(sections: dict[str, Any], why: str, tmp_path: Path) -> None:
    config = configure(tmp_path, tmp_path, tmp_path / "run", loop={"compile_blocks": True}, **sections)
    assert any(problem.where == "--torch_compile" and why in problem.why for problem in find(config))
    off = config.model_copy(update={"loop": config.loop.model_copy(update={"compile_blocks": False})})
    assert not any(problem.where == "--torch_compile" for problem in find(off))


def test_activations_are_in_main_memory_already_on_the_cpu(tiny: Path, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the device is the CPU, where they are already") as caught:
        sft(configure(tiny, rows, tmp_path / "run", loop={"offload_activations": True}))
    assert "--activation_cpu_offload" in caught.value.hint


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_run_with_moved_activations_is_the_same(
    checkpointing: bool, tiny: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU the copies go nowhere, but are made and read as elsewhere."""
    loop = {"max_steps": 4, "gradient_checkpointing": checkpointing, "neftune_alpha": 5.0, "dry_step": True}
    tuner = {"type": "lora", "rank": 4, "dropout": 0.1}
    plain = sft(configure(tiny, rows, tmp_path / "plain", loop=loop, tuner=tuner))
    monkeypatch.setattr(swift.train.assemble, "_fitting", lambda config, device, parallel: config)
    monkeypatch.setattr(swift.train.assemble, "make_offload", lambda device: Offload(smallest=1))
    loop |= {"offload_activations": True}
    moved = sft(configure(tiny, rows, tmp_path / "moved", loop=loop, tuner=tuner))
    assert losses(moved) == losses(plain)
    expected, found = weights(plain), weights(moved)
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    assert "activations in main memory" in active(moved)
    assert "activations in main memory" not in active(plain)


def test_the_levers_are_told_as_they_are(
    tiny: Path, rows: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = sft(configure(tiny, rows, tmp_path / "plain", loop={"max_steps": 1}, batch={"slice_tokens": 0}))
    fused = "fused norms + gated activations + LoRA"
    assert active(folder) == ["chunked loss", fused, "padding-free rows"]
    assert f"levers chunked loss, {fused}, padding-free rows" in " ".join(capfd.readouterr().err.split())
    config = configure(
        save_tiny(tmp_path / "gpt2", "gpt2"),
        rows,
        tmp_path / "other",
        loop={"max_steps": 1, "neftune_alpha": 5.0, "gradient_checkpointing": True},
        tuner={"type": "full"},
        batch={"size": 4, "accumulation": 1, "padding_free": False},
        optimizer={"learning_rate": 1e-3, "fused_backward": True, "max_grad_norm": 0.0},
    )
    folder = sft(config)
    assert active(folder) == [
        "gradient checkpointing (llm)",
        "chunked loss",
        "optimizer in the backward pass",
        "NEFTune 5",
    ]


def test_checkpointing_that_memory_asked_for_is_told(
    tiny: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import swift.train.fit

    monkeypatch.setattr(swift.train.fit, "available_memory", lambda device: 1)
    folder = sft(configure(tiny, rows, tmp_path / "run", loop={"max_steps": 1}))
    assert active(folder)[0] == "gradient checkpointing (llm)"
    assert json.loads((folder / "run.json").read_text())["config"]["loop"]["gradient_checkpointing"] is None
