"""Every architecture of transformers that generates text: trained, packed, generated with, saved, merged."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
)

from swift.models.catalog.limits import Modality, Proof, limits
from swift.models.tiny.known import known
from tests.zoo.proofs import prove_causal, prove_multimodal
from tests.zoo.record import all_wanted, is_due, record

transformers.logging.set_verbosity_error()


def _cases(names: list[str]) -> list[object]:
    """Today's sample in any run; the others in one that is not in a hurry."""
    quick = all_wanted()
    return [pytest.param(name, marks=() if quick or is_due(name) else pytest.mark.slow) for name in sorted(names)]


@pytest.mark.parametrize("model_type", _cases(list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)))
def test_causal(model_type: str, tmp_path: Path) -> None:
    _compare("causal", model_type, prove_causal(model_type, tmp_path))


@pytest.mark.parametrize("model_type", _cases(list(MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES)))
def test_multimodal(model_type: str, tmp_path: Path) -> None:
    class_name = MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES[model_type]
    of_text = class_name.endswith("ForCausalLM") and model_type not in known("processor")  # listed here all the same
    _compare("multimodal", model_type, (prove_causal if of_text else prove_multimodal)(model_type, tmp_path))


def _compare(modality: Modality, model_type: str, failed: dict[Proof, str]) -> None:
    """What failed is what is declared, no more and no less."""
    declared = limits(model_type, modality)
    if all_wanted():
        record(modality, model_type, {name: declared.get(name, told) for name, told in failed.items()})
    undeclared = {name: told for name, told in failed.items() if name not in declared}
    assert not undeclared, f"fails: {undeclared}"
    holds = sorted(set(declared) - set(failed))
    assert not holds, f"limits.yaml says no, but it works: {holds}"
