"""The user's own Python files, which register data shapes, losses, schedules or listeners when imported."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from swift.errors import ConfigError


def load_plugins(paths: Iterable[str]) -> None:
    """Import each file once in this process, whoever asks for it.

    Raises:
        ConfigError: A file does not exist, or raises an error when imported.
    """
    for text in paths:
        path = Path(text).expanduser().resolve()
        name = f"swift_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise ConfigError(f"no plugin {text}", hint="--plugins takes Python files")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise ConfigError(f"the plugin {text} cannot be imported: {type(error).__name__}: {error}") from error
