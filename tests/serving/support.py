"""Real servers for tests, each a process with an engine host as its child."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import psutil

from swift.models.tiny import CHATML

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTED = "tests.serving.scripted:load"
SEEING = "tests.serving.scripted:load_seeing"
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{% if m.reasoning_content %}{{ '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' }}{% endif %}"
    "{{ (m.content or '') + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking is not defined or enable_thinking %}{{ '<think>\\n' }}"
    "{% else %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"
)
WAIT = 120.0


class Running:
    """A server that runs.

    Attributes:
        process: Its process.
        lines: What it wrote on standard error so far.
        url: Where it listens.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, pattern: str, begin: int = 0, *, seconds: float = WAIT) -> re.Match[str]:
        """The first line that matches, once it is there."""

        def found() -> re.Match[str] | None:
            return next((m for line in self.lines[begin:] if (m := re.search(pattern, line))), None)

        return until(found, self, seconds=seconds)

    def client(self, **options: Any) -> httpx.Client:
        """A plain HTTP client."""
        return httpx.Client(base_url=self.url, timeout=60, **options)

    def host_pid(self) -> int:
        """The engine host's process."""
        children = psutil.Process(self.process.pid).children()
        return next(child.pid for child in children if "spawn_main" in " ".join(child.cmdline()))

    def log(self) -> list[dict[str, Any]]:
        """The access log."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def end(self) -> int:
        """Stop it as a process manager does; the exit code."""
        self.process.terminate()
        code = self.process.wait(60)
        self._reader.join(10)
        return code


def until(found: Callable[[], Any], running: Running | None = None, *, seconds: float = WAIT) -> Any:
    """Wait until a function returns something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        if running is not None and running.process.poll() is not None:
            time.sleep(0.2)
            if value := found():
                return value
            raise AssertionError(f"the server has ended: {running.lines[-20:]}")
        time.sleep(0.02)
    raise AssertionError(f"waited for {seconds} s: {running.lines[-20:] if running else ''}")


@cache
def codec_file(template: str) -> str:
    """A file with the pickled codec of the tiny tokenizer and a template; its name makes the model `tiny`."""
    from swift.chat.codec import make_codec
    from swift.config.chat import ChatConfig
    from swift.models.tiny import tiny_tokenizer

    path = Path(tempfile.mkdtemp(prefix="swift-codec-")) / "tiny"
    path.write_bytes(pickle.dumps(make_codec(tiny_tokenizer(chat_template=template), ChatConfig(), positions=100_000)))
    return str(path)


@contextmanager
def serving(
    config: Mapping[str, Any] | None = None, *, loader: str = SCRIPTED, template: str = CHATML, ready: bool = True
) -> Iterator[Running]:
    """A server, until the end of the block."""
    values: dict[str, Any] = dict(config or {})
    values.setdefault("model", {"id": codec_file(template)})
    values["server"] = {"port": 0, **values.get("server", {})}
    with launched("-m", "tests.serving.launch", json.dumps(values), loader) as running:
        running.url = running.wait_for(r"listening on (\S+);")[1].replace("0.0.0.0", "127.0.0.1")
        if ready:
            running.wait_for("^serving at")
        yield running


@contextmanager
def launched(*words: str) -> Iterator[Running]:
    """A Python process, until the end of the block."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    running = Running(process)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def chat(text: str, **options: Any) -> dict[str, Any]:
    """A request of one question."""
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], **options}
