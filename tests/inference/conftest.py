"""A tiny model that answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from swift.models.tiny import save_tiny


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model")
