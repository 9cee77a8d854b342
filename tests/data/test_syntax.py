"""The syntax of --dataset."""

from __future__ import annotations

from pathlib import Path

import pytest

from swift.data.syntax import DatasetRef, parse
from swift.errors import DataError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpaca.jsonl", ("local", "alpaca.jsonl", (), None, None, None)),
        ("alpaca.jsonl#500", ("local", "alpaca.jsonl", (), None, 500, None)),
        ("data/*.jsonl#7", ("local", "data/*.jsonl", (), None, 7, None)),
        ("data/[ab].csv", ("local", "data/[ab].csv", (), None, None, None)),
        ("./rows", ("local", "./rows", (), None, None, None)),
        ("~/rows.parquet", ("local", "~/rows.parquet", (), None, None, None)),
        (r"C:\data\a.jsonl#3", ("local", r"C:\data\a.jsonl", (), None, 3, None)),
        (r"C:/data/folder:en/train", ("local", "C:/data/folder", ("en",), "train", None, None)),
        ("/a/b/c:en", ("local", "/a/b/c", ("en",), None, None, None)),
        ("rows.jsonl.gz#2", ("local", "rows.jsonl.gz", (), None, 2, None)),
        ("org/name", ("auto", "org/name", (), None, None, None)),
        ("org/name#20", ("auto", "org/name", (), None, 20, None)),
        ("hf::org/name:en/train#2000", ("hf", "org/name", ("en",), "train", 2000, None)),
        ("HF::org/name", ("hf", "org/name", (), None, None, None)),
        ("ms::org/name:en", ("ms", "org/name", ("en",), None, None, None)),
        ("ms::org/name:/test", ("ms", "org/name", (), "test", None, None)),
        ("hf::org/name:en/zh/train", ("hf", "org/name", ("en", "zh"), "train", None, None)),
        ("org/name@v1.0:en", ("auto", "org/name", ("en",), None, None, "v1.0")),
        ("org/name@refs/convert/parquet", ("auto", "org/name", (), None, None, "refs/convert/parquet")),
        ("self-cognition#100", ("builtin", "self-cognition", (), None, 100, None)),
        ("  self-cognition ", ("builtin", "self-cognition", (), None, None, None)),
        ("AI-ModelScope/alpaca-gpt4-data-zh#500", ("auto", "AI-ModelScope/alpaca-gpt4-data-zh", (), None, 500, None)),
    ],
)
def test_forms(text: str, expected: tuple[object, ...]) -> None:
    assert parse(text) == DatasetRef(text.strip(), *expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a:b/c.jsonl", "rows#5", "x#2.jsonl", "hf::odd", "a:en/train#7"])
def test_existing_file_wins(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    assert parse(name) == DatasetRef(name, "local", name)


def test_existing_file_with_marks_and_a_count(tmp_path: Path) -> None:
    path = tmp_path / "a:b#1"
    path.write_text("{}")
    assert parse(f"{path}#9") == DatasetRef(f"{path}#9", "local", str(path), count=9)


def test_longest_existing_folder_is_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    ref = parse(f"{folder}:en/train")
    assert (ref.name, ref.subset, ref.split) == (str(folder), ("en",), "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty data set name"),
        ("   ", "empty data set name"),
        ("a.jsonl#0", "'a.jsonl#0' asks for 0 rows"),
        ("a.jsonl#many", "'many' in 'a.jsonl#many' is not a number of rows"),
        ("org/name#-3", "'-3' in 'org/name#-3' is not a number of rows"),
        ("hf::org/name:", "'hf::org/name:' is not a data set"),
        ("hf::org/name:en/", "'hf::org/name:en/' is not a data set"),
        ("hf::a/b/c", "'a/b/c' is neither a file nor a hub id (org/name)"),
        ("two words", "'two words' is neither a file nor a hub id (org/name)"),
        ("https://example.org/a.jsonl", "https://example.org/a.jsonl is a web address"),
    ],
)
def test_bad_forms(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(text)
    assert caught.value.message.startswith(message)
    assert caught.value.hint
