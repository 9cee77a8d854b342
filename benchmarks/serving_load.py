"""Hundreds of streaming clients on a real server, some of whom leave: is anything lost, mixed up or kept?

    python -m benchmarks.serving_load [--minutes 5] [--clients 500] [--leaving 0.2] [--kill true]

Each client asks, again and again, a question whose greedy answer the engine gave alone beforehand, and compares. In the
middle the engine's process is killed; at the end the server is asked to end while streams run. Prints what was
counted, and each claim with whether it holds; exits with 1 where one does not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.arguments import DEFAULT_MODEL, model_folder
from benchmarks.streams import Deployed, events, post
from benchmarks.surroundings import machine

CHAT = "/v1/chat/completions"
_WARM = 0.3
"""Share of each half of the run after which memory is to stay as it is."""
_GROWTH, _SLACK = 1.05, 16e6
"""How much more memory may be held at an end than after warming up: a share, and bytes."""
_PATIENCE = 300.0
"""Seconds that one answer may take."""


@dataclass(slots=True)
class Tally:
    """What is seen.

    Attributes:
        counts: How requests ended.
        wrong: Answers that were not what they should be.
        memory: (seconds, bytes of the server, bytes of the engine).
        most: The highest gauges that /metrics told.
        killed: When the engine was killed, in seconds; None before.
        back: When it was ready again.
        ended: When the server was asked to end.
        ending: Whether it was.
    """

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    memory: list[tuple[float, int, int]] = field(default_factory=list)
    most: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    killed: float | None = None
    back: float | None = None
    ended: float = 0.0
    ending: bool = False

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    @property
    def down(self) -> bool:
        """Whether the engine may be missing: it was killed, and is not back for long."""
        return self.killed is not None and (self.back is None or self.now < self.back + 5)


def main() -> None:
    """Run it, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="float32")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--leaving", type=float, default=0.2, help="share of requests whose client leaves; %(default)s")
    parser.add_argument("--running", type=int, default=32, help="answers at a time; default: %(default)s")
    parser.add_argument("--waiting", type=int, default=400, help="answers that may wait; default: %(default)s")
    parser.add_argument("--margin", type=float, default=0.3, help="difference of log-probabilities that is no tie")
    parser.add_argument("--kill", choices=("true", "false"), default="true", help="kill the engine in the middle")
    given = parser.parse_args()
    folder = str(model_folder(given.model))
    known = known_answers(folder, given.dtype, given.margin)
    print(f"{machine()}; {len(known)} questions, {sum(item['tokens'] for item in known)} tokens of answers", flush=True)
    bounds = f"--max_running {given.running} --max_waiting {given.waiting} --max_batch_size {given.running}"
    rest = f"--torch_dtype {given.dtype} --served_model_name model --access_log false --drain_seconds 120 {bounds}"
    server = Deployed(["--model", folder, *rest.split()])
    tally = Tally()
    try:
        code = asyncio.run(run(server, known, tally, given))
    finally:
        if server.process.poll() is None:
            server.process.kill()
    claims = judged(tally, given, code)
    print(json.dumps({"requests": dict(tally.counts), "most": tally.most, "exit": code}, indent=1))
    for claim, holds in claims.items():
        print(f"{'yes' if holds else 'NO '} {claim}")
    print("\n".join(tally.wrong[:10]))
    sys.exit(0 if all(claims.values()) else 1)


def known_answers(model: str, dtype: str, margin: float) -> list[dict[str, Any]]:
    """Questions with answers that the engine gives alone, in a process of its own."""
    words = "river stone lamp horse bread window garden paper silver cloud".split()
    prompts = [f"Repeat exactly: {words[a]} {words[b]} {a * 10 + b}" for a in range(10) for b in range(10) if a != b]
    prompts += [f"Count from {first} to {first + 9}." for first in range(1, 40)]
    job = {"model": model, "dtype": dtype, "prompts": prompts, "longest": 32, "shortest": 8, "margin": margin}
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        script = Path(__file__).parent / "generators" / "known.py"
        done = subprocess.run([sys.executable, str(script), str(file)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the engine failed:\n{done.stderr[-3000:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    if len({item["answer"] for item in found}) < 5:
        raise SystemExit("too few questions have answers that are certain; lower --margin")
    return found


async def run(server: Deployed, known: list[dict[str, Any]], tally: Tally, given: argparse.Namespace) -> int:
    """All clients, until the server has ended; returns its exit code."""
    seconds = given.minutes * 60
    clients = [
        asyncio.create_task(client(server, known, tally, random.Random(number), given.leaving))
        for number in range(given.clients)
    ]
    watch = asyncio.create_task(watched(server, tally))
    await asyncio.sleep(seconds / 2)
    if given.kill == "true":
        await kill(server, tally)
    await asyncio.sleep(seconds / 2)  # however long the engine took to be back
    tally.ended, tally.ending = tally.now, True
    code = await asyncio.to_thread(server.end)
    watch.cancel()
    await asyncio.wait(clients, timeout=60)
    tally.counts["never told"] = sum(not task.done() for task in clients)
    for task in clients:
        task.cancel()
    failures = await asyncio.gather(*clients, watch, return_exceptions=True)
    tally.wrong += [repr(item) for item in failures if isinstance(item, Exception)]
    return code


async def client(
    server: Deployed, known: list[dict[str, Any]], tally: Tally, draw: random.Random, leaving: float
) -> None:
    """Ask, compare, and ask again, until the server ends."""
    while not tally.ending:
        item, leaves = draw.choice(known), draw.random() < leaving
        begun_down = tally.down
        try:
            how, wait = await asyncio.wait_for(ask(server, item, tally, leaves=leaves), _PATIENCE)
        except TimeoutError:
            how, wait = "lost: no end", 0.0
        except (OSError, asyncio.IncompleteReadError) as error:
            how, wait = ("refused at the end" if tally.ending else f"lost: {type(error).__name__}"), 0.0
        if how in ("not ready", "engine gone") and not (begun_down or tally.down or tally.ending):
            how = f"lost: {how}"
        tally.counts[how] += 1
        await asyncio.sleep(wait * draw.uniform(0.5, 1.5))


async def ask(server: Deployed, item: dict[str, Any], tally: Tally, *, leaves: bool) -> tuple[str, float]:
    """One question; returns how it went, and how long to wait before the next."""
    body = {"model": "model", "messages": [{"role": "user", "content": item["prompt"]}], "stream": True}
    text, finish, last = "", None, None
    async with post(server, CHAT, {**body, "temperature": 0, "max_tokens": item["tokens"]}) as (head, reader):
        if head.status in (429, 503):
            if "retry-after" not in head.headers and not tally.ending:
                return "lost: no Retry-After", 0.0
            return ("busy" if head.status == 429 else "not ready"), float(head.headers.get("retry-after", 0))
        if head.status != 200:
            return f"lost: status {head.status}", 0.0
        async for last in events(reader):
            if last == "[DONE]":
                break
            if "error" in last:
                return "engine gone", 1.0
            for choice in last["choices"]:
                text += choice["delta"].get("content") or ""
                finish = choice["finish_reason"] or finish
            if leaves and len(text) > 4:
                return "left", 0.0
    if last != "[DONE]":
        return "lost: broken off", 0.0
    if whole(text) != whole(item["answer"]) or finish != item["finish"]:
        tally.wrong.append(f"{item['prompt']!r}: {text!r} ({finish}) instead of {item['answer']!r} ({item['finish']})")
        return "wrong", 0.0
    return ("answered at the end" if tally.ending else "answered"), 0.0


def whole(text: str) -> str:
    """A text without what a character that was cut in two leaves at its end."""
    return text.rstrip("\ufffd").strip()


async def kill(server: Deployed, tally: Tally) -> None:
    """Kill the engine's process, and wait until there is one again."""
    engine, begin = server.engine, len(server.lines)
    assert engine is not None
    tally.killed = tally.now
    engine.kill()
    await asyncio.to_thread(server.wait_for, "^serving at", begin)
    tally.back = tally.now


async def watched(server: Deployed, tally: Tally) -> None:
    """Note memory and gauges, twice a second."""
    while True:
        tally.memory.append((tally.now, *server.memory()))
        try:
            text = await asyncio.to_thread(_metrics, server)
            for line in text.splitlines():
                name, _, value = line.partition(" ")
                if name in ("swift_running", "swift_waiting"):
                    tally.most[name] = max(tally.most.get(name, 0.0), float(value))
        except OSError:
            tally.counts["metrics not told"] += 1
        await asyncio.sleep(0.5)


def _metrics(server: Deployed) -> str:
    import urllib.request

    with urllib.request.urlopen(f"http://{server.host}:{server.port}/metrics", timeout=60) as answer:
        return str(answer.read().decode())


def judged(tally: Tally, given: argparse.Namespace, code: int) -> dict[str, bool]:
    """What is claimed, and whether it holds."""
    counts = tally.counts
    surplus = given.clients > given.running + given.waiting
    killed, back, end = tally.killed, tally.back, tally.ended
    halves = [(0.0, killed or end)] + ([] if back is None else [(back, end)])
    claims = {
        "no answer is lost": not any(name.startswith(("lost", "never")) and count for name, count in counts.items()),
        "no answer is mixed up": not tally.wrong,
        "answers come": counts["answered"] > 0,
        "some have left": counts["left"] > 0,
        "the bounds hold": tally.most["swift_running"] <= given.running
        and tally.most["swift_waiting"] <= given.waiting,
        f"the surplus {'is told to wait' if surplus else 'is none'}": (counts["busy"] > 0) == surplus,
        "the server's memory is flat": flat([(at, rss) for at, rss, _ in tally.memory], 0.0, end),
    }
    for number, (begin, until) in enumerate(halves, 1):
        engine = [(at, rss) for at, _, rss in tally.memory]
        claims[f"the engine's memory is flat ({number})"] = flat(engine, begin, until)
    if killed is not None:
        claims["who runs or comes while the engine is gone is told so"] = (
            counts["engine gone"] + counts["not ready"] > 0
        )
        claims[f"the engine is back after {(back or 1e9) - killed:.1f} s"] = back is not None
    claims["the end waits for what runs"] = counts["answered at the end"] > 0
    claims["it ends with 0"] = code == 0
    return claims


def flat(samples: list[tuple[float, int]], begin: float, end: float) -> bool:
    """Whether as much memory is held at the end of a time as after warming up; told on standard error."""
    warm = begin + (end - begin) * _WARM
    late = begin + (end - begin) * (1 - _WARM)
    first = [rss for at, rss in samples if warm <= at < (warm + late) / 2 and rss]
    last = [rss for at, rss in samples if late <= at < end and rss]
    if not first or not last:
        return False
    before, after = median(first), median(last)
    print(f"{before / 1e6:.0f} MB after warming up, {after / 1e6:.0f} MB at the end", file=sys.stderr)
    return after <= before * _GROWTH + _SLACK


if __name__ == "__main__":
    main()
