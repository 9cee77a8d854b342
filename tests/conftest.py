"""Shared by all tests. Nothing here stands in for the thing under test."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Before anything imports torch: tests are tiny and run side by side, so that more threads only wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import hypothesis
import pytest

hypothesis.settings.register_profile("swift", deadline=None, derandomize=True, database=None, max_examples=60)
hypothesis.settings.load_profile("swift")

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str


Swift = Callable[..., Finished]


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Every test draws the same weights and rows each time, alone or behind others.

    Libraries that no test has imported yet stay so: some tests see to it that a command imports little.
    """
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def root() -> Path:
    """The repository's root folder."""
    return ROOT


@pytest.fixture
def swift(tmp_path: Path) -> Swift:
    """Runs `swift` as a process of its own, in an empty folder."""

    def run(*words: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Finished:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        command = [sys.executable, "-m", "swift", *words]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def real_data() -> Path:
    """A folder with real data sets, named by SWIFT_TEST_DATA; the test is skipped without."""
    return _folder("SWIFT_TEST_DATA")


@pytest.fixture
def real_model() -> Path:
    """A folder with a real small chat model, named by SWIFT_TEST_MODEL; the test is skipped without."""
    return _folder("SWIFT_TEST_MODEL")


def _folder(variable: str) -> Path:
    path = Path(os.environ.get(variable, ""))
    if not os.environ.get(variable) or not path.is_dir():
        pytest.skip(f"{variable} names no folder")
    return path
