"""Words in common, and what a result file is worth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.config.runs import InferConfig
from swift.errors import ConfigError, DataError
from swift.inference.metrics import report_metrics
from swift.inference.overlap import bleu, is_same, rouge_l, rouge_n, words
from swift.inference.run import infer


@pytest.mark.parametrize(
    ("predicted", "reference", "score"),
    [
        ("the cat sat", "The cat sat.", 1.0),
        ("the cat", "the cat sat down", 2 * 2 / 6),
        ("sat cat the", "the cat sat", 2 / 6),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("", "", 1.0),
        ("今天晴", "今天下雨", 2 * 2 / 7),
    ],
)
def test_rouge_l(predicted: str, reference: str, score: float) -> None:
    assert rouge_l(predicted, reference) == pytest.approx(score)


def common(left: list[str], right: list[str]) -> int:
    """The longest common subsequence, straight from its definition."""
    if not left or not right:
        return 0
    if left[0] == right[0]:
        return 1 + common(left[1:], right[1:])
    return max(common(left[1:], right), common(left, right[1:]))


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=6), st.lists(st.sampled_from("abc"), min_size=1, max_size=6)
)
def test_rouge_l_is_of_the_longest_common_subsequence(left: list[str], right: list[str]) -> None:
    expected = 2 * common(left, right) / (len(left) + len(right))
    assert rouge_l(" ".join(left), " ".join(right)) == pytest.approx(expected)


def test_words() -> None:
    assert words("It's 21 °C, Zürich_x!") == ["it", "s", "21", "c", "zürich", "x"]


@pytest.mark.parametrize(
    ("predicted", "reference", "size", "score"),
    [
        ("the cat sat", "The cat sat.", 1, 1.0),
        ("the the the", "the cat", 1, 2 * 1 / 5),  # a word counts as often as both have it
        ("sat cat the", "the cat sat", 1, 1.0),
        ("sat cat the", "the cat sat", 2, 0.0),
        ("the cat sat", "the cat ran", 2, 0.5),
        ("cat", "cat", 2, 1.0),
        ("cat", "dog", 2, 0.0),
        ("", "", 1, 1.0),
    ],
)
def test_rouge_n(predicted: str, reference: str, size: int, score: float) -> None:
    assert rouge_n(predicted, reference, size) == pytest.approx(score)


def test_bleu_knows_words_of_both_scripts() -> None:
    pytest.importorskip("sacrebleu")
    assert bleu(["the cat sat on the mat today"], ["the cat sat on the mat today"]) == pytest.approx(100)
    assert 30 < bleu(["the cat sat on the mat now"], ["the cat sat on the mat today"]) < 95
    assert bleu(["今天天气很好"], ["今天天气很好"]) == pytest.approx(100)
    assert 20 < bleu(["今天天气很坏"], ["今天天气很好"]) < 95


def test_white_space_is_no_difference() -> None:
    assert is_same(" a  b\n", "a b")
    assert not is_same("a b", "A b")


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.with_name(path.name + ".metrics.json").read_text())
    return found


def test_rows_that_failed_count_and_rows_without_label_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"response": "a b", "label": "a b"}, {"error": "too long", "label": "c d"}, {"response": "e"}]
    path = write(tmp_path / "r.jsonl", [*rows, {"response": "a b", "label": "a c"}])
    report_metrics(path, ("accuracy", "rouge"))
    found = read(path)
    assert found["rows"] == 3
    assert found["accuracy"] == pytest.approx(100 / 3)
    assert found["rouge_1"] == found["rouge_l"] == pytest.approx(50)
    assert "1 rows without a label left out" in capsys.readouterr().err


def test_each_of_several_models(tmp_path: Path) -> None:
    answers = {"tuned": {"response": "a"}, "base": {"response": "b"}}
    path = write(tmp_path / "r.jsonl", [{"responses": answers, "label": "a"}])
    report_metrics(path, ("accuracy",))
    assert read(path) == {"tuned": {"rows": 1, "accuracy": 100}, "base": {"rows": 1, "accuracy": 0}}


def test_without_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no row of .* has a label"):
        report_metrics(write(tmp_path / "r.jsonl", [{"response": "a"}]), ("accuracy",))


def test_numbers_are_no_wrong_answers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gives numbers"):
        report_metrics(write(tmp_path / "r.jsonl", [{"embedding": [0.1], "label": "a"}]), ("accuracy",))


def test_from_the_command(model: Path, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    data = write(tmp_path / "data.jsonl", [{"messages": turns}] * 3)
    values = {"model": {"id": str(model), "dtype": "float32", "device": "cpu"}, "metric": ["accuracy", "rouge", "bleu"]}
    result = tmp_path / "r.jsonl"
    more = {"data": {"validation": [str(data)]}, "result_path": str(result), "generation": {"max_new_tokens": 5}}
    assert infer(InferConfig.model_validate({**values, **more})) == 0
    assert set(read(result)) == {"rows", "accuracy", "rouge_1", "rouge_2", "rouge_l", "bleu"}
    with pytest.raises(ConfigError, match="--metric is for the answers of a data set"):
        infer(InferConfig.model_validate({**values, "prompt": "one"}))
