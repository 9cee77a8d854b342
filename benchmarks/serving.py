"""What the server costs: the same requests through the bare engine, and over HTTP as streams.

    python -m benchmarks.serving [--model MODEL] [--count 64] [--rows 16] [--rounds 3] [--alone 16]

Both get the same token ids and must give each answer its length. Measured are the seconds until all answers are whole,
asked for at once; and, of requests that are asked one by one, the time until the first text of a stream. The two take
turns, each time in processes of their own; loading and warming up do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.arguments import DEFAULT_MODEL, model_folder
from benchmarks.generation import run, workload
from benchmarks.markdown import table
from benchmarks.streams import Deployed, events, post
from benchmarks.surroundings import machine

_ALONE_LENGTH = 8


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--rows", type=int, default=16, help="sequences at a time; default: %(default)s")
    parser.add_argument("--tokens", type=int, default=16384, help="tokens of the cache; default: %(default)s")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", type=int, default=16, help="requests that are asked one by one; %(default)s")
    given = parser.parse_args()
    prompts, lengths = workload(given.count)
    draw = random.Random(1)
    alone = [[draw.randint(1000, 20000) for _ in range(100)] for _ in range(given.alone)]
    job = {
        "model": str(model_folder(given.model)),
        "dtype": given.dtype,
        "rows": given.rows,
        "tokens": given.tokens,
        "prompts": prompts,
        "lengths": lengths,
        "warm": 4,
        "alone": alone,
        "alone_length": _ALONE_LENGTH,
    }
    found: dict[str, list[dict[str, Any]]] = {"engine": [], "server": []}
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        for number in range(given.rounds):
            for name in ("engine", "server") if number % 2 == 0 else ("server", "engine"):
                found[name].append(run("live", file) if name == "engine" else served(job))
                print(f"{name}: {found[name][-1]['seconds']:.2f} s", file=sys.stderr, flush=True)
    print(machine())
    print(f"{given.count} requests, {sum(map(len, prompts))} prompt tokens, {sum(lengths)} new ones, {given.dtype}\n")
    print(report(found, sum(lengths)))


def served(job: dict[str, Any]) -> dict[str, Any]:
    """The same as `generators/live.py`, over HTTP."""
    batch = f"--max_batch_size {job['rows']} --max_batch_tokens {job['tokens']} --max_running {len(job['prompts'])}"
    rest = f"--torch_dtype {job['dtype']} --served_model_name model --access_log false {batch}"
    server = Deployed(["--model", job["model"], *rest.split()])
    try:
        result = asyncio.run(_ask_all(server, job))
    finally:
        code = server.end()
    if code:
        raise SystemExit(f"the server has ended with {code}")
    return result


async def _ask_all(server: Deployed, job: dict[str, Any]) -> dict[str, Any]:
    requests = list(zip(job["prompts"], job["lengths"], strict=True))
    await asyncio.gather(*(_ask(server, *request) for request in requests[: job["warm"]]))
    begin = time.perf_counter()
    answers = await asyncio.gather(*(_ask(server, *request) for request in requests))
    seconds = time.perf_counter() - begin
    firsts = [(await _ask(server, prompt, job["alone_length"]))[1] for prompt in job["alone"]]
    return {"seconds": seconds, "texts": [text for text, _ in answers], "firsts": firsts}


async def _ask(server: Deployed, prompt: list[int], length: int) -> tuple[str, float]:
    """An answer, and seconds until its first text."""
    body = {"model": "model", "prompt": prompt, "max_tokens": length, "ignore_eos": True, "temperature": 0}
    begin, first, text, last = time.perf_counter(), 0.0, "", None
    async with post(server, "/v1/completions", {**body, "stream": True}) as (head, reader):
        if head.status != 200:
            raise SystemExit(f"status {head.status}: {await reader.read()!r}")
        async for last in events(reader):
            said = "" if last == "[DONE]" else last["choices"][0]["text"]
            if said and not text:
                first = time.perf_counter() - begin
            text += said
    if last != "[DONE]":
        raise SystemExit("a stream has broken off")
    return text, first


def report(found: dict[str, list[dict[str, Any]]], tokens: int) -> str:
    """Seconds and ratios; each is a median over the rounds."""
    lines = []
    base = {name: median(result["seconds"] for result in results) for name, results in found.items()}
    first = {name: median(value for r in results for value in r["firsts"]) for name, results in found.items()}
    for name, results in found.items():
        same = sum(a == b for a, b in zip(results[0]["texts"], found["engine"][0]["texts"], strict=True))
        lines.append(
            [
                name,
                f"{base[name]:.2f}",
                f"{tokens / base[name]:.1f}",
                f"{100 * (base[name] / base['engine'] - 1):+.1f} %",
                f"{1000 * first[name]:.0f}",
                f"{first[name] / first['engine']:.3f}",
                f"{same} of {len(results[0]['texts'])}",
            ]
        )
    head = ["", "seconds", "new tokens/s", "overhead", "first text, ms", "ratio", "same answers"]
    return table(head, lines)


if __name__ == "__main__":
    main()
