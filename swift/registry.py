"""Typed tables of named things, filled lazily."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar, cast

from swift.errors import ConfigError, UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to values. A value may be given as "module:attribute", imported when first asked for.

    Other distributions add entries through the entry point group `swift.<kind>`; a user's own file
    adds them with `register`.

    Args:
        kind: What an entry is, in words; used in error messages and as the entry point group.
        builtin: Our own entries, by name, each as "module:attribute".
    """

    def __init__(self, kind: str, builtin: dict[str, str] | None = None) -> None:
        self.kind = kind
        self._entries: dict[str, T | str] = dict(builtin or {})
        self._entry_points_read = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that adds its argument under `name`.

        Raises:
            ConfigError: `name` is taken.
        """

        def add(value: T) -> T:
            if name in self._entries:
                raise ConfigError(f"{self.kind} {name!r} is registered twice", hint="choose another name")
            self._entries[name] = value
            return value

        return add

    def names(self) -> list[str]:
        """All names, sorted."""
        self._read_entry_points()
        return sorted(self._entries)

    def get(self, name: str) -> T:
        """The entry called `name`.

        Raises:
            UnknownNameError: There is none; the error suggests the nearest names.
        """
        if name not in self._entries:
            self._read_entry_points()
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self.names(), hint=f"known: {', '.join(self.names())}")
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = cast(T, getattr(importlib.import_module(module), attribute))
            self._entries[name] = entry
        return entry

    def __contains__(self, name: str) -> bool:
        return name in self._entries or name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _read_entry_points(self) -> None:
        if self._entry_points_read:
            return
        self._entry_points_read = True
        for point in importlib.metadata.entry_points(group=f"swift.{self.kind.replace(' ', '_')}"):
            self._entries.setdefault(point.name, point.value)
