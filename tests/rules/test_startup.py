"""Help comes at once: measured against importing pydantic, which every configuration needs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest

from tests.rules.sources import ROOT


def seconds(*argv: str) -> float:
    """Wall time of one fresh interpreter."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *argv], cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - start


def test_annotations_of_configuration_are_compiled_already() -> None:
    """As strings, pydantic would compile each of them at every start: a tenth of the time of `swift sft --help`."""
    files = [file for file in (ROOT / "swift" / "config").glob("*.py") if "import Config, option" in file.read_text()]
    assert len(files) > 20
    assert not [file.name for file in files if "from __future__ import annotations" in file.read_text()]


@pytest.mark.slow
@pytest.mark.parametrize(("argv", "bound"), [(("--help",), 2.0), (("sft", "--help"), 3.0)])
def test_help_is_fast(argv: tuple[str, ...], bound: float) -> None:
    ratios = [seconds("-m", "swift", *argv) / seconds("-c", "import pydantic") for _ in range(21)]
    assert statistics.median(ratios) < bound
