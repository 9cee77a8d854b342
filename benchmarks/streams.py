"""A server of ours as a child process, and a client of its streams that costs little."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psutil

START_SECONDS = 600.0


class Deployed:
    """`swift deploy` as a child process.

    Args:
        words: Its options.

    Attributes:
        process: It.
        lines: What it wrote on standard error.
        host: Name of the machine that it listens on.
        port: The port.

    Raises:
        SystemExit: It did not start.
    """

    def __init__(self, words: Sequence[str]) -> None:
        command = [sys.executable, "-m", "swift", "deploy", "--port", "0", *words]
        self.lines: list[str] = []
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
        threading.Thread(target=self._read, daemon=True).start()
        parts = urlsplit(self.wait_for(r"^serving at (\S+)")[1])
        assert parts.hostname is not None
        assert parts.port is not None
        self.host, self.port = parts.hostname, parts.port

    def wait_for(self, pattern: str, begin: int = 0) -> re.Match[str]:
        """The first line that matches, once it is there."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            for line in self.lines[begin:]:
                if (found := re.search(pattern, line)) is not None:
                    return found
            time.sleep(0.05)
        raise SystemExit("the server does not say that it is ready:\n" + "\n".join(self.lines[-20:]))

    @property
    def engine(self) -> psutil.Process | None:
        """The engine's process; None where there is none at the moment."""
        try:
            children = psutil.Process(self.process.pid).children()
            return next((child for child in children if "spawn_main" in " ".join(child.cmdline())), None)
        except psutil.Error:
            return None

    def memory(self) -> tuple[int, int]:
        """Bytes that the server's process and the engine's hold; 0 for one that is not there."""
        engine = self.engine
        try:
            return psutil.Process(self.process.pid).memory_info().rss, engine.memory_info().rss if engine else 0
        except psutil.Error:
            return 0, 0

    def end(self, seconds: float = 120.0) -> int:
        """Ask it to end; returns its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer."""

    status: int
    headers: Mapping[str, str]


@asynccontextmanager
async def post(server: Deployed, path: str, body: Any) -> AsyncIterator[tuple[Head, asyncio.StreamReader]]:
    """Send a request over a connection of its own; leaving the block closes it, read or not.

    Raises:
        OSError: There is no connection, or it broke off.
        asyncio.IncompleteReadError: It broke off.
    """
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1 << 20)
    try:
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        yield Head(int(lines[0].split()[1]), headers), reader
    finally:
        writer.close()


async def events(reader: asyncio.StreamReader) -> AsyncIterator[Any]:
    """The JSON values of a stream's events, and at last the text `[DONE]`, if it comes."""
    while line := await reader.readline():
        if line.startswith(b"data: "):  # each event is a piece of its own, so the sizes between them do not matter
            data = line[6:].strip()
            yield "[DONE]" if data == b"[DONE]" else json.loads(data)
