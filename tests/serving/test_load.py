"""Many clients at once, some of whom leave in the middle: nobody is lost or mixed up, and nothing stays behind."""

from __future__ import annotations

import asyncio
import json
import random

import httpx
import psutil
import pytest

from tests.serving.support import Running, chat, serving, until
from tests.serving.test_lifecycle import metric

CLIENTS = 500


async def visit(client: httpx.AsyncClient, number: int, *, leaves: bool) -> str:
    """Read one stream; returns how it went."""
    text = " ".join([f"client {number}"] * 6)
    body = chat(f"[pause 0.005]{text}", stream=True)
    words = ""
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code == 429:
            assert "retry-after" in response.headers
            return "busy"
        assert response.status_code == 200
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                words += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                if leaves and len(words) > 10:
                    return "left"
    return "answered" if words == text else f"mixed up: {words!r}"


async def crowd(running: Running, rounds: int) -> list[str]:
    """Everyone at once, several times."""
    chance = random.Random(0)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    found: list[str] = []
    async with httpx.AsyncClient(base_url=running.url, timeout=300, limits=limits) as client:
        for _ in range(rounds):
            visits = [visit(client, number, leaves=chance.random() < 0.2) for number in range(CLIENTS)]
            found += await asyncio.gather(*visits)
    return found


@pytest.mark.slow
def test_a_crowd() -> None:
    with serving({"limits": {"max_running": 32, "max_waiting": 400}, "server": {"access_log": False}}) as running:
        process = psutil.Process(running.process.pid)
        first = asyncio.run(crowd(running, 1))
        before = process.memory_info().rss
        found = first + asyncio.run(crowd(running, 3))
        assert set(found) == {"answered", "left", "busy"}
        assert found.count("answered") > CLIENTS
        until(lambda: metric(running, "swift_running") == 0, seconds=20)
        assert metric(running, "swift_waiting") == 0
        assert process.memory_info().rss < before * 1.1 + 8e6
