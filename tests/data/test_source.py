"""Which files an entry of --dataset stands for."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from swift.config.data import DataConfig
from swift.data.readers import open_file
from swift.data.source import RenamedSource, open_sources
from swift.data.syntax import parse
from swift.errors import DataError, UnknownNameError
from swift.types import Row

CONFIG = DataConfig()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.csv", "sub/c.json", "README.txt", ".hidden/d.jsonl", "dataset_infos.json", "x.png"):
        path = tmp_path / "rows" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\nx\n" if name.endswith("csv") else '{"text": "x"}\n')
    return tmp_path / "rows"


def names(text: str, base: Path) -> list[str]:
    return [source.name.removeprefix(f"{base}/") for source in open_sources(parse(text), CONFIG)]


def test_folder_takes_its_data_files(folder: Path) -> None:
    assert names(str(folder), folder) == ["a.csv", "b.jsonl", "sub/c.json"]
    assert names(f"{folder}/", folder) == ["a.csv", "b.jsonl", "sub/c.json"]
    assert names(f"{folder}:sub", folder) == ["sub/c.json"]


def test_folder_with_splits_gives_train(tmp_path: Path) -> None:
    for name in ("train-1.jsonl", "train-0.jsonl", "test.jsonl"):
        (tmp_path / name).write_text('{"text": "x"}\n')
    assert names(str(tmp_path), tmp_path) == ["train-0.jsonl", "train-1.jsonl"]
    assert names(f"{tmp_path}:test", tmp_path) == ["test.jsonl"]
    assert names(f"{tmp_path}:/test#3", tmp_path) == ["test.jsonl"]
    with pytest.raises(UnknownNameError, match=r"unknown split of .* 'tset'"):
        open_sources(parse(f"{tmp_path}:/tset"), CONFIG)


def test_pattern(folder: Path) -> None:
    assert names(f"{folder}/*.jsonl", folder) == ["b.jsonl"]
    assert names(f"{folder}/**/*.json*", folder) == ["b.jsonl", "sub/c.json"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("rows/b.jsnl.gz.jsonl", "no file rows/b.jsnl.gz.jsonl", ""),
        ("rows/bb.jsonl", "no file rows/bb.jsonl", "did you mean rows/b.jsonl?"),
        ("rwos/b.jsonl", "no file rwos/b.jsonl", "did you mean rows?"),
        ("rows/*.parquet", "no file matches rows/*.parquet", ""),
        ("rows/*.png", "rows/*.png holds no file that can be read", "read are "),
        ("empty", "empty holds no file that can be read", "read are "),
        ("saved", "saved was written by save_to_disk", "write it with to_parquet or to_json"),
        ("rows/b.jsonl:en", "rows/b.jsonl is a file and has no subset or split 'en'", "leave it out"),
        ("rows/x.png", "cannot tell the format of rows/x.png by its ending '.png'", "read are "),
        ("rows:nope", "unknown subset of rows 'nope'", "there are "),
    ],
)
def test_what_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str, hint: str) -> None:
    monkeypatch.chdir(folder.parent)
    Path("empty").mkdir()
    Path("saved").mkdir()
    Path("saved/data-00000-of-00001.arrow").touch()
    with pytest.raises((DataError, UnknownNameError)) as caught:
        open_sources(parse(text), CONFIG)
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)
    assert caught.value.hint


def test_self_cognition_needs_a_name() -> None:
    ref = parse("self-cognition#10")
    with pytest.raises(DataError, match=r"\{\{name\}\} and \{\{author\}\}") as caught:
        open_sources(ref, CONFIG)
    assert "--model_name" in caught.value.hint
    assert "--model_author" in caught.value.hint
    [source] = open_sources(ref, DataConfig(model_name=("N",), model_author=("A",)))
    assert source.count() > 100
    assert source.name == "self-cognition"


def test_hub_that_does_not_have_it() -> None:
    with pytest.raises(DataError, match="smoltalk is not known to be on ModelScope"):
        open_sources(parse("smoltalk"), DataConfig(hub="ms"))


def test_renamed_source(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"context": "c", "input": "old"}\nbroken\n')
    inner = open_file(path, "a")
    source = RenamedSource(inner, (("context", "input"),))
    good, bad = source.rows()
    assert isinstance(good, Row)
    assert good.values == {"input": "c"}
    assert not isinstance(bad, Row)
    assert source.fingerprint() != inner.fingerprint()
    assert source.count() == 2
    assert pickle.loads(pickle.dumps(source)) == source
