from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from swift.errors import ModelError
from swift.hub.files import INDEX
from swift.models.weights import check_safetensors, require_weights


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(100), "b": torch.ones(3, 3)}, path, metadata={"format": "pt"})
    return path


def test_whole(file: Path) -> None:
    check_safetensors(file)
    assert require_weights(file.parent) == [file]


@pytest.mark.parametrize(
    ("keep", "says"),
    [(0, "not a safetensors file"), (5, "not a safetensors file"), (20, "cut short"), (-1, "cut short: ")],
)
def test_cut_short(file: Path, keep: int, says: str) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ModelError, match=says) as caught:
        require_weights(file.parent)
    assert str(file) in caught.value.message
    assert caught.value.hint


def test_bytes_too_many(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ModelError, match="bytes too many"):
        check_safetensors(file)


@pytest.mark.parametrize("header", [b"{}}", b"[]", b'{"a": 1}', b"\xff\xff", b'{"a": {"data_offsets": [0]}}'])
def test_damaged_header(file: Path, header: bytes) -> None:
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelError, match="header is damaged"):
        check_safetensors(file)


def test_git_lfs_pointer(file: Path) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ModelError) as caught:
        check_safetensors(file)
    assert "git lfs pull" in caught.value.hint


def test_missing_shards(file: Path) -> None:
    shards = [f"model-0000{n}-of-00005.safetensors" for n in range(1, 6)]
    file.rename(file.parent / shards[0])
    (file.parent / INDEX).write_text(json.dumps({"weight_map": dict(zip("abcde", shards, strict=True))}))
    with pytest.raises(ModelError, match=r"lacks model-00002.*and 1 more, which model\.safetensors\.index\.json"):
        require_weights(file.parent)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"weight_map": 1}'])
def test_damaged_index(file: Path, text: str) -> None:
    file.rename(file.parent / "model-00001-of-00001.safetensors")
    (file.parent / INDEX).write_text(text)
    with pytest.raises(ModelError, match="is not an index"):
        require_weights(file.parent)


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no weights"):
        require_weights(tmp_path)
