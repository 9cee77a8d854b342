"""The page of optimizers names every one of them, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from swift.config.familiar import VALUES
from swift.train.optimizers.registry import REFUSED, optimizers


def test_every_name_is_in_the_page(root: Path) -> None:
    page = (root / "docs" / "optimizers.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    told = {name for line in rows for name in re.findall(r"`(\w+)`", line)}
    aliases = VALUES["optimizer.name"]
    builtin = {name for name in optimizers.names() if name not in ("halving",)}  # a test's plugin
    assert (builtin | set(REFUSED)) - told == set()
    options = {"momentum", "switch_every", "order"}
    assert told - builtin - set(REFUSED) - set(aliases) - options == set()
    assert all(ours in optimizers for ours in aliases.values())
