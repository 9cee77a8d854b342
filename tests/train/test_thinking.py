"""What a run taught reaches inference through the run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swift.api import sft
from swift.models.tiny import save_tiny
from tests.train.runs import configure

# Like the hybrid templates of today: without thinking, the prompt itself holds an empty block.
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}<think>\n{{ m.reasoning_content or '' }}\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


@pytest.mark.parametrize(("thoughts", "expected"), [((None, None), False), (("a", "b"), True), ((None, "b"), None)])
def test_taught_thinking(thoughts: tuple[str | None, ...], expected: bool | None, tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "model", chat_template=TEMPLATE)
    with (tmp_path / "rows.jsonl").open("w") as file:
        for thought in thoughts:
            answer = {"role": "assistant", "content": "yes", **({"reasoning_content": thought} if thought else {})}
            file.write(json.dumps({"messages": [{"role": "user", "content": "so?"}, answer]}) + "\n")
    folder = sft(configure(model, tmp_path / "rows.jsonl", tmp_path / "run", loop={"max_steps": 1}))
    record = json.loads((folder / "run.json").read_text())
    assert record["config"]["chat"]["enable_thinking"] is expected
