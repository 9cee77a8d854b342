"""Runs a program, and ends it, with all that it has started, when whoever asked for it is gone.

Run as a file, in a session of its own, by any Python: `guard.py SECONDS PROGRAM ARGUMENT...`. Standard input is a pipe
that the asking process holds open and never writes to: it ends when that process closes it, or dies, however it dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType


def main(words: list[str]) -> int:
    """Run `words[1:]`; it has `words[0]` seconds to end when it must. Returns its exit code."""
    patience = float(words[0])
    child = subprocess.Popen(words[1:], stdin=subprocess.DEVNULL)
    ending = threading.Event()

    def end(number: int = 0, frame: FrameType | None = None) -> None:
        if not ending.is_set():
            ending.set()
            threading.Thread(target=kill, daemon=True).start()

    def kill() -> None:
        signal_group(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
        signal_group(signal.SIGKILL)  # what is left, and this process, too

    def watch() -> None:
        while os.read(0, 1024):
            pass
        end()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    if ending.is_set():
        time.sleep(patience)  # until all is killed
    return 128 - code if code < 0 else code


def signal_group(number: int) -> None:
    """Send a signal to everything in this process's group; SIGTERM reaches this process as well, which ignores it."""
    os.killpg(os.getpgrp(), number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
