"""The inside of the box: a program of its own, run by a fresh interpreter, that gives up its rights and runs the code.

It knows only the standard library, and is given a JSON object on standard input: `code`, `memory` and `file` in bytes,
`seconds`, `token`, and `read`, folders that may be read. What it did to shut itself in goes to file descriptor 3,
then, where the code ran to its end, the token. Nothing of it is a sandbox against a kernel's own faults.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import resource
import struct
import sys

_LINUX = sys.platform == "linux"
_LIBC = ctypes.CDLL(None, use_errno=True)
_NO_NEW_PRIVS, _SECCOMP, _DEATH_SIGNAL, _DUMPABLE = 38, 22, 1, 4
_NEW_NET, _NEW_USER, _NEW_IPC = 0x40000000, 0x10000000, 0x08000000
_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
# Numbers of system calls that are refused: processes, signals, sockets, other processes' memory, the kernel itself; and
# what changes a file's owner, rights, times and attributes, which Landlock does not bar.
_REFUSED = {
    "x86_64": (0xC000003E, (
        41, 42, 43, 44, 45, 46, 47, 49, 50, 53, 56, 57, 58, 59, 62, 101, 109, 112, 129, 134, 154, 155, 160, 161, 165,
        166, 167, 168, 169, 170, 175, 176, 200, 203, 234, 246, 248, 249, 250, 272, 288, 297, 298, 299, 304, 308, 310,
        311, 312, 313, 320, 321, 322, 323, 302,
        424, 425, 426, 427, 428, 429, 430, 431, 432, 434, 438, 442,
        90, 91, 92, 93, 94, 132, 141, 188, 189, 190, 197, 198, 199, 235, 260, 261, 268, 280, 452, 463, 466, 469,
    )),
    "aarch64": (0xC00000B7, (
        117, 122, 129, 130, 131, 138, 154, 240, 157, 164, 198, 199, 200, 201, 202, 203, 204, 205, 206, 207, 211, 212,
        217, 218, 219, 220, 221, 224, 225, 39, 40, 41, 51, 89, 97, 104, 105, 106, 142, 161, 162, 241, 242, 243, 261,
        265, 268, 270, 271, 272, 273, 280, 281, 282, 294,
        424, 425, 426, 427, 428, 429, 430, 431, 432, 434, 438, 442,
        5, 6, 7, 14, 15, 16, 52, 53, 54, 55, 88, 140, 452, 463, 466, 469,
    )),
}  # fmt: skip
_CLONE3 = 435
_IOCTL = {"x86_64": 16, "aarch64": 29}
# What programs ask of open files: is it a terminal, and how large, how much can be read, do not wait, close it with the
# program or do not, share another's blocks. Others would change attributes, even of a file that can only be read.
_ASKED = (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x40049409)
_LANDLOCK = (444, 445, 446)
_READ = 0b1101
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


def limits(memory: int, file: int, seconds: float) -> None:
    """What the process may use at most; none of it can be raised again."""
    cpu = int(seconds) + 1
    # Other systems know some of these by name only.
    harmless = () if _LINUX else (OSError, ValueError)
    for what, most in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_STACK, min(memory, 1 << 26)),
    ):
        with contextlib.suppress(*harmless):
            resource.setrlimit(what, (most, most))


def without_network() -> bool:
    """Whether the process got a network of its own, with nothing in it."""
    alone = _NEW_NET | _NEW_IPC
    return any(_LIBC.unshare(kinds) == 0 for kinds in (alone, alone | _NEW_USER))


def files_only(read: list[str], folder: str) -> bool:
    """Whether files outside of `read` (to be read) and `folder` are out of reach (Landlock)."""
    create, add, restrict = _LANDLOCK
    version = _LIBC.syscall(create, None, 0, 1)
    if version < 1:
        return False
    handled = (1 << 13) - 1 | (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)
    # Later versions also bar TCP, and signals to processes outside.
    rules = struct.pack("QQQ", handled, 0b11, 0b11)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = _LIBC.syscall(create, ctypes.c_char_p(rules), ctypes.c_size_t(len(rules)), 0)
    if ruleset < 0:
        return False
    places = [(path, _READ) for path in read] + [(folder, handled & ~1)] + [(path, 0b110) for path in _DEVICES]
    for path, rights in places:
        try:
            place = os.open(path, os.O_PATH)
        except OSError:
            continue
        rights = rights if os.path.isdir(path) else rights & 0b111
        rule = struct.pack("=Qi", rights, place)
        if _LIBC.syscall(add, ruleset, 1, ctypes.c_char_p(rule), 0) != 0:
            return False
        os.close(place)
    done = bool(_LIBC.syscall(restrict, ruleset, 0) == 0)
    os.close(ruleset)
    return done


def calls_refused() -> bool:
    """Whether the kernel refuses the system calls of processes, signals, sockets and files' attributes (seccomp)."""
    if platform.machine() not in _REFUSED:
        return False
    arch, numbers = _REFUSED[platform.machine()]
    jump, give, load = 0x15, 0x06, 0x20
    program = [(load, 0, 0, 4), (jump, 1, 0, arch), (give, 0, 0, _KILL), (load, 0, 0, 0)]
    # The x32 forms of calls have numbers of their own, all above this.
    program += [(0x35, 0, 1, 0x40000000), (give, 0, 0, _KILL)]
    program += [(jump, 0, 1, _CLONE3), (give, 0, 0, _ENOSYS)]
    for number in numbers:
        program += [(jump, 0, 1, number), (give, 0, 0, _EPERM)]
    program += [(jump, 0, 2 * len(_ASKED) + 2, _IOCTL[platform.machine()]), (load, 0, 0, 24)]
    for request in _ASKED:
        program += [(jump, 0, 1, request), (give, 0, 0, _ALLOW)]
    program += [(give, 0, 0, _EPERM), (give, 0, 0, _ALLOW)]
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    held = ctypes.create_string_buffer(code, len(code))
    head = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(held)), 16)
    return bool(_LIBC.prctl(_SECCOMP, 2, head, 0, 0) == 0)


def main() -> None:
    """Shut in, run, tell."""
    job = json.loads(sys.stdin.buffer.read())
    token, code = job.pop("token"), job.pop("code")
    if _LINUX:
        _LIBC.prctl(_DEATH_SIGNAL, 9, 0, 0, 0)
        _LIBC.prctl(_DUMPABLE, 0, 0, 0, 0)
        _LIBC.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    done = {"network": _LINUX and without_network(), "files": _LINUX and files_only(job["read"], os.getcwd())}
    limits(job["memory"], job["file"], job["seconds"])
    done["calls"] = _LINUX and calls_refused()
    os.write(3, json.dumps(done).encode() + b"\n")
    empty = os.open("/dev/null", os.O_RDWR)
    os.dup2(empty, 0)
    exec(compile(code, "answer.py", "exec"), {"__name__": "__main__"})  # noqa: S102
    os.write(3, token.encode())


if __name__ == "__main__":
    main()
