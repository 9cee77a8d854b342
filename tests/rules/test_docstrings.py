"""Everything public says what it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.rules.sources import files, name, tree

INHERITED = ("forward", "backward", "setup_context")
"""Methods whose meaning torch defines."""


def undocumented(body: list[ast.stmt], owner: str = "") -> Iterator[str]:
    """Public functions, classes and methods without a docstring."""
    for node in body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
        if node.name in INHERITED or decorators & {"overload", "setter"}:
            continue
        if ast.get_docstring(node) is None:
            yield f"line {node.lineno}: {owner}{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, f"{node.name}.")


def test_modules() -> None:
    bare = [name(path) for path in files() if path.read_text().strip() and ast.get_docstring(tree(path)) is None]
    assert bare == []


def test_functions_classes_and_methods() -> None:
    missing = {name(path): found for path in files() if (found := list(undocumented(tree(path).body)))}
    assert missing == {}
