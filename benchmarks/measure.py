"""Run one command and measure it from outside, in the same way for every system. Linux only (reads /proc)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

POLL = 0.02
"""Seconds between looks at the progress file; the resolution of step times."""
SAMPLE = 0.1
"""Seconds between samples of memory."""
SCAN = 1.0
"""Seconds between searches for new processes of the tree."""
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20


class CommandError(RuntimeError):
    """The command failed or ran past its time; the message ends with the last lines that it wrote."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was seen of one process tree. Times are seconds since just before the process was started.

    Attributes:
        wall: When it had ended.
        step_ends: When each step's line appeared in the progress file.
        peak_tree_mib: Largest sum of resident memory over the tree, sampled; pages shared by several
            processes count once for each.
        peak_process_mib: The kernel's own high-water mark of the largest single process.
        cpu: Processor seconds of the whole tree.
        other_cpu: Share of the machine's processor time that other processes used meanwhile, from 0 to 1:
            how noisy the measurement is.
    """

    wall: float
    step_ends: tuple[float, ...]
    peak_tree_mib: float
    peak_process_mib: float
    cpu: float
    other_cpu: float


@dataclass(slots=True)
class Tail:
    """The complete lines that are appended to a file, which may not exist yet."""

    path: Path
    offset: int = 0
    rest: bytes = b""

    def lines(self) -> list[str]:
        """Lines since the last call."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return []
        if size <= self.offset:
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = self.rest + file.read()
            self.offset = file.tell()
        *whole, self.rest = data.split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]


@dataclass(slots=True)
class Tree:
    """Memory of all processes of one session (the child is started as the leader of a new one)."""

    session: int
    members: list[int] = field(default_factory=list)
    peak: int = 0

    def scan(self) -> None:
        """Find the members anew."""
        found = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
        self.members = [pid for pid in found if _session(pid) == self.session]

    def sample(self) -> None:
        """Add up resident memory."""
        self.peak = max(self.peak, sum(_resident(pid) for pid in self.members))


def measure(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    folder: Path,
    progress: Path,
    is_step: Callable[[str], bool],
    timeout: float,
) -> Measurement:
    """Run `argv` in `folder` to its end; its output goes to `folder`/stdout and `folder`/stderr.

    Args:
        progress: A file that gets one line for which `is_step` holds at the end of every optimizer step.
        timeout: Seconds after which the process tree is killed.

    Raises:
        CommandError: It failed or took longer than `timeout`.
    """
    busy, marks, tail = _busy(), [], Tail(progress)
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        tree = Tree(process.pid)
        next_sample = next_scan = 0.0
        while True:
            now = time.perf_counter() - start
            marks += [now for line in tail.lines() if is_step(line)]
            if now >= next_scan:
                tree.scan()
                next_scan = now + SCAN
            if now >= next_sample:
                tree.sample()
                next_sample = now + SAMPLE
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid or now > timeout:
                break
            time.sleep(POLL)
        wall = time.perf_counter() - start
    if not pid:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise CommandError(f"{argv[0]}: not done after {timeout:.0f} s{_last_lines(folder)}")
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CommandError(f"{argv[0]}: exit code {process.returncode}{_last_lines(folder)}")
    marks += [wall for line in tail.lines() if is_step(line)]
    cpu = usage.ru_utime + usage.ru_stime
    largest = usage.ru_maxrss * 1024 / MIB
    cores = os.cpu_count() or 1
    return Measurement(
        wall=wall,
        step_ends=tuple(marks),
        peak_tree_mib=max(tree.peak / MIB, largest),
        peak_process_mib=largest,
        cpu=cpu,
        other_cpu=max(0.0, (_busy() - busy - cpu) / (cores * wall)),
    )


def _session(pid: int) -> int | None:
    """Session of a process; None where it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(text.rpartition(")")[2].split()[3])


def _resident(pid: int) -> int:
    """Resident bytes of a process; 0 where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _busy() -> float:
    """Processor seconds that the whole machine has spent working since it was started."""
    fields = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _wait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / TICKS


def _last_lines(folder: Path, number: int = 15) -> str:
    """The end of what the command wrote, for an error message."""
    text = []
    for name in ("stdout", "stderr"):
        lines = (folder / name).read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
        text += [f"  {name}: {line}" for line in lines[-number:]]
    return "\n" + "\n".join(text)
