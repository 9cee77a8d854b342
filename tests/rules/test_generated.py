"""Files that are generated from the code are up to date."""

from __future__ import annotations

from swift.config.reference import reference
from swift.tuners.reference import filled
from tests.rules.sources import ROOT


def test_reference_is_up_to_date() -> None:
    page = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    assert page == reference(), "run `make docs`"


def test_the_page_of_techniques_is_up_to_date() -> None:
    page = (ROOT / "docs/tuners.md").read_text(encoding="utf-8")
    assert page.count("<!-- generated: ") == page.count("<!-- end -->") == 3
    assert page == filled(page), "run `make docs`"
