"""Measures a GGUF file by llama.cpp; run as a file, by the interpreter of the environment `llamacpp`.

`llama_measure.py JOB RESULT`, two JSON files. The job has `model`, `threads`, and an `action`:

    logits    `rows`, sequences of token ids, and `places`, positions in each: what is predicted there goes into the
              file `into`, float32 [all places, vocabulary]; the result has `vocabulary` and `load_seconds`
    answers   `prompts` of token ids, `new_tokens`, `stops`: greedy answers; the result has `answers` and `seconds`
    text      `texts` and `talks`: what llama.cpp's tokenizer makes of the texts, and what the file's own chat template,
              rendered as llama-cpp-python's server does, makes of the messages; the result has `ids`, `rendered`,
              `template`, and of `stops` those at which llama.cpp ends an answer
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import llama_cpp
import numpy as np


def opened(job: dict[str, Any], context: int, *, every: bool) -> Any:
    """The model; `every` keeps the logits of every token."""
    return llama_cpp.Llama(
        job["model"],
        n_ctx=context,
        n_threads=job["threads"],
        n_threads_batch=job["threads"],
        logits_all=every,
        verbose=False,
    )


def logits(job: dict[str, Any]) -> dict[str, Any]:
    """Predictions of the rows."""
    begun = time.monotonic()
    model = opened(job, max(map(len, job["rows"])) + 1, every=True)
    seconds = time.monotonic() - begun
    with open(job["into"], "wb") as stream:
        for row, places in zip(job["rows"], job["places"], strict=True):
            model.reset()
            model.eval(row)
            stream.write(np.ascontiguousarray(model.scores[places], dtype=np.float32).tobytes())
    return {"vocabulary": model.n_vocab(), "load_seconds": seconds}


def answers(job: dict[str, Any]) -> dict[str, Any]:
    """Greedy answers to the prompts, one after the other."""
    model = opened(job, max(map(len, job["prompts"])) + job["new_tokens"] + 1, every=False)
    stops, found = set(job["stops"]), []
    begun = time.monotonic()
    for prompt in job["prompts"]:
        answer: list[int] = []
        for token in model.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0, reset=True):
            answer.append(token)
            if token in stops or len(answer) == job["new_tokens"]:
                break
        found.append(answer)
    return {"answers": found, "seconds": time.monotonic() - begun}


def text(job: dict[str, Any]) -> dict[str, Any]:
    """What the file itself makes of texts and messages."""
    model = llama_cpp.Llama(job["model"], vocab_only=True, verbose=False)
    vocabulary = llama_cpp.llama_model_get_vocab(model.model)
    template = model.metadata.get("tokenizer.chat_template", "")
    named = {name: _token(model, name) for name in ("bos", "eos")}
    rendered: list[str] = []
    if template:
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        render = Jinja2ChatFormatter(template, named["eos"], named["bos"], add_generation_prompt=True)
        rendered = [render(messages=talk).prompt for talk in job["talks"]]
    return {
        "template": template,
        "rendered": rendered,
        "ids": [model.tokenize(words.encode(), add_bos=False, special=True) for words in job["texts"]],
        "stops": [token for token in job["stops"] if llama_cpp.llama_vocab_is_eog(vocabulary, token)],
    }


def _token(model: Any, name: str) -> str:
    """The text of a special token; empty where the file names none."""
    number = int(model.metadata.get(f"tokenizer.ggml.{name}_token_id", -1))
    return "" if number < 0 else str(model.detokenize([number], special=True).decode())


def main(words: list[str]) -> None:
    """Do the job."""
    with open(words[0], encoding="utf-8") as file:
        job = json.load(file)
    result = {"logits": logits, "answers": answers, "text": text}[job["action"]](job)
    with open(words[1], "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main(sys.argv[1:])
