"""The contestants, ours first."""

from __future__ import annotations

from benchmarks.systems.base import Launch, System
from benchmarks.systems.llamafactory import LLAMA_FACTORY
from benchmarks.systems.msswift import MS_SWIFT, MS_SWIFT_GALORE
from benchmarks.systems.ours import OURS
from benchmarks.systems.trl import TRL

SYSTEMS: dict[str, System] = {system.name: system for system in (OURS, MS_SWIFT, MS_SWIFT_GALORE, LLAMA_FACTORY, TRL)}

__all__ = ["SYSTEMS", "Launch", "System"]
