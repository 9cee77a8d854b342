"""The result file by itself."""

from __future__ import annotations

import pytest

from swift.errors import DataError
from swift.inference.results import message_json, open_results
from swift.types import Message, ToolCall


def test_a_half_line_is_cut_off_and_counting_goes_on(tmp_path):
    path = tmp_path / "r.jsonl"
    with open_results(path, {"seed": 1}) as results:
        results.write({"row": 1, "response": "a", "completion_tokens": 3})
        results.write({"row": 2, "error": "no"})
        assert (results.done, results.failed, results.tokens) == (2, 1, 3)
    with path.open("ab") as file:
        file.write(b'{"row": 3, "resp')
    with open_results(path, {"seed": 1}) as results:
        assert results.done == 2
        results.write({"row": 3, "response": "c"})
    assert path.read_bytes().count(b"\n") == 3
    assert b"resp\n" not in path.read_bytes()


def test_a_folder_is_no_result_file(tmp_path):
    with pytest.raises(DataError, match="is a folder"), open_results(tmp_path, {}):
        pass


@pytest.mark.parametrize("damage", ["{", "[]"])
def test_a_damaged_file_beside_is_told(damage, tmp_path):
    path = tmp_path / "r.jsonl"
    with open_results(path, {"seed": 1}) as results:
        results.write({"row": 1})
    (tmp_path / "r.jsonl.run.json").write_text(damage)
    with pytest.raises(DataError, match=r"r\.jsonl\.run\.json is damaged"), open_results(path, {"seed": 1}):
        pass


def test_messages_keep_their_tool_calls():
    call = Message("assistant", "", reasoning="hm", tool_calls=(ToolCall("add", {"a": 1}, "c1"),))
    assert message_json(call) == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "hm",
        "tool_calls": [{"type": "function", "id": "c1", "function": {"name": "add", "arguments": {"a": 1}}}],
    }
    assert message_json(Message("tool", "2", name="add", tool_call_id="c1")) == {
        "role": "tool",
        "content": "2",
        "name": "add",
        "tool_call_id": "c1",
    }
