"""Run one command and measure it from outside, in the same way for every system. Linux only (reads /proc)."""

from __future__ import annotations

import os
import resource
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
class Watch:
    """Looks at a running process tree from outside; its clock starts when it is made.

    Attributes:
        marks: When each step ended.
        peak_tree: Largest sum of resident bytes over all processes of the tree.
        peak_process: Largest high-water mark of one of them. (`ru_maxrss` would not do: it starts at the memory of
            the process that started the tree.)
        now: Seconds until the last look.
    """

    tail: Tail
    is_step: Callable[[str], bool]
    started: float = field(default_factory=time.perf_counter)
    marks: list[float] = field(default_factory=list)
    peak_tree: int = 0
    peak_process: int = 0
    now: float = 0.0

    def until_end(self, process: subprocess.Popen[bytes], timeout: float) -> resource.struct_rusage | None:
        """Watch `process`, the leader of a session of its own, until it ends or for `timeout` seconds.

        Returns:
            What the tree used, as the kernel counted it; None where it has not ended.
        """
        members: list[int] = []
        next_scan = next_sample = 0.0
        while True:
            self._look()
            if self.now >= next_scan:
                members, next_scan = _members(process.pid), self.now + SCAN
            if self.now >= next_sample:
                self._weigh(members)
                next_sample = self.now + SAMPLE
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                self._look()
                return usage
            if self.now > timeout:
                return None
            time.sleep(POLL)

    def _weigh(self, members: Sequence[int]) -> None:
        memory = [_memory(pid) for pid in members]
        self.peak_process = max([self.peak_process, *(most for _, most in memory)])
        self.peak_tree = max(self.peak_tree, self.peak_process, sum(now for now, _ in memory))

    def _look(self) -> None:
        self.now = time.perf_counter() - self.started
        self.marks += [self.now for line in self.tail.lines() if self.is_step(line)]


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
    busy = _busy()
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        watch = Watch(Tail(progress), is_step)
        process = subprocess.Popen(
            argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        try:
            usage = watch.until_end(process, timeout)
        finally:
            if process.returncode is None:  # We were interrupted, or the time is over.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if usage is None:
        raise CommandError(f"{argv[0]}: not done after {timeout:.0f} s{_last_lines(folder)}")
    if process.returncode:
        raise CommandError(f"{argv[0]}: exit code {process.returncode}{_last_lines(folder)}")
    cpu = usage.ru_utime + usage.ru_stime
    return Measurement(
        wall=watch.now,
        step_ends=tuple(watch.marks),
        peak_tree_mib=watch.peak_tree / MIB,
        peak_process_mib=watch.peak_process / MIB,
        cpu=cpu,
        other_cpu=max(0.0, (_busy() - busy - cpu) / ((os.cpu_count() or 1) * watch.now)),
    )


def _members(session: int) -> list[int]:
    """Processes of a session: a tree whose root was started as the leader of one."""
    found = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [pid for pid in found if _session(pid) == session]


def _session(pid: int) -> int | None:
    """Session of a process; None where it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(text.rpartition(")")[2].split()[3])


def _memory(pid: int) -> tuple[int, int]:
    """Resident bytes of a process now and at most; zeros where it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    fields = dict(line.split(":", 1) for line in text.splitlines() if line.startswith(("VmRSS", "VmHWM")))
    now, most = (int(fields.get(name, "0 kB").split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


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
