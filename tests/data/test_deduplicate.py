"""Equality of rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from swift.data.deduplicate import row_hash, unique_rows
from swift.data.readers import open_file
from swift.types import Origin, Row

VALUES = st.recursive(st.none() | st.integers(-9, 9) | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3))


def hashed(values: dict[str, Any]) -> bytes:
    return row_hash(Row(values, Origin("a", 1)))


@given(one=st.dictionaries(st.text(max_size=2), VALUES), two=st.dictionaries(st.text(max_size=2), VALUES))
def test_equal_rows_and_no_others_have_equal_hashes(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert hashed(one) == hashed(dict(reversed(one.items())))
    assert (hashed(one) == hashed(two)) == (one == two)


def test_odd_values() -> None:
    assert hashed({"a": 2**80}) == hashed({"a": 2**80}) != hashed({"a": 2**80 + 1})
    assert hashed({"a": "\ud800"}) != hashed({"a": "\ud801"})
    assert hashed({"a": 1}) != hashed({"a": "1"})


def test_first_of_equal_rows_stays_and_unreadable_rows_all_do(tmp_path: Path) -> None:
    paths = []
    for name, rows in (("a", ['{"t": 1}', "{", '{"t": 2}', '{"t": 1}']), ("b", ["{", '{"t": 2}', '{"t": 3}'])):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(rows))
        paths.append(open_file(path, path.name))
    assert [rows.tolist() for rows in unique_rows(paths, None)] == [[0, 1, 2], [0, 2]]
    assert unique_rows([], None) == []


def test_equals_a_plain_set(tmp_path: Path) -> None:
    values = [number * 7 % 40 for number in range(100)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"t": value}) for value in values))
    [kept] = unique_rows([open_file(path, "a")], None)
    seen: set[int] = set()
    expected = [place for place, value in enumerate(values) if not (value in seen or seen.add(value))]  # type: ignore[func-returns-value]
    assert kept.tolist() == expected
