"""Help and reference, generated from the fields."""

from __future__ import annotations

import pytest

from swift.config.help import help_text
from swift.config.option import Config
from swift.config.reference import ROOTS, reference
from swift.config.schema import table
from swift.config.sft import SftConfig


@pytest.mark.parametrize(("command", "root"), ROOTS.items(), ids=lambda item: str(item))
def test_help_lists_every_option_within_the_width(command: str, root: type[Config]) -> None:
    text = help_text(command, "what it does", table(root), width=80)
    for option in table(root).options():
        assert f"--{option.key}" in text
        assert all(f"--{flag}" in text for flag in option.flags)
    long = [line for line in text.splitlines() if len(line) > 80 and not line.startswith("  --")]
    assert long == []


def test_flat_names_come_first_with_default_and_rule() -> None:
    text = help_text("sft", "x", table(SftConfig))
    assert "  --lora_rank, --tuner.rank  INT\n      Rank of the update. (at least 1) [8]\n" in text
    assert "tuner (type: lora) -- " in text


def test_reference_names_every_option() -> None:
    page = reference()
    for root in ROOTS.values():
        assert all(f"`{option.key}`" in page for option in table(root).options())
