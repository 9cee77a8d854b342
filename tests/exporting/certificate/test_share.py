from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model

from swift.exporting.certificate.share import share_check, updates
from swift.models.tiny import tiny_model


def tuned(scale: float, **options):
    torch.manual_seed(0)
    rules = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], init_lora_weights=False, **options)
    model = get_peft_model(tiny_model(), rules)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.mul_(scale)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("times", [0.0, 0.5, 1.0, 2.0, -1.0])
def test_how_many_times_an_adapter_is_in(times, dtype):
    known = updates(tuned(0.1).base_model.model)
    assert len(known) == 4
    result = tiny_model()
    with torch.no_grad():
        for update in known:
            layer = result.get_submodule(update.name)
            layer.weight.copy_((layer.weight + times * update.delta).to(dtype))
    (check,) = share_check(result, known, dtype)
    assert check.passed == (times == 1.0), check.detail


@pytest.mark.parametrize("times", [0.0, 1.0, 2.0, -1.0])
def test_what_rounding_takes_away_is_told_and_no_error(times, capsys):
    """A change of less than half of what lies between two numbers is rounded away in most weights."""
    base = tiny_model()
    with torch.no_grad():
        for weight in base.parameters():
            weight.copy_(weight.bfloat16())
    model = tuned(0.0003)
    model.base_model.model.load_state_dict(
        {name.replace("_proj.weight", "_proj.base_layer.weight"): w for name, w in base.state_dict().items()},
        strict=False,
    )
    known = updates(model.base_model.model)
    result = tiny_model()
    result.load_state_dict(base.state_dict())
    with torch.no_grad():
        for update in known:
            result.get_submodule(update.name).weight.copy_((update.weight + times * update.delta).bfloat16())
    (check,) = share_check(result, known, torch.bfloat16)
    assert check.passed == (times == 1.0), check.detail
    said = capsys.readouterr().err
    assert ("bfloat16 is too coarse" in said) == (times == 1.0)


def test_one_wrong_layer_is_named():
    known = updates(tuned(0.1).base_model.model)
    result = tiny_model()
    with torch.no_grad():
        for update in known[:-1]:
            result.get_submodule(update.name).weight.add_(update.delta)
    (check,) = share_check(result, known, torch.float32)
    assert not check.passed
    assert known[-1].name in check.detail


def test_other_kinds_are_not_looked_at():
    assert updates(tuned(0.1, use_dora=True).base_model.model) == ()
    assert updates(tiny_model()) == ()
    assert share_check(tiny_model(), updates(tuned(0.0).base_model.model), torch.float32) == []


def test_a_small_adapter_that_is_missing_in_float32_is_no_rounding():
    known = updates(tuned(0.0003).base_model.model)
    (check,) = share_check(tiny_model(), known, torch.float32)
    assert not check.passed
