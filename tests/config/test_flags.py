"""Words of a command line to names and values."""

from __future__ import annotations

import pytest

from swift.config.flags import split
from swift.config.problems import ProblemsError


def words(*argv: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(given.name, given.value) for given in split(argv)[1]]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--lora_rank", "8"], [("lora_rank", ("8",))]),
        (["--lora-rank=8"], [("lora_rank", ("8",))]),
        (["--tuner.rank", "8"], [("tuner.rank", ("8",))]),
        (["--packing"], [("packing", ())]),
        (["--packing", "--stream", "false"], [("packing", ()), ("stream", ("false",))]),
        (["--dataset", "a#5", "b", "--seed", "1"], [("dataset", ("a#5", "b")), ("seed", ("1",))]),
        (["--top_k", "-1"], [("top_k", ("-1",))]),
        (["--system", "- be brief"], [("system", ("- be brief",))]),
        (["--system", "-- be brief"], [("system", ("-- be brief",))]),
        (["--system=--be=brief"], [("system", ("--be=brief",))]),
        (["--system", ""], [("system", ("",))]),
        (["--system=a\nb"], [("system", ("a\nb",))]),
    ],
)
def test_split(argv: list[str], expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert words(*argv) == expected


def test_configuration_file_comes_first() -> None:
    file, given = split(["run.yaml", "--seed", "1"])
    assert file == "run.yaml"
    assert [item.name for item in given] == ["seed"]


@pytest.mark.parametrize("argv", [["rows.jsonl"], ["run.yaml", "more.yaml"], ["-x"]])
def test_words_without_a_flag_are_refused(argv: list[str]) -> None:
    with pytest.raises(ProblemsError, match="unexpected argument"):
        split(argv)
