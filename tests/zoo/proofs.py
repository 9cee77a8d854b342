"""The proofs, one after the other on one model: each leaves it as the next one needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from swift.config.model import ModelConfig
from swift.config.tuner import FullConfig, LoraConfig
from swift.engines.merging import merge_attached
from swift.hub import locate
from swift.models.catalog.limits import Proof
from swift.models.isolation import Layout
from swift.models.load import load_model
from swift.models.structure import generating, language_model
from swift.objectives.policy import Policy
from swift.objectives.sft import SftObjective
from swift.tuners.freeze import train_all
from swift.tuners.lora import add_lora
from tests.zoo.case import Case, causal_case, multimodal_case
from tests.zoo.plain import plain_case, plain_runs

STEPS = 4
NEW_TOKENS = 3

WHOLE = FullConfig(freeze_vit=False, freeze_aligner=False)


def prove_causal(model_type: str, folder: Path) -> dict[Proof, str]:
    """What does not hold of a model of text: proof -> what was seen."""
    try:
        case = causal_case(model_type)
        layout = case.layout()
    except Exception as error:  # transformers raises errors of every type
        return {"build": told(error)}
    return _failing(_causal_runs(case, layout, folder))


def prove_multimodal(model_type: str, folder: Path) -> dict[Proof, str]:
    """What does not hold of a model with media: as its own users call it, and packed by us."""
    try:
        plain = plain_case(model_type, folder / "model")
    except Exception as error:  # as above
        return {"build": told(error)}
    failing = _failing(plain_runs(plain, folder / "model"))
    try:
        case = multimodal_case(folder / "model")
        layout = case.layout()
    except Exception as error:  # as above
        return {**failing, "packed": told(error), "padded": told(error)}
    return {**failing, **_failing(_batch_runs(case, layout))}


def _failing(runs: Iterator[tuple[Proof, Callable[[], None]]]) -> dict[Proof, str]:
    return {name: found for name, run in runs if (found := _seen(run)) is not None}


def told(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _seen(run: Callable[[], None]) -> str | None:
    try:
        run()
    except Exception as error:  # as above
        return told(error)
    return None


def _batch_runs(case: Case, layout: Layout) -> Iterator[tuple[Proof, Callable[[], None]]]:
    yield "packed", lambda: _same_as_single(case, layout, packed=True)
    yield "padded", lambda: _same_as_single(case, layout, packed=False)


def _causal_runs(case: Case, layout: Layout, folder: Path) -> Iterator[tuple[Proof, Callable[[], None]]]:
    state: dict[str, Any] = {}
    yield from _batch_runs(case, layout)
    yield "generate", lambda: _generates(case)
    yield "full", lambda: _full(case, layout)
    yield "reload", lambda: _reloads(case, folder)
    yield "lora", lambda: state.update(tuned=_lora(case, layout))
    yield "merge", lambda: _merges(case, state.get("tuned"))


def _same_as_single(case: Case, layout: Layout, *, packed: bool) -> None:
    """Loss and gradients of all rows together are those one by one, through transformers' own attention."""
    assert layout.padding_free or not packed, layout.reason
    chosen = language_model(case.model).config._attn_implementation
    together = _loss_and_gradients(case, layout if packed else _plain(layout), [case.samples], packed=packed)
    try:
        single = _loss_and_gradients(case, _plain(layout), [[sample] for sample in case.samples], packed=False)
    finally:
        language_model(case.model).set_attn_implementation(chosen)
    assert together[0] == pytest.approx(single[0], rel=1e-5)
    for name, gradient in single[1].items():
        distance = float((together[1][name] - gradient).norm() / gradient.norm().clamp_min(1e-3))
        assert distance < 1e-3, f"the gradient of {name} differs by {distance:.1%}"


def _plain(layout: Layout) -> Layout:
    return replace(layout, padding_free=False, backbone=replace(layout.backbone, blocks=False))


def _loss_and_gradients(
    case: Case, layout: Layout, groups: list[list[Any]], *, packed: bool
) -> tuple[float, dict[str, Tensor]]:
    case.model.eval()
    case.model.zero_grad(set_to_none=True)
    policy = case.policy(layout)
    if not packed:
        language_model(case.model).set_attn_implementation("eager")
    total = 0.0
    for group in groups:
        loss = SftObjective()(policy, case.batch(group, packed=packed)).total
        loss.backward()
        total += loss.item()
    return total, {name: p.grad.clone() for name, p in case.model.named_parameters() if p.grad is not None}


def _generates(case: Case) -> None:
    """Greedy, with whatever cache the architecture keeps."""
    prompt = {name: tensor.clone() for name, tensor in case.prompt.items()}
    output = generating(case.model).generate(
        **prompt, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0
    )
    assert output.shape[1] in (NEW_TOKENS, NEW_TOKENS + 1, case.prompt["input_ids"].shape[1] + NEW_TOKENS)


def _full(case: Case, layout: Layout) -> None:
    train_all(case.model, WHOLE)
    _falls(case, layout, case.policy(layout), case.model, rate=2e-3)


def _lora(case: Case, layout: Layout) -> nn.Module:
    tuned = add_lora(case.model, LoraConfig())
    _falls(case, layout, case.policy(layout, tuned), tuned, rate=2e-3)
    return tuned


def _falls(case: Case, layout: Layout, policy: Policy, trained: nn.Module, *, rate: float) -> None:
    """A few steps on one batch, without dropout."""
    batch = case.batch(case.samples, packed=layout.padding_free)
    weights = [weight for weight in trained.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    losses = []
    trained.eval()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = SftObjective()(policy, batch)
        (loss.total / loss.count).backward()
        losses.append(loss.total.item() / loss.count)
        optimizer.step()
    assert losses[-1] < losses[0] * 0.9999, f"the loss does not fall: {losses}"


@torch.no_grad()
def _logits(model: Any, case: Case) -> Tensor:
    model.eval()
    prompt = {name: tensor.clone() for name, tensor in case.prompt.items()}
    logits: Tensor = generating(model)(**prompt, use_cache=False).logits
    return logits


def _reloads(case: Case, folder: Path) -> None:
    """After training, so that every weight has a value of its own."""
    case.model.save_pretrained(folder)
    located = locate(ModelConfig(id=str(folder)))
    again = load_model(located, ModelConfig(id=str(folder)), device=torch.device("cpu"), dtype=torch.float32)
    torch.testing.assert_close(_logits(again, case), _logits(case.model, case), atol=1e-5, rtol=1e-5)


def _merges(case: Case, tuned: Any) -> None:
    assert tuned is not None, "there is no trained adapter to merge"
    expected = _logits(tuned.get_base_model(), case)
    merged = merge_attached(tuned, Path("in memory"))
    torch.testing.assert_close(_logits(merged, case), expected, atol=1e-4, rtol=1e-4)
