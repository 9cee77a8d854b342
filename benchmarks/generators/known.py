"""Greedy answers of the engine alone, cut before the first token whose choice is close."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from swift.config.chat import ChatConfig
from swift.config.model import ModelConfig
from swift.engines.folders import Plan
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.types import Completion, Conversation, Message, Origin, Request, Sampling


def main(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Prompts with an answer that other batches give too: text, tokens, and why it ends."""
    engine = load_engine(
        Plan(ModelConfig(id=job["model"], dtype=job["dtype"]), {}, ChatConfig(), None), limits=Limits()
    )
    rules = Sampling(max_new_tokens=job["longest"], logprobs=2)
    chats = [Conversation((Message("user", text),), Origin("load", 1)) for text in job["prompts"]]
    found = []
    for text, answer in zip(job["prompts"], engine.generate([Request(chat, rules) for chat in chats]), strict=True):
        assert isinstance(answer, Completion)
        assert answer.logprobs is not None
        sure = 0
        for token in answer.logprobs:
            if token.top[0].logprob - token.top[1].logprob < job["margin"]:
                break
            sure += 1
        if sure < job["shortest"]:
            continue
        whole = sure == len(answer.token_ids) and answer.finish == "stop"
        ids = answer.token_ids[:-1] if whole else answer.token_ids[:sure]
        said = engine.codec.decode(ids).strip()
        found.append({"prompt": text, "answer": said, "tokens": sure, "finish": "stop" if whole else "length"})
    return found


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
