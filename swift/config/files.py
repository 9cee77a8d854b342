"""A configuration file: YAML (or JSON, which YAML reads too) to names and values, each with its line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from swift.config.given import Given
from swift.config.problems import Problem, ProblemsError
from swift.config.schema import Table

if TYPE_CHECKING:
    import yaml


def read_file(path: str, table: Table) -> list[Given]:
    """Every value in the file `path`. Sections may be nested (`tuner: {rank: 8}`), dotted or flat.

    Raises:
        ProblemsError: No such file, not YAML, a key twice, or not a mapping; names the line.
    """
    root = read_nodes(path)
    return [] if root is None else list(walk(root, (), path, table))


def read_nodes(path: str) -> yaml.MappingNode | None:
    """The file `path` as YAML's own tree, whose nodes know their lines; None where it is empty.

    Raises:
        ProblemsError: No such file, not YAML, or not a mapping.
    """
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemsError([Problem(path, f"cannot be read: {_reason(error)}")]) from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" line {error.problem_mark.line + 1}"
        raise ProblemsError([Problem(f"{path}{line}", f"not YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise ProblemsError([Problem(path, f"not YAML: {' '.join(str(error).split())}")]) from error
    if root is None or isinstance(root, yaml.MappingNode):
        return root
    raise ProblemsError([Problem(path, "must hold keys and values, such as `model: some/id`")])


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not UTF-8 text"


def walk(node: object, above: tuple[str, ...], path: str, table: Table) -> Iterator[Given]:
    """The values in a mapping of YAML's tree, under the dotted name `above`.

    Descends only into what is a section, so that aliases cannot loop.
    """
    import yaml

    assert isinstance(node, yaml.MappingNode)
    constructor = yaml.constructor.SafeConstructor()
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = str(key_node.value)
        if key in seen and key != "<<":
            where = f"{path} line {key_node.start_mark.line + 1}"
            raise ProblemsError([Problem(where, f"key {key!r} stands here twice")])
        seen.add(key)
    constructor.flatten_mapping(node)
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        name = ".".join((*above, str(key_node.value))).replace("-", "_")
        where = f"{path} line {line}, {name}"
        if name in table.by_path and isinstance(value_node, yaml.MappingNode):
            yield from walk(value_node, (name,), path, table)
            continue
        try:
            value = constructor.construct_document(value_node)
        except yaml.YAMLError as error:
            raise ProblemsError([Problem(where, f"not YAML: {' '.join(str(error).split())}")]) from error
        if value is not None or name not in table.by_path:
            yield Given(name, value, where, words=False)
