"""The results, the page that is made of them, and the reasons."""

from __future__ import annotations

import json

from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
)

from swift.models.catalog.limits import PROOFS, limits
from swift.models.catalog.proofs import FILE
from tests.zoo.record import EVERY, PAGE, RESULTS, is_due, page, tried


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.zoo.record`"
    assert FILE.read_text(encoding="utf-8") == tried(), "run `python -m tests.zoo.record`"


def test_every_architecture_has_its_day() -> None:
    for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        assert sum(is_due(name, day) for day in range(EVERY)) == 1


def test_results_and_reasons_are_about_the_same() -> None:
    table = json.loads(RESULTS.read_text())
    for modality, names in (
        ("causal", MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
        ("multimodal", MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES),
    ):
        assert set(table[modality]) == set(names)
        for name, row in table[modality].items():
            failed = {proof: told for proof, told in row.items() if told != "yes"}
            assert failed == dict(limits(name, modality)), name
            assert set(row) <= set(PROOFS)
