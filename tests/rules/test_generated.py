"""Files that are generated from the code are up to date."""

from __future__ import annotations

from swift.config.reference import reference
from tests.rules.sources import ROOT


def test_reference_is_up_to_date() -> None:
    page = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    assert page == reference(), "run `make docs`"
