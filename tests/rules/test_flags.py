"""The set of flags is frozen: removing or renaming one breaks users' scripts and must be meant."""

from __future__ import annotations

from tests.rules.flags import snapshot
from tests.rules.sources import ROOT


def test_flags_are_frozen() -> None:
    frozen = (ROOT / "tests/rules/flags.txt").read_text(encoding="utf-8").splitlines()
    now = snapshot().splitlines()
    gone, new = sorted(set(frozen) - set(now)), sorted(set(now) - set(frozen))
    assert (gone, new) == ([], []), "flags changed; if that is meant, run `make snapshots`"
