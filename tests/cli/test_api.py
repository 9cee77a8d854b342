"""`import swift`: names on demand."""

from __future__ import annotations

import pkgutil

import pytest

import swift
from swift.config.sft import SftConfig
from swift.errors import SwiftError


def test_names_are_found_where_they_live() -> None:
    assert swift.SftConfig is SftConfig
    assert swift.SwiftError is SwiftError
    assert dir(swift) == sorted(swift.__all__)
    assert set(swift._HOME) | {"__version__"} == set(swift.__all__)


@pytest.mark.parametrize("name", ["sft", "pretrain", "infer", "evaluate", "export", "check", "plan", "load_engine"])
def test_functions_are_the_api(name: str) -> None:
    api = pytest.importorskip("swift.api")
    assert getattr(swift, name) is getattr(api, name)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sfft'"):
        swift.sfft  # noqa: B018


def test_no_function_has_the_name_of_a_package() -> None:
    # Importing a submodule sets the attribute of that name, which would replace the function.
    submodules = {module.name for module in pkgutil.iter_modules(swift.__path__)}
    assert submodules & set(swift.__all__) == set()
