"""Lengths, repeats, steps and visible text, by sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from swift.checking.lengths import Bin, measure
from swift.checking.repeats import Sayings
from swift.checking.steps import step_facts
from swift.checking.terminal import bars
from swift.checking.visible import visible
from swift.config.batch import BatchConfig
from swift.config.sft import SftConfig
from swift.types import Conversation, Message, Origin, Row, Text


def test_lengths() -> None:
    lengths = np.array([10] * 90 + [50] * 9 + [100], np.int32)
    found = measure(lengths, lengths // 2, 128)
    assert found.bins[0] == Bin(10, 19, 90)
    assert sum(bin.count for bin in found.bins) == 100
    assert found.percentiles == ((5, 10), (25, 10), (50, 10), (75, 10), (95, 50), (99, 50))
    assert (found.shortest, found.longest, found.mean) == (10, 100, 14.5)
    assert found.target_share == 0.5
    first = next(iter(bars(found)))
    assert first == f" 10 -  19  {'█' * 40}  90"


@pytest.mark.parametrize("lengths", [[1], [5, 5], [1, 8192], list(range(1, 400))])
def test_bins_hold_every_length_once(lengths: list[int]) -> None:
    found = measure(np.array(lengths), np.array(lengths), 10_000)
    assert len(found.bins) <= 18
    for bin in found.bins:
        assert bin.count == sum(bin.low <= length <= bin.high for length in lengths)


def conversation(*turns: str) -> Conversation:
    roles = ("user", "assistant")
    messages = [Message(roles[n % 2], text) for n, text in enumerate(turns)]  # type: ignore[arg-type]
    return Conversation(tuple(messages), Origin("a", 1))


def test_repeats() -> None:
    sayings = Sayings(["a", "b"])
    rows = [("q", "1"), ("q", "2"), ("q", "1"), ("r", "1")]
    for number, turns in enumerate(rows):
        row = Row({"turns": turns}, Origin("a", number + 1))
        sayings.add(0, row, conversation(*turns), train=True)
    for number, turns in enumerate([("q", "9"), ("r", "1"), ("s", "1")]):
        sayings.add(1, Row({"other": turns}, Origin("b", number + 1)), conversation(*turns), train=False)
    assert sayings.duplicates().rows == sayings.identical() == 1
    assert sayings.duplicates().examples == ("row 3 of a repeats row 1 of a",)
    assert sayings.shared_rows().examples == ("row 2 of b repeats row 4 of a",)
    assert sayings.shared_prompts().examples == ("row 1 of b repeats row 1 of a", "row 2 of b repeats row 4 of a")


def test_texts_have_no_prompt_and_odd_values_are_hashed() -> None:
    sayings = Sayings(["a"])
    sayings.add(0, Row({"text": "x"}, Origin("a", 1)), Text("x", Origin("a", 1)), train=True)
    sayings.add(0, Row({"text": "x"}, Origin("a", 2)), Text("x", Origin("a", 2)), train=False)
    sayings.add(0, Row({"n": 2**70}, Origin("a", 3)), conversation("\ud800", "y"), train=True)
    assert sayings.shared_rows().rows == 1
    assert sayings.shared_prompts().rows == 0
    assert sayings.duplicates().rows == 0


def test_steps() -> None:
    lengths = np.array([40, 60, 100, 100, 30], np.int32)
    config = SftConfig(batch=BatchConfig(size=2, accumulation=2), loop={"epochs": 2.5})  # type: ignore[arg-type]
    facts = dict(step_facts(lengths, config, 100))
    assert facts["steps per epoch"] == "2"
    assert facts["steps of the run"] == "5 (2.5 epochs)"
    assert facts["packing"] == "off; with --packing, packs would be 82.5% full (4 packs of 100)"
    packed = config.model_copy(update={"batch": BatchConfig(packing=True, accumulation=1)})
    facts = dict(step_facts(lengths, packed, 100))
    assert facts["steps per epoch"] == "4"
    assert facts["packing"] == "82.5% full (4 packs of 100)"
    padded = config.model_copy(update={"batch": BatchConfig(size=5, accumulation=1, padding_free=False)})
    assert dict(step_facts(lengths, padded, 100))["padding"] == "34.0% of all slots"


def test_nothing_in_a_row_commands_the_terminal() -> None:
    assert visible("a\n\tb") == "a↵\n→\tb"
    assert visible("\x1b[2J\x07\x7f") == "␛[2J␇\\u007f"
    assert visible("\u202eevil \ud800") == "\\u202eevil \\ud800"
    assert visible("👩\u200d👧 naïve") == "👩\u200d👧 naïve"
