"""Habits that a linter does not know: no object of others is edited, nothing is guessed or swallowed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.rules.sources import files, name, tree

BOX = "swift/evaluation/code/boot.py"
"""Whose purpose it is to run code that it is given."""
ENVIRONMENT = (
    "swift/cli/launch.py",
    "swift/hub/",
    "swift/environments/process.py",
    "swift/environments/llama_server.py",
    "swift/environments/scope.py",
)
"""Where environment variables may be read."""

SETTINGS = ("torch.backends.",)
"""Documented switches of libraries that are set by assignment."""

BANNED_CALLS = {
    "hasattr": "ask for the type, or for the documented attribute",
    "MethodType": "write a function",
    "eval": "parse it",
    "exec": "import it",
}


def imported(module: ast.Module) -> set[str]:
    """Names that a file imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def targets(node: ast.AST) -> list[ast.expr]:
    """What a statement assigns to or deletes."""
    if isinstance(node, (ast.Assign, ast.Delete)):
        return node.targets
    if isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        return [node.target]
    return []


def base(node: ast.expr) -> str:
    """The name that a chain of attributes begins with; empty where it begins with something else."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def patches(module: ast.Module) -> Iterator[str]:
    """Lines that change an attribute of something imported, or what class an object is of."""
    theirs = imported(module)
    for node in ast.walk(module):
        for target in targets(node):
            if not isinstance(target, ast.Attribute):
                continue
            text = ast.unparse(target)
            if target.attr == "__class__" or (base(target) in theirs and not text.startswith(SETTINGS)):
                yield f"line {target.lineno}: {text} is set"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr", "object.__setattr__"):
            first = node.args[0]
            if base(first) in theirs:
                yield f"line {node.lineno}: {ast.unparse(node)}"


def banned(module: ast.Module) -> Iterator[str]:
    """Calls of functions that are not used here."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).removeprefix("types.")
            if called in BANNED_CALLS:
                yield f"line {node.lineno}: {called}: {BANNED_CALLS[called]}"


def environment(module: ast.Module) -> Iterator[str]:
    """Lines that touch environment variables."""
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.putenv"):
            yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            names = {alias.name for alias in node.names} & {"environ", "getenv", "putenv"}
            yield from (f"line {node.lineno}: {found}" for found in sorted(names))


def swallowed(module: ast.Module) -> Iterator[str]:
    """Handlers that catch everything and do nothing."""
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            if broad and all(isinstance(line, (ast.Pass, ast.Continue)) for line in node.body):
                yield f"line {node.lineno}: an error is swallowed"


@pytest.mark.parametrize("rule", [patches, banned, swallowed, environment], ids=lambda rule: rule.__name__)
def test_the_package(rule: object) -> None:
    assert callable(rule)
    broken = {
        name(path): found
        for path in files()
        if not (rule is environment and name(path).startswith(ENVIRONMENT))
        if not (rule is banned and name(path) == BOX)
        if (found := list(rule(tree(path))))
    }
    assert broken == {}


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (patches, "import torch\ntorch.nn.Linear.forward = f"),
        (patches, "from torch.nn import Linear\nLinear.forward = f"),
        (patches, "from torch.nn import Linear\nsetattr(Linear, 'forward', f)"),
        (patches, "from trl import T\ndel T.__init__"),
        (patches, "x.__class__ = Y"),
        (banned, "hasattr(x, 'y')"),
        (banned, "import types\nx.f = types.MethodType(f, x)"),
        (environment, "import os\nos.environ['A']"),
        (environment, "from os import getenv"),
        (swallowed, "try:\n    f()\nexcept Exception:\n    pass"),
    ],
)
def test_the_rules_see_a_breach(rule: object, source: str) -> None:
    assert callable(rule)
    assert list(rule(ast.parse(source)))


def test_the_rules_leave_our_own_objects_alone() -> None:
    source = "import torch\nself.x = 1\nmodel.eval()\nsetattr(parent, n, m)\ntorch.backends.cudnn.benchmark = True"
    assert list(patches(ast.parse(source))) == []
    assert list(banned(ast.parse(source))) == []


def test_no_marks_of_a_merge() -> None:
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    left = [name(path) for path in files() if any(line.strip().startswith(marks) for line in path.open())]
    assert left == []
