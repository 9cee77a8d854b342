from __future__ import annotations

import os
from pathlib import Path

import pytest

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media import identity, load_image, load_video
from swift.media.local import path_of_url
from swift.types import Media
from tests.media.support import encoded, picture

PNG = encoded(picture())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`root` holds pictures, and `secret.png` stands beside it."""
    (tmp_path / "root/below").mkdir(parents=True)
    (tmp_path / "root/a.png").write_bytes(PNG)
    (tmp_path / "root/below/b c%20ü.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    return tmp_path


def loads(source: str, folder: str = "", root: str | Path | None = None) -> bool:
    config = MediaConfig(root=None if root is None else str(root))
    return load_image(Media("image", source, folder), config).size == (40, 30)


def reason(source: str, folder: str = "", root: str | Path | None = None) -> str:
    with pytest.raises(RowError) as caught:
        loads(source, folder, root)
    assert "\n" not in caught.value.detail
    return caught.value.reason


def test_relative_paths_begin_at_the_root_then_the_rows_folder_then_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loads("a.png", root=folder / "root")
    assert loads("a.png", str(folder / "root"))
    assert loads("root/a.png", str(folder / "root"), folder)
    monkeypatch.chdir(folder / "root")
    assert loads("a.png")
    assert loads("below/../a.png")
    assert loads("./below//b c%20ü.png")


def test_an_absolute_path_must_lie_inside(folder: Path) -> None:
    assert loads(str(folder / "root/a.png"), root=folder / "root")
    assert reason(str(folder / "secret.png"), root=folder / "root") == "media_outside_root"
    assert loads(str(folder / "secret.png"), root="/")


def test_a_folder_whose_name_only_begins_like_the_root_is_outside(folder: Path) -> None:
    (folder / "roots").mkdir()
    (folder / "roots/a.png").write_bytes(PNG)
    assert reason("../roots/a.png", root=folder / "root") == "media_outside_root"


@pytest.mark.parametrize("source", ["../secret.png", "below/../../secret.png", "../root/../secret.png"])
def test_the_root_is_not_left_by_dots(folder: Path, source: str) -> None:
    assert reason(source, root=folder / "root") == "media_outside_root"


def test_missing_files_outside_are_not_told_from_others(folder: Path) -> None:
    assert reason("../nothing.png", root=folder / "root") == "media_outside_root"


def test_links(folder: Path) -> None:
    (folder / "root/inside.png").symlink_to("below/b c%20ü.png")
    (folder / "root/outside.png").symlink_to(folder / "secret.png")
    (folder / "root/up").symlink_to(folder)
    (folder / "root/circle.png").symlink_to("circle.png")
    (folder / "root/dangling.png").symlink_to("nothing.png")
    root = folder / "root"
    assert loads("inside.png", root=root)
    assert reason("outside.png", root=root) == "media_outside_root"
    assert reason("up/secret.png", root=root) == "media_outside_root"
    assert loads("up/../a.png", root=root)  # dots are taken away before links are followed
    assert reason("circle.png", root=root) == "media_unreadable"
    assert reason("dangling.png", root=root) == "media_missing"
    assert loads("root/outside.png", root=folder)


def test_the_root_itself_may_be_a_link(folder: Path) -> None:
    (folder / "link").symlink_to("root")
    assert loads("a.png", root=folder / "link")
    assert loads(str(folder / "link/a.png"), root=folder / "link")
    assert loads(str(folder / "root/a.png"), root=folder / "link")
    assert reason("../secret.png", root=folder / "link") == "media_outside_root"


def test_a_snapshot_of_the_hub_holds_links_to_its_blobs(tmp_path: Path) -> None:
    repository = tmp_path / "hub/datasets--cats"
    snapshot = repository / "snapshots/0123abcd"
    other = tmp_path / "hub/datasets--dogs/blobs"
    for made in (repository / "blobs", snapshot / "images", other):
        made.mkdir(parents=True)
    (repository / "blobs/f00d").write_bytes(PNG)
    (repository / "notes.png").write_bytes(PNG)
    (other / "f00d").write_bytes(PNG)
    (snapshot / "images/cat.png").symlink_to("../../../blobs/f00d")
    (snapshot / "notes.png").symlink_to("../../notes.png")
    (snapshot / "dog.png").symlink_to(other / "f00d")
    assert loads("images/cat.png", str(snapshot))
    assert loads("cat.png", root=snapshot / "images")
    assert reason("notes.png", str(snapshot)) == "media_outside_root"
    assert reason("dog.png", str(snapshot)) == "media_outside_root"
    assert reason("../../blobs/f00d", str(snapshot)) == "media_outside_root"
    video = load_video(Media("video", "images", str(snapshot)), MediaConfig())
    assert video.frames.shape == (1, 30, 40, 3)


def test_file_addresses(folder: Path) -> None:
    root = folder / "root"
    assert loads((root / "below/b c%20ü.png").as_uri(), root=root)
    assert loads(f"file://localhost{root}/a.png", root=root)
    assert loads(f"FILE://{root}/a.png", root=root)
    assert reason((folder / "secret.png").as_uri(), root=root) == "media_outside_root"
    assert reason(f"file://{root}/%2e%2e/secret.png", root=root) == "media_outside_root"
    assert reason("file://elsewhere/a.png", root=root) == "media_bad_source"


def test_marks_of_an_address_may_be_part_of_a_files_name() -> None:
    assert path_of_url("file:///a/b?c#d") == "/a/b?c#d"


def test_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder / "root"))
    assert loads("~/a.png", root=folder)
    assert loads("a.png", root="~")
    assert reason("~/a.png", root=folder / "root/below") == "media_outside_root"


@pytest.mark.parametrize("name", ["12:30.png", "a: b.png", "ftp.png", "data.png", "http:a.png"])
def test_colons_in_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PNG)
    assert loads(name, str(tmp_path))


def test_identity_changes_with_the_file(folder: Path) -> None:
    media, config = Media("image", "a.png", str(folder / "root")), MediaConfig()
    before = identity(media, config)
    assert identity(media, config) == before
    os.utime(folder / "root/a.png", ns=(1, 1))
    assert identity(media, config) != before


def test_identity_of_a_folder_changes_with_its_frames(folder: Path) -> None:
    media, config = Media("video", "root", str(folder)), MediaConfig()
    before = identity(media, config)
    os.utime(folder / "root/a.png", ns=(1, 1))
    assert identity(media, config) != before


def test_identity_of_other_sources() -> None:
    config = MediaConfig()
    assert identity(Media("image", b"a"), config) != identity(Media("image", b"b"), config)
    assert identity(Media("image", "https://example.org/a"), config) == "https://example.org/a"
    assert len(identity(Media("image", "data:," + "x" * 9999), config)) < 60
    frames = [identity(Media("video", (b"a", frame)), config) for frame in (b"b", b"c")]
    assert frames[0] != frames[1]
    with pytest.raises(RowError, match="media_missing"):
        identity(Media("image", "nothing"), config)
