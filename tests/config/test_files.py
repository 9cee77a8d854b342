"""Configuration files: the same schema as flags, with line numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from swift.config.parse import parse
from swift.config.problems import ProblemsError
from swift.config.sft import SftConfig
from swift.config.tuner import FullConfig, LoraConfig


def read(tmp_path: Path, text: str, *argv: str, name: str = "run.yaml") -> SftConfig:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return parse(SftConfig, [str(file), *argv]).config


def problem(tmp_path: Path, text: str, *argv: str) -> str:
    with pytest.raises(ProblemsError) as caught:
        read(tmp_path, text, *argv)
    assert len(caught.value.problems) == 1, caught.value.problems
    return str(caught.value.problems[0]).replace(str(tmp_path) + "/", "")


def test_nested_flat_and_dotted(tmp_path: Path) -> None:
    nested = read(tmp_path, "model: {id: m}\ndata: {train: [d, e]}\ntuner:\n  type: lora\n  rank: 4\n")
    assert read(tmp_path, "model: m\ndataset: [d, e]\ntuner_type: lora\nlora_rank: 4\n") == nested
    assert read(tmp_path, "model.id: m\ndata.train: [d, e]\ntuner.rank: 4\n") == nested
    assert (
        read(tmp_path, '{"model": "m", "data": {"train": ["d", "e"]}, "tuner": {"rank": 4}}', name="r.json") == nested
    )


def test_flags_win(tmp_path: Path) -> None:
    text = "model: m\ndataset: d\ntuner: {rank: 4}\nlearning-rate: 1e-4\n"
    config = read(tmp_path, text, "--lora_rank", "2", "--dataset", "e", "f")
    assert config.tuner == LoraConfig(rank=2)
    assert config.data.train == ("e", "f")
    assert config.optimizer.learning_rate == 1e-4


def test_short_forms(tmp_path: Path) -> None:
    assert read(tmp_path, "model: m\ndataset: d\ntuner: full\n").tuner == FullConfig()
    assert read(tmp_path, "model: m\ndataset: d\nbatch:\nchat: {}\n").batch.size == 1


def test_anchors_and_merge_keys(tmp_path: Path) -> None:
    text = "model: m\ndataset: d\ntuner: &a {rank: 4}\n"
    assert read(tmp_path, text).tuner == LoraConfig(rank=4)
    merged = "model: m\ndataset: d\nbatch:\n  <<: &b {size: 2, packing: true}\n  size: 3\n"
    assert read(tmp_path, merged).batch.size == 3
    assert read(tmp_path, merged).batch.packing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: m\ndataset: d\ntuner:\n  rnk: 4\n", "run.yaml line 4, tuner.rnk: unknown option 'tuner.rnk'"),
        ("model: m\ndataset: d\ntuner:\n  rank: x\n", "run.yaml line 4, tuner.rank: 'x' is not a whole number"),
        ("model: m\ndataset: d\nseed: 1\nseed: 2\n", "run.yaml line 4: key 'seed' stands here twice"),
        ("model: m\ndataset: [d\n", "run.yaml line 3: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("model: m\ndataset: d\nsystem: 5\n", "run.yaml line 3, system: 5 is not text"),
        ("model: m\ndataset: d\npacking: [1]\n", "run.yaml line 3, packing: [1] is neither true nor false"),
        ("model: m\ndataset: d\ncolumns: x\n", "run.yaml line 3, columns: 'x' is not a mapping"),
        ("model: m\ndataset: d\ndata: 4\n", "run.yaml line 3, data: data is a group of options, not a value"),
        ("- a\n", "run.yaml: must hold keys and values, such as `model: some/id`"),
        ("model: !!python/object:os.system m\ndataset: d\n", "run.yaml line 1, model: not YAML: could not determine"),
        (
            "model: m\ndataset: d\npacking: true\npadding_free: false\n",
            "run.yaml line 3, packing: packs have no padding",
        ),
        ("model: m\ndataset: d\ntuner: &a\n  rank: *a\n", "run.yaml line 4, tuner.rank: {"),
    ],
)
def test_problems_name_the_line(tmp_path: Path, text: str, expected: str) -> None:
    assert problem(tmp_path, text).startswith(expected)


def test_other_tuners_option_in_file(tmp_path: Path) -> None:
    found = problem(tmp_path, "model: m\ndataset: d\ntuner: {rank: 4}\n", "--tuner_type", "full")
    several = "tuner lora or vera or oft or loha or lokr or miss or longlora or reft"
    assert found == f"run.yaml line 3, tuner.rank: an option of {several}, but the tuner is full"


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match="No such file"):
        parse(SftConfig, [str(tmp_path / "none.yaml")])
    (tmp_path / "latin.yaml").write_bytes(b"model: \xff\xfe\xfa\n")
    with pytest.raises(ProblemsError, match="not UTF-8"):
        parse(SftConfig, [str(tmp_path / "latin.yaml")])
