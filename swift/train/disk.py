"""Room on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from swift.errors import ResourceError

GIB = 1024**3


def require_space(run_dir: Path, bytes_needed: int) -> None:
    """Make sure that the disk of `run_dir` (which need not exist yet) has room.

    Raises:
        ResourceError: It has not; both numbers are named.
    """
    existing = next(path for path in (run_dir.absolute(), *run_dir.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < bytes_needed:
        raise ResourceError(
            f"{run_dir} has {free / GIB:.2f} GiB of free disk space, and {bytes_needed / GIB:.2f} GiB are needed",
            hint="free some space, choose another --output_dir, or keep less with --save_total_limit",
        )
