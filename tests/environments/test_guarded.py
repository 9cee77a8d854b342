"""Programs that are run to their end: what they say is known, and they end with who asked, even one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from swift.environments.guarded import run_guarded

_ASKS = """
import os, sys
from swift.environments.guarded import run_guarded
run_guarded([sys.executable, "-c", sys.argv[1]], dict(os.environ))
"""


def written(file: Path) -> int:
    """The number of a process, as soon as it has written it."""
    for _ in range(200):
        if file.is_file() and file.read_text():
            return int(file.read_text())
        time.sleep(0.1)
    raise AssertionError("the program does not begin")


def gone(pid: int) -> bool:
    """Whether a process ends."""
    for _ in range(150):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_the_exit_code_and_all_that_it_says() -> None:
    code = "import sys; print('one', flush=True); print('two', file=sys.stderr); sys.exit(3)"
    assert run_guarded([sys.executable, "-c", code], dict(os.environ)) == (3, "one\ntwo\n")


def test_it_ends_with_who_asked_even_where_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    waits = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", _ASKS, waits]) as asker:
        pid = written(file)
        os.kill(asker.pid, signal.SIGKILL)
    assert gone(pid)


def test_its_own_children_end_too_even_those_that_do_not_want_to(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    stubborn = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open({str(file)!r}, "w").write(str(os.getpid()))
time.sleep(600)
"""
    waits = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {stubborn!r}]); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", _ASKS, waits]) as asker:
        pid = written(file)
        os.kill(asker.pid, signal.SIGKILL)
    assert gone(pid)
