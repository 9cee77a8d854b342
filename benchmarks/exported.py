"""What an export loses on plain text, and that it talks: each is loaded once, reads some text, and answers a question.

    python -m benchmarks.exported --model MODEL --text FILE --out FOLDER [--only gptq hqq-4]

FOLDER is that of benchmarks.exports. The text's last tokens are cut into windows without overlap, as papers on
quantization do with WikiText; loss is the increase of perplexity over the source's. A result in FOLDER/text.json is not
measured again.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.exports import WAYS
from swift.chat.codec import Codec
from swift.chat.encode import prompt_ids
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.engines import llamacpp
from swift.engines.folders import Plan
from swift.environments.store import home, require
from swift.exporting.certificate.llama import LlamaSubject
from swift.exporting.certificate.subject import ModelSubject, Subject
from swift.types import Conversation, Message, Origin

SOURCE = "source"


def main() -> None:
    """Measure what was not measured yet, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--length", type=int, default=512, help="tokens of a window")
    parser.add_argument("--question", default="What is the capital of France?")
    parser.add_argument("--only", nargs="*", default=[SOURCE, *WAYS], choices=[SOURCE, *WAYS])
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    source = ModelSubject(planned(arguments.model), "the source")
    file = arguments.out / "text.json"
    for name in arguments.only:
        known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        place = arguments.out / name
        if name not in known and (name == SOURCE or (place / "certificate.json").is_file()):
            subject = source if name == SOURCE else subject_of(place)
            known[name] = measured(subject, source.codec, arguments)
            file.write_text(json.dumps(known, indent=1), encoding="utf-8")
    print(table(json.loads(file.read_text(encoding="utf-8"))))


def planned(model: str) -> Plan:
    """A model as it is."""
    return Plan(ModelConfig(id=model, device="cpu", dtype="auto"), {}, ChatConfig(), None, MediaConfig())


def subject_of(place: Path) -> Subject:
    """What was exported to a folder."""
    gguf = place / "model.gguf"
    if gguf.is_file():
        return LlamaSubject(gguf, require(llamacpp.ENVIRONMENT, home()))
    return ModelSubject(planned(str(place)), place.name)


def measured(subject: Subject, codec: Codec, arguments: argparse.Namespace) -> dict[str, Any]:
    """Mean loss in nats a token, and an answer."""
    length = arguments.length
    ids = codec.encode_text(arguments.text.read_text(encoding="utf-8"))[-arguments.windows * length :]
    rows = [(ids[start : start + length], np.arange(length - 1)) for start in range(0, len(ids), length)]
    total = 0.0
    for (window, _), logits in zip(rows, subject.predictions(rows), strict=True):
        chances = logits.double().log_softmax(-1)
        total -= float(chances.gather(-1, torch.tensor(window[1:])[:, None]).sum())
    talk = Conversation((Message("user", arguments.question),), Origin("benchmark", 1))
    said = subject.answers([tuple(prompt_ids(talk, codec, ChatConfig()))], 24, codec.eos_ids)
    spoken = [token for token in said.tokens[0] if token not in codec.eos_ids]
    return {"loss": total / (len(rows) * (length - 1)), "answer": codec.decode(spoken)}


def table(known: dict[str, dict[str, Any]]) -> str:
    """A row for each way."""
    before = known[SOURCE]["loss"]
    lines = ["| way | perplexity of text | more | nats more | an answer |", "|---|---:|---:|---:|---|"]
    for name in (SOURCE, *WAYS):
        if name in known:
            more = known[name]["loss"] - before
            values: Sequence[str] = (
                name,
                f"{math.exp(known[name]['loss']):.2f}",
                f"{math.expm1(more):.1%}",
                f"{more:.3f}",
                known[name]["answer"].strip().replace("\n", " "),
            )
            lines.append(f"| {' | '.join(values)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
