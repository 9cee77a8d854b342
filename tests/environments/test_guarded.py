"""Programs that are run to their end: what they say is known, and they end with who asked, even one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swift.environments.guarded import run_guarded

_ASKS = """
import os, sys
from swift.environments.guarded import run_guarded
run_guarded([sys.executable, "-c", sys.argv[1]], dict(os.environ))
"""


def test_the_exit_code_and_all_that_it_says() -> None:
    code = "import sys; print('one', flush=True); print('two', file=sys.stderr); sys.exit(3)"
    assert run_guarded([sys.executable, "-c", code], dict(os.environ)) == (3, "one\ntwo\n")


def test_it_ends_with_who_asked_even_where_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    waits = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", _ASKS, waits]) as asker:
        for _ in range(200):
            if file.is_file() and file.read_text():
                break
            time.sleep(0.1)
        os.kill(asker.pid, signal.SIGKILL)
    for _ in range(100):
        try:
            os.kill(int(file.read_text()), 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the program still runs")
