from __future__ import annotations

from pathlib import Path

import pytest

from swift.hub.cache import atomic_folder, cache_root, folder_size


def test_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SWIFT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_root() == tmp_path / ".cache" / "swift"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "swift"
    monkeypatch.setenv("SWIFT_CACHE", "~/mine")
    assert cache_root() == tmp_path / "mine"


def test_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    with atomic_folder(target) as temporary:
        (temporary / "file").write_text("content")
        assert not target.exists()
    assert (target / "file").read_text() == "content"
    assert list(target.parent.iterdir()) == [target]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_folder(tmp_path / "folder") as temporary:
            (temporary / "file").write_text("content")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_makers_wins(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with atomic_folder(target) as slow:
        (slow / "file").write_text("slow")
        with atomic_folder(target) as fast:
            (fast / "file").write_text("fast")
    assert (target / "file").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [target]


def test_size_counts_files_and_not_what_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "big").write_bytes(b"x" * 5000)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "big")
    assert 5000 <= folder_size(tmp_path) < 10000
    assert folder_size(tmp_path / "absent") == 0
