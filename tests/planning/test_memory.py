"""The memory model against what automatic differentiation really keeps, and against sums done by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from swift.models import recompute
from swift.models.fused import fuse
from swift.planning.advice import ways_out
from swift.planning.memory import Load, ModelShape, Training, activation_bytes, plan_memory
from swift.planning.shape import shape_of

SHAPE = ModelShape(
    parameters=1_000_000, hidden=64, layers=3, heads=4, kv_heads=2, head_dim=16, intermediate=160, vocab=500
)
LORA = Training(tuner="lora", trained=10_000, trained_layers=3, adapter_rank=8)
FULL = Training(tuner="full", trained=1_000_000, trained_layers=3, trained_bytes=2, trains_head=True)
LOAD = Load(slots=256, targets=100, longest=128)


def test_full_training_with_master_weights_takes_18_bytes_a_parameter() -> None:
    """Mixed-precision AdamW: 2 + 4 + 8 (arXiv 1910.02054, section 3.1), and a float32 gradient."""
    plan = plan_memory(SHAPE, FULL, LOAD)
    n = SHAPE.parameters
    assert (plan.weights, plan.masters, plan.optimizer, plan.gradients) == (2 * n, 4 * n, 8 * n, 4 * n)
    assert plan_memory(SHAPE, replace(FULL, master_weights=False), LOAD).optimizer == 4 * n


def test_adapters_cost_little_beside_the_weights() -> None:
    plan = plan_memory(SHAPE, LORA, LOAD, overhead=7)
    assert plan.weights == 2 * SHAPE.parameters + 4 * LORA.trained
    assert (plan.masters, plan.optimizer, plan.gradients) == (0, 8 * LORA.trained, 4 * LORA.trained)
    assert plan.total == plan.standing + plan.activations + plan.logits + plan.gradients
    single = plan_memory(SHAPE, FULL, replace(LOAD, accumulates=False))
    assert single.total == single.standing + max(single.activations + single.logits, single.gradients)
    assert plan.table()[-1] == ("peak", plan.total)
    assert dict(plan.table())["libraries"] == 7
    holes = plan_memory(SHAPE, LORA, LOAD, overhead=7, holes=0.5)
    assert holes.total - plan.total == holes.fragments == plan.activations // 2


def test_checkpointing_and_frozen_layers_save_activations() -> None:
    everything = activation_bytes(SHAPE, FULL, LOAD)
    assert activation_bytes(SHAPE, replace(FULL, gradient_checkpointing=True), LOAD) < 0.5 * everything
    assert activation_bytes(SHAPE, replace(FULL, trained_layers=1), LOAD) < 0.5 * everything
    assert activation_bytes(SHAPE, FULL, replace(LOAD, slots=512)) == 2 * everything
    assert activation_bytes(SHAPE, FULL, replace(LOAD, score_matrix=True)) > everything


def test_activations_in_main_memory_leave_one_layer_on_the_device() -> None:
    plain, checkpointed = LORA, replace(LORA, gradient_checkpointing=True)
    for training in (plain, checkpointed):
        there = plan_memory(SHAPE, training, LOAD)
        gone = plan_memory(SHAPE, replace(training, offload_activations=True), LOAD)
        assert there.moved is None
        assert gone.moved == there.activations - gone.activations > 0
        assert dict(gone.table())["in main memory instead"] == gone.moved
        assert gone.total < there.total
    # What travels with checkpointing is the input of each layer.
    travels = plan_memory(SHAPE, replace(checkpointed, offload_activations=True), LOAD).moved
    assert travels == LOAD.slots * SHAPE.layers * SHAPE.hidden * LORA.weight_bytes


def test_moving_activations_is_a_way_out_on_accelerators_alone() -> None:
    for accelerator in (False, True):
        ways = ways_out(SHAPE, LORA, LOAD, overhead=0, longest=128, accelerator=accelerator)
        assert any("--activation_cpu_offload" in way.change for way in ways) == accelerator


@pytest.mark.parametrize("tuner", ["full", "lora"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("fused", [False, True])
def test_activations_against_what_is_really_saved(tuner: str, dtype: torch.dtype, fused: bool) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=500, attn_implementation="sdpa", use_cache=False,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).to(dtype)
    training = replace(FULL, weight_bytes=dtype.itemsize)
    if fused:
        fuse(model)
    if tuner == "lora":
        from swift.config.tuner import LoraConfig
        from swift.tuners.lora import add_lora

        model = add_lora(model, LoraConfig(rank=8))
        training = replace(LORA, weight_bytes=dtype.itemsize)
    owned = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> object:
        recipe = recompute._pack(tensor)
        if fused and recipe is not tensor:
            return recipe
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned and tensor.dtype != torch.int64:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(0, 500, (2, 128))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model.get_decoder()(input_ids=ids, attention_mask=None)
    shape = replace(SHAPE, fused_norms=fused, fused_gate=fused)
    found = shape_of(model)  # plans are made before it is proved that they can be fused
    assert (found.fused_norms, found.fused_gate) == (True, True)
    planned = activation_bytes(shape, training, LOAD)
    assert planned == pytest.approx(sum(saved.values()), rel=0.06)
