"""Files out of wheels, from an index that is a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from swift.errors import HubError
from swift.hub.packages import files_from_pypi
from tests.hub.test_pypi import index, make_wheel

__all__ = ["index"]


def test_files_once_then_from_the_cache(index: Path) -> None:
    files = {"a/data/x.json": b"1", "a/data/deep/y.json": b"2", "a/code.py": b"1/0"}
    wheel = make_wheel(index, "a", "1.0", files)
    folder = files_from_pypi("a==1.0", ("a/data/*.json",), progress=False)
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == ["a/data/deep/y.json", "a/data/x.json"]
    wheel.unlink()
    assert files_from_pypi("a==1.0", ("a/data/*.json",), progress=False) == folder


def test_what_is_refused(index: Path) -> None:
    make_wheel(index, "b", "1.0", {"b/x.txt": b""})
    with pytest.raises(HubError, match=r"b==1\.0 holds no file like b/\*\.json"):
        files_from_pypi("b==1.0", ("b/*.json",), progress=False)
    make_wheel(index, "c", "1.0", {"../x.json": b""})
    with pytest.raises(HubError, match="unsafe name"):
        files_from_pypi("c==1.0", ("*.json",), progress=False)
    with pytest.raises(HubError, match="nothing-here"):
        files_from_pypi("nothing-here==1.0", ("*",), progress=False)
