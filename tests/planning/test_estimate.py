"""Plans of models whose numbers are known, and of tiny ones by sums done by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from swift.config.looks import PlanConfig
from swift.hub import Located
from swift.models.load import load_config
from swift.models.tiny import save_tiny, tiny_config, tiny_model
from swift.planning.estimate import memory_plan
from swift.planning.memory import MemoryPlan, ModelShape
from swift.planning.shape import shape_of, training_of
from swift.planning.skeleton import skeleton
from swift.tuners.lora import add_lora

CPU = torch.device("cpu")


def bare(folder: Path, model_type: str = "llama", **fields: Any) -> Located:
    """A folder without weights."""
    tiny_config(model_type, **fields).save_pretrained(folder)
    return Located(folder, "folder", str(folder), None)


def configured(located: Located, **sections: Any) -> PlanConfig:
    return PlanConfig.model_validate({"model": {"id": str(located.path), "dtype": "bfloat16"}, **sections})


def test_a_known_model(tmp_path: Path) -> None:
    """The configuration of Llama 3 8B, whose published number of parameters is 8,030,261,248."""
    located = bare(
        tmp_path,
        vocab_size=128_256,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
    )
    config = configured(located, tuner={"type": "lora", "rank": 8})
    model = skeleton(config, located, CPU)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert shape_of(model) == ModelShape(
        parameters=8_030_261_248,
        hidden=4096,
        layers=32,
        heads=32,
        kv_heads=8,
        head_dim=128,
        intermediate=14_336,
        vocab=128_256,
        fused_norms=True,
        fused_gate=True,
    )
    # r * (in + out) of q, k, v, o, gate, up, down.
    a_layer = 8 * (2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 14_336))
    training = training_of(model, config, gradient_checkpointing=False)
    assert training.trained == 32 * a_layer == 20_971_520
    assert (training.weight_bytes, training.trained_bytes, training.adapter_layers) == (2, 4, 7)
    plan = memory_plan(config, model, slots=4096, targets=2048, longest=4096, padding_free=True)
    assert plan.weights == 2 * 8_030_261_248 + 4 * 20_971_520
    assert (plan.masters, plan.optimizer, plan.gradients) == (0, 8 * 20_971_520, 4 * 20_971_520)
    full = configured(located, tuner={"type": "full"})
    whole = memory_plan(full, skeleton(full, located, CPU), slots=4096, targets=2048, longest=4096, padding_free=True)
    assert whole.standing == 14 * 8_030_261_248
    assert whole.gradients == 4 * 8_030_261_248


def test_checkpointing_and_overhead(tmp_path: Path) -> None:
    located = bare(tmp_path)
    config = configured(located, tuner={"type": "full"})
    model = skeleton(config, located, CPU)
    numbers = {"slots": 512, "targets": 300, "longest": 256, "padding_free": True}
    plain = memory_plan(config, model, **numbers)
    less = memory_plan(config, model, **numbers, gradient_checkpointing=True)
    assert less.activations < plain.activations
    assert less.weights == plain.weights
    wanted = config.model_copy(update={"loop": config.loop.model_copy(update={"gradient_checkpointing": True})})
    assert memory_plan(wanted, model, **numbers) == less
    assert memory_plan(config, model, **numbers, overhead=1000).overhead == plain.overhead + 1000


def test_one_micro_batch_to_a_step_does_not_accumulate(tmp_path: Path) -> None:
    located = bare(tmp_path)
    numbers = {"slots": 64, "targets": 30, "longest": 64, "padding_free": True}
    cases = [({"accumulation": 1}, False), ({}, True), ({"size": 16}, False), ({"packing": True}, True)]
    for batch, accumulates in cases:
        config = configured(located, batch=batch)
        assert memory_plan(config, skeleton(config, located, CPU), **numbers).accumulates is accumulates


def test_scores_are_kept_by_eager_attention_only(tmp_path: Path) -> None:
    located = bare(tmp_path)
    plans = []
    for attention in ("auto", "eager"):
        config = PlanConfig.model_validate({"model": {"id": str(tmp_path), "attention": attention}})
        model = skeleton(config, located, CPU)
        plans.append(memory_plan(config, model, slots=512, targets=9, longest=128, padding_free=False).activations)
    assert plans[1] > plans[0]


def test_a_real_model_and_its_skeleton_have_the_same_plan(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path)
    located = Located(folder, "folder", str(folder), None)
    config = PlanConfig.model_validate({"model": {"id": str(folder), "dtype": "float32"}, "tuner": {"type": "lora"}})
    real = add_lora(tiny_model(), config.tuner)  # type: ignore[arg-type]
    numbers = {"slots": 64, "targets": 30, "longest": 64, "padding_free": True}
    planned = memory_plan(config, skeleton(config, located, CPU), **numbers)
    assert memory_plan(config, real, **numbers) == planned
    elements = sum(p.numel() for p in real.parameters())
    assert planned.weights == 4 * elements


def test_slices_bound_what_goes_through_the_model_at_once(tmp_path: Path) -> None:
    located = bare(tmp_path)
    numbers = {"targets": 300, "padding_free": True}
    model = skeleton(configured(located), located, CPU)

    def plan(limit: int | None, *, slots: int, longest: int) -> MemoryPlan:
        config = configured(located, batch={"slice_tokens": limit, "accumulation": 1})
        return memory_plan(config, model, slots=slots, longest=longest, **numbers)

    whole = plan(0, slots=2048, longest=64)
    assert whole.activations == 2 * plan(1024, slots=2048, longest=64).activations
    assert plan(None, slots=2048, longest=64).activations == plan(512, slots=2048, longest=64).activations
    assert plan(10, slots=2048, longest=64) == plan(64, slots=2048, longest=64)
    # Gradients are there while the second slice goes forward.
    assert (whole.accumulates, plan(1024, slots=2048, longest=64).accumulates) == (False, True)
    assert plan(2048, slots=2048, longest=64) == whole


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_frozen_layers_keep_no_activations(tmp_path: Path, ratio: float) -> None:
    located = bare(tmp_path, num_hidden_layers=4)
    config = configured(located, tuner={"type": "freeze", "ratio": ratio})
    model = skeleton(config, located, CPU)
    training = training_of(model, config, gradient_checkpointing=False)
    assert training.trained_layers == 4 * (1 - ratio)
    assert training.trained == sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"rank": 4}, 0),
        ({"rank": 4, "init": "pissa"}, 0),
        ({"rank": 4, "modules_to_save": ["norm"]}, 5 * 64),
        ({"rank": 4, "targets": ["q_proj"]}, None),
    ],
)
def test_trained_parameters_of_adapters(tmp_path: Path, options: dict[str, Any], more: int | None) -> None:
    located = bare(tmp_path)
    config = configured(located, tuner={"type": "lora", **options})
    model = skeleton(config, located, CPU)
    trained = training_of(model, config, gradient_checkpointing=False).trained
    linear = [layer for layer in tiny_model().model.layers.modules() if isinstance(layer, nn.Linear)]
    if more is None:
        assert trained == 2 * 4 * (64 + 64)
    else:
        assert trained == sum(4 * (layer.in_features + layer.out_features) for layer in linear) + more


@pytest.mark.parametrize(
    ("kind", "width", "gated"),
    [
        ("llama", 96, True),
        ("gpt2", 4 * 64, False),
        ("gpt_neox", 96, False),
        ("qwen3_moe", 192, True),
        ("opt", 96, False),
    ],
)
def test_widths(tmp_path: Path, kind: str, width: int, gated: bool) -> None:
    located = bare(tmp_path, kind)
    config = configured(located, tuner={"type": "full"})
    shape = shape_of(skeleton(config, located, CPU))
    assert (shape.hidden, shape.intermediate, shape.gated) == (64, width, gated)
    assert load_config(located).model_type == kind


def test_an_adapter_to_go_on_from(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model")
    located = Located(folder, "folder", str(folder), None)
    first = configured(located, tuner={"type": "lora", "rank": 3, "targets": ["q_proj", "v_proj"]})
    tuned = add_lora(tiny_model(), first.tuner)  # type: ignore[arg-type]
    tuned.save_pretrained(str(tmp_path / "adapter"))
    config = configured(located, tuner={"type": "lora"}, adapters=[str(tmp_path / "adapter")])
    model = skeleton(config, located, CPU)
    trained = sum(p.numel() for p in tuned.parameters() if p.requires_grad)
    assert training_of(model, config, gradient_checkpointing=False).trained == trained
