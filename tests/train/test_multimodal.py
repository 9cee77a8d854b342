"""Packed rows with media have the loss and the gradients of the same rows one by one, as transformers computes them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from swift.models.structure import language_model
from swift.models.tiny import save_tiny_multimodal
from tests.train.multimodal import loss_and_gradients, prepare

PACKABLE = (
    "qwen2_vl qwen2_5_vl qwen3_vl internvl llava_onevision smolvlm gemma3 qwen2_audio llava llava_next idefics3 "
    "paligemma mistral3"
).split()
TOWER = re.compile("vision|visual|audio")


@pytest.mark.parametrize("name", PACKABLE)
def test_packed_and_padded_equal_one_by_one(name: str, tmp_path: Path) -> None:
    prepared = prepare(save_tiny_multimodal(tmp_path, name))
    assert prepared.layout.padding_free, prepared.layout.reason
    packed = loss_and_gradients(prepared, prepared.layout, [prepared.samples])
    language_model(prepared.model).set_attn_implementation("eager")
    plain = replace(prepared.layout, padding_free=False, backbone=replace(prepared.layout.backbone, blocks=False))
    single = loss_and_gradients(prepared, plain, [[sample] for sample in prepared.samples])
    padded = loss_and_gradients(prepared, plain, [prepared.samples])
    for loss, gradients in (packed, padded):
        assert loss == pytest.approx(single[0], rel=1e-5)
        assert set(gradients) == set(single[1])
        for parameter, gradient in single[1].items():
            distance = (gradients[parameter] - gradient).norm() / gradient.norm().clamp_min(1e-3)
            assert distance < 1e-4, parameter
    assert any(torch.any(single[1][parameter] != 0) for parameter in single[1] if TOWER.search(parameter))


def test_media_that_are_not_told_apart_go_through_the_model_one_by_one(tmp_path: Path) -> None:
    """Frames and pictures of GLM-4V share a token, so that a batch may have one kind of them only."""
    folder = save_tiny_multimodal(tmp_path, "glm4v")
    assert prepare(folder).layout.one_by_one
    assert prepare(folder, wanted=False).layout.one_by_one
    pictures = prepare(folder, kinds={"image"})
    assert pictures.layout.padding_free
    assert not pictures.layout.one_by_one
