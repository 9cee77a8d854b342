"""What the package imports is what the distribution declares."""

from __future__ import annotations

import ast
import re
import sys
import tomllib

from tests.rules.sources import ROOT, files, tree

DISTRIBUTION = {"yaml": "pyyaml", "PIL": "pillow"}
"""Import name to distribution, where they differ."""

BROUGHT_BY = {
    "annotated_types": "pydantic",
    "jsonschema_specifications": "jsonschema",
    "pydantic_core": "pydantic",
    "referencing": "jsonschema",
    "starlette": "fastapi",
}
"""Imported modules that are part of another library's interface."""


ELSEWHERE = {"compressed_tensors", "evalscope", "llama_cpp", "llmcompressor", "modelscope"}
"""Imported by programs that other environments run."""


def test_every_import_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    declared = {re.split(r"[<>=\[;]", line)[0].lower().replace("-", "_") for line in lines}
    names: set[str] = set()
    for path in files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    libraries = names - set(sys.stdlib_module_names) - {"swift"} - ELSEWHERE
    needed = {BROUGHT_BY.get(name, DISTRIBUTION.get(name, name)) for name in libraries}
    assert needed - declared == set()
