"""evalscope's files become results of ours: the same numbers, and none that it could not compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swift.errors import EngineError
from swift.evaluation.scope.results import lines_of, lost_metrics, result_of
from swift.evaluation.scope.sets import Wanted


def review(index: int, values: dict[str, float], **score: Any) -> dict[str, Any]:
    """As evalscope 1.14.1 writes it, without what is not read."""
    return {
        "index": index,
        "target": ["Paris"],
        "messages": [{"role": "user", "content": f"question {index}"}, {"role": "assistant", "content": "so: Rome"}],
        "sample_score": {
            "score": {
                "value": values, "status": "success", "extracted_prediction": "Rome", "prediction": "so: Rome",
                "explanation": None, "metadata": {}, "main_score_name": "x", **score,
            },
            "sample_id": index, "group_id": index // 2, "generation_index": index % 2, "sample_metadata": {},
        },
    }  # fmt: skip


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    return Wanted("general_qa", "general_qa-a", {}, tmp_path, "")


def write(
    wanted: Wanted, reviews: dict[str, list[dict[str, Any]]], metrics: list[dict[str, Any]] | None = None
) -> None:
    for subset, rows in reviews.items():
        file = wanted.work / "reviews" / "model" / f"general_qa_{subset}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = wanted.work / "reports" / "model" / "general_qa.json"
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps({"metrics": metrics or []}))


def test_answers_of_one_question_are_one_cluster(wanted: Wanted) -> None:
    write(wanted, {"a": [review(1, {"acc": 0}), review(0, {"acc": 1}), review(2, {"acc": 1})]})
    lines = lines_of(wanted)
    assert [line["id"] for line in lines] == ["a-0", "a-0", "a-1"]
    assert [line["sample"] for line in lines] == [0, 1, 0]
    assert lines[0]["asked"] == "question 0"
    assert (lines[0]["reference"], lines[0]["response"], lines[0]["prediction"]) == ("Paris", "so: Rome", "Rome")
    metric, result = result_of(wanted, lines, {})
    assert list(metric.measures) == ["acc"]
    assert result.scores["acc"].value == pytest.approx(200 / 3)
    assert result.scores["acc"].count == 3
    assert result.groups == {}


def test_subsets_are_groups(wanted: Wanted) -> None:
    write(wanted, {"a": [review(0, {"acc": 1}), review(2, {"acc": 1})], "b": [review(0, {"acc": 0})]})
    _, result = result_of(wanted, lines_of(wanted), {})
    assert {name: scores["acc"].value for name, scores in result.groups.items()} == {"a": 100.0, "b": 0.0}


def test_a_metric_that_failed_is_no_zero(wanted: Wanted) -> None:
    error = {"metric_errors": {"BLEU": "LookupError: \n*****\n  Resource 'punkt_tab' not found."}}
    write(wanted, {"a": [review(0, {"bleu-1": 0.0, "Rouge-L-R": 0.5}, metadata=error)]})
    lines = lines_of(wanted)
    assert lines[0]["scores"] == {"bleu-1": None, "Rouge-L-R": 0.5}
    _, result = result_of(wanted, lines, {})
    assert (result.scores["bleu-1"].value, result.scores["bleu-1"].count) == (None, 0)
    assert result.scores["Rouge-L-R"].value == 50.0
    assert lost_metrics(wanted) == {"BLEU": "LookupError: Resource 'punkt_tab' not found."}


def test_an_answer_that_was_not_judged_counts_as_failed(wanted: Wanted) -> None:
    write(wanted, {"a": [review(0, {"acc": 1}), review(2, {}, status="error", explanation="no judge")]})
    lines = lines_of(wanted)
    assert "no judge" in lines[1]["error"]
    _, result = result_of(wanted, lines, {})
    assert (result.failed, result.scores["acc"].count) == (1, 1)


def test_what_is_no_mean_or_no_share_is_as_evalscope_has_it(wanted: Wanted) -> None:
    at_k = {
        "identity": {"name": "acc", "aggregation": "pass_at_k", "dimensions": {"k": 2}},
        "num": 1, "score": 0.75, "semantics": {"display_multiplier": 100.0},
    }  # fmt: skip
    mean = {"identity": {"name": "acc", "aggregation": "mean", "dimensions": {}}, "num": 2, "score": 0.5}
    write(wanted, {"a": [review(0, {"length": 3.0}), review(1, {"length": 6.0})]}, [at_k, mean])
    _, result = result_of(wanted, lines_of(wanted), {})
    assert (result.scores["length"].value, result.scores["length"].low) == (4.5, None)
    assert result.scores["acc (pass_at_k), k 2"].value == 75.0
    assert list(result.scores) == ["length", "acc (pass_at_k), k 2"]


def test_no_report_is_an_error(wanted: Wanted) -> None:
    with pytest.raises(EngineError, match="no report of general_qa"):
        result_of(wanted, [], {})
