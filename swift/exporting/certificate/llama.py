"""GGUF files, measured by llama.cpp itself."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from swift.chat.codec import Codec
from swift.chat.encode import prompt_text
from swift.chat.messages import prepare
from swift.chat.template import wire_messages
from swift.config.chat import ChatConfig
from swift.environments import llama_measure_file
from swift.environments.guarded import run_guarded
from swift.environments.process import cores, variables_with
from swift.environments.store import Environment
from swift.errors import EngineError
from swift.exporting.certificate.certificate import Check
from swift.exporting.certificate.subject import Answers, Row
from swift.exporting.rows import Sample
from swift.hub.network import one_line
from swift.hub.scratch import scratch_folder
from swift.types import Conversation


class LlamaSubject:
    """A GGUF file; every question to it is a process of its own.

    Args:
        file: The model.
        environment: Has llama.cpp.
    """

    def __init__(self, file: Path, environment: Environment) -> None:
        self._file, self._environment = file, environment
        self.name = f"by llama.cpp ({environment.version})"
        self.size = file.stat().st_size
        self.load_seconds = 0.0

    def predictions(self, rows: Sequence[Row]) -> Iterator[Tensor]:
        """Of each row: logits [places, vocabulary], in float32.

        Raises:
            EngineError: llama.cpp cannot load the file, or fails.
        """
        with scratch_folder("swift-logits-") as place:
            into = place / "logits.bin"
            job = {"rows": [list(ids) for ids, _ in rows], "places": [places.tolist() for _, places in rows]}
            told = self._ask("logits", **job, into=str(into))
            self.load_seconds = told["load_seconds"]
            kept = np.memmap(into, dtype=np.float32, mode="r").reshape(-1, told["vocabulary"])
            start = 0
            for _, places in rows:
                yield torch.from_numpy(np.array(kept[start : start + len(places)]))
                start += len(places)

    def answers(self, prompts: Sequence[tuple[int, ...]], new_tokens: int, stops: frozenset[int]) -> Answers:
        """Greedy answers to prompts of token ids, one after the other.

        Raises:
            EngineError: llama.cpp fails.
        """
        told = self._ask(
            "answers", prompts=[list(prompt) for prompt in prompts], new_tokens=new_tokens, stops=sorted(stops)
        )
        tokens = tuple(map(tuple, told["answers"]))
        return Answers(tokens, told["seconds"], sum(bool(answer) and answer[-1] in stops for answer in tokens))

    def text_checks(self, samples: Sequence[Sample], codec: Codec, chat: ChatConfig) -> list[Check]:
        """The file's own template and tokenizer make the tokens that the source makes, and the same ones end answers.

        Raises:
            EngineError: llama.cpp cannot load the file.
        """
        talks = [sample.row for sample in samples if isinstance(sample.row, Conversation) and not sample.row.tools]
        texts = [prompt_text(talk, codec, chat) for talk in talks]
        rows = [codec.decode(sample.tokens.ids.tolist()) for sample in samples]
        wires = [_asked(talk, codec, chat) for talk in talks]
        told = self._ask("text", texts=[*texts, *rows], talks=wires, stops=sorted(codec.eos_ids))
        expected = [codec.encode(text) for text in [*texts, *rows]]
        wrong = sum(mine != theirs for mine, theirs in zip(told["ids"], expected, strict=True))
        checks = [Check("tokenizer", not wrong, f"{len(expected) - wrong} of {len(expected)} texts, the same tokens")]
        if codec.template.source:
            same = sum(mine == theirs for mine, theirs in zip(told["rendered"], texts, strict=False))
            detail = f"{same} of {len(texts)} prompts, the same text by the file's own template"
            checks.append(Check("template", bool(told["template"]) and same == len(texts), detail))
        missing = sorted(codec.eos_ids - set(told["stops"]))
        named = ", ".join(codec.decode([stop]) for stop in missing)
        checks.append(Check("stop tokens", not missing, f"llama.cpp goes on behind {named}" if missing else "known"))
        return checks

    def _ask(self, action: str, **job: Any) -> Mapping[str, Any]:
        with tempfile.TemporaryDirectory(prefix="swift-llama-") as place:
            asked, told = Path(place) / "job.json", Path(place) / "result.json"
            asked.write_text(json.dumps({"action": action, "model": str(self._file), "threads": cores(), **job}))
            command = [str(self._environment.python), "-I", str(llama_measure_file()), str(asked), str(told)]
            code, said = run_guarded(command, variables_with({}))
            if code:
                lines = said.strip().splitlines() or [f"exit code {code}"]
                raise EngineError(f"llama.cpp cannot use {self._file.name}: {one_line(lines[-1])}")
            found: Mapping[str, Any] = json.loads(told.read_text(encoding="utf-8"))
            return found


def _asked(talk: Conversation, codec: Codec, chat: ChatConfig) -> list[dict[str, Any]]:
    """The turns before the answer, as a client would send them."""
    prepared = prepare(talk, codec, chat)
    count = len(prepared.messages)
    while count and prepared.messages[count - 1].role == "assistant":
        count -= 1
    return wire_messages(prepared.messages[:count], codec.template.dialect)
