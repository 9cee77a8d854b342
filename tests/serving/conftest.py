"""Servers that tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from tests.serving.support import THINKING, Running, serving


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A server over an engine that says what it is told to."""
    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def thinker() -> Iterator[Running]:
    """One whose model thinks first."""
    with serving(template=THINKING) as running:
        yield running
