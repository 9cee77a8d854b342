"""Commands in the README and the how-to pages run.

A block of shell commands is run when the line before it says so:

    <!-- run -->         in `make test`
    <!-- run: slow -->   in `make test-all`
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rules.sources import ROOT

_BLOCK = re.compile(r"<!-- run(: slow)? -->\s*\n```(?:sh|bash)\n(.*?)```", re.DOTALL)


def blocks() -> Iterator[object]:
    """Every block that is to be run, with its place as the test's name."""
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        text = page.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            marks = [pytest.mark.slow] if found.group(1) else []
            yield pytest.param(found.group(2), id=f"{page.relative_to(ROOT)}:{line}", marks=marks)


@pytest.mark.parametrize("commands", list(blocks()))
def test_commands_run(commands: str, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "swift"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m swift "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-eu", "-c", commands], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_blocks_are_found() -> None:
    text = "x\n<!-- run -->\n```sh\nswift --help\n```\n<!-- run: slow -->\n\n```sh\na\nb\n```\n```sh\nno\n```\n"
    assert [(slow, body) for slow, body in _BLOCK.findall(text)] == [("", "swift --help\n"), (": slow", "a\nb\n")]
