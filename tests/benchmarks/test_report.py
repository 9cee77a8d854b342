"""Ratios, goals and loss differences of runs made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.markdown import page, summary
from benchmarks.measure import Measurement
from benchmarks.report import Run, judge, loss_gaps, medians, ratios


def run(system: str, *, step: float, number: int = 1, memory: float = 1000.0, losses: Sequence[float] = ()) -> Run:
    """Five steps of `step` seconds after a first step that ends at 10 s, 500 tokens."""
    ends = tuple(10 + step * index for index in range(5))
    seen = Measurement(ends[-1] + 2, ends, memory, memory, 20.0, 0.1)
    return Run(system, number, 500, seen, tuple(losses or (1.0,) * 5))


def test_rate_leaves_the_first_step_out() -> None:
    assert run("ours", step=2.0).tokens_per_second == pytest.approx(400 / 8)


def test_ratios_to_each_and_to_the_best() -> None:
    runs = [
        run("ours", step=1.0, memory=500),
        run("a", step=2.0, memory=1000),
        run("b", step=4.0, memory=800),
        run("a", step=2.2, memory=1100, number=2),
        run("a", step=9.0, memory=1050, number=3),
    ]
    found = ratios(medians(runs))
    assert found["mean_step"] == pytest.approx({"a": 1 / 2.2, "b": 1 / 4, "best": 1 / 2.2})
    assert found["tokens_per_second"]["best"] == pytest.approx(2.2)
    assert found["peak_tree"] == pytest.approx({"a": 500 / 1050, "b": 500 / 800, "best": 500 / 800})


def test_no_ratios_without_ours_or_without_peers() -> None:
    assert ratios(medians([run("a", step=1.0), run("b", step=2.0)])) == {}
    assert ratios(medians([run("ours", step=1.0)])) == {}


def test_goals() -> None:
    found = ratios(medians([run("ours", step=1.0, memory=900), run("trl", step=1.5)]))
    lines = judge("lora", "matched", found)
    assert [line.rsplit(": ", 1)[1] for line in lines] == ["met", "NOT met", "NOT met"]
    assert lines[0].startswith("real tokens/s while training: 1.50x the best peer, wanted at least 1.4x")
    assert not any("ms-swift" in line for line in judge("lora", "defaults", found))


def test_loss_gaps() -> None:
    gaps = loss_gaps({"ours": [1.0, 2.0, 3.5], "a": [1.1, 2.0, 3.0], "b": [1.0, 2.3, 3.0]})
    assert (gaps["ours"].largest, gaps["ours"].step) == (pytest.approx(0.5), 3)
    assert gaps["ours"].mean == pytest.approx((0.1 + 0.3 + 0.5) / 3)
    assert (gaps["peers"].largest, gaps["peers"].step) == (pytest.approx(0.3), 2)


def test_page_has_every_step_and_system() -> None:
    runs = [
        run("ours", step=1.0, losses=(1.5, 1.4, 1.3, 1.2, 1.1)),
        run("trl", step=2.0, losses=(1.5, 1.4, 1.3, 1.2, 1)),
    ]
    text = page("lora", "matched", runs, {"model": "tiny"})
    assert "- model: tiny" in text
    assert "largest difference 0.1000 (step 5)" in text
    assert "| 4 | 1.2000 | 1.2000 |" in text
    assert "## Losses" not in page("lora", "defaults", runs, {})


def test_of_other_tuners_only_the_speed_is_wanted() -> None:
    found = ratios(medians([run("ours", step=1.0), run("ms-swift", step=1.4), run("trl", step=1.0)]))
    assert [line.rsplit(": ", 1)[1] for line in judge("dora", "matched", found)] == ["NOT met"]
    found = ratios(medians([run("ours", step=1.0), run("ms-swift-transformers-5.0", step=1.6)]))
    assert [line.rsplit(": ", 1)[1] for line in judge("galore", "matched", found)] == ["met"]


def test_summary_has_a_row_for_each_tuner_mode_and_peer() -> None:
    ours, peer = run("ours", step=1.0, memory=500), run("trl", step=2.0, losses=(1.0, 1.0, 1.25, 1.0, 1.0))
    lines = summary({("lora", "matched"): [ours, peer], ("full", "defaults"): [peer, ours]}).splitlines()
    assert lines[2] == "| lora | matched | trl | 100.0 | 50.0 | 2.00 | 0.50 | 1.00000 | 1.05000 | 0.2500 |"
    assert lines[3] == "| full | defaults | trl | 100.0 | 50.0 | 2.00 | 0.50 |  |  |  |"
    assert len(lines) == 4
