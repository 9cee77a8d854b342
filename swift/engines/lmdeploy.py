"""LMDeploy: how its server is started, and its own way to be given token ids. By its documentation; not run by us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swift.config.engine import LmdeployConfig
from swift.engines.link import ROOT
from swift.engines.server import Launch, Setting
from swift.engines.wires import UNSUPPORTED, Asked, Delta, Reader, Takes, finish_of, sampling_fields
from swift.errors import ConfigError, RowError
from swift.types import TokenLogprob

BASE_NAME = "base"
ENVIRONMENT = "lmdeploy"

TAKES = Takes(
    server="LMDeploy",
    extras=frozenset(("top_k", "min_p", "repetition_penalty", "ignore_eos", "stop_token_ids")),
    always={"skip_special_tokens": False, "spaces_between_special_tokens": False},
)


@dataclass(frozen=True, slots=True)
class Generate:
    """Its route `/generate`, which takes ids and tells ids; its completions take texts only."""

    takes: Takes = TAKES

    @property
    def path(self) -> str:
        """Beside the server's base address."""
        return f"{ROOT}/generate"

    def body(self, asked: Asked, *, stream: bool) -> dict[str, Any]:
        """The JSON object to be posted.

        Raises:
            RowError: The request asks for what this route cannot do.
        """
        rules = asked.request.sampling
        for name, value in (
            ("seed", None if rules.temperature == 0 else rules.seed),
            ("logit_bias", rules.logit_bias or None),
            ("presence_penalty", rules.presence_penalty or None),
            ("frequency_penalty", rules.frequency_penalty or None),
            ("logprobs above 0", rules.logprobs or None),
        ):
            if value is not None:
                raise RowError(UNSUPPORTED, f"{self.takes.server} has no {name} where prompts are token ids")
        fields = sampling_fields(asked, self.takes)
        fields.pop("seed", None)
        body = {"input_ids": list(asked.ids or ()), "stream": stream, **fields}
        return body | ({"return_logprob": True} if rules.logprobs is not None else {})

    def reader(self) -> Reader:
        """Reads the answer to one request."""
        return _read


def _read(data: Mapping[str, Any]) -> Delta:
    told = data.get("meta_info") or {}
    finish = told.get("finish_reason") or {}
    return Delta(
        text=data.get("text") or "",
        ids=tuple(data.get("output_ids") or ()),
        logprobs=tuple(TokenLogprob(token, "", value) for value, token in told.get("output_token_logprobs") or ()),
        finish=finish_of(finish.get("type")),
        prompt_tokens=told.get("prompt_tokens"),
        tokens=told.get("completion_tokens"),
    )


def launch(config: LmdeployConfig, setting: Setting) -> Launch:
    """The command line; see `swift.engines.vllm.launch`.

    Raises:
        ConfigError: An adapter is to stand beside the model: its route for token ids does not take one.
    """
    if setting.adapters:
        raise ConfigError("lmdeploy takes token ids for whole models only", hint="add --merge_lora true")
    if setting.tokenizer is not None and setting.tokenizer != setting.model:
        raise ConfigError(
            "lmdeploy takes the tokenizer of the model's own folder only", hint="swift export the model first"
        )
    command = [str(setting.python), "-m", "lmdeploy", "serve", "api_server", str(setting.model)]
    command += ["--server-name", "127.0.0.1", "--server-port", str(setting.port), "--model-name", BASE_NAME]
    command += ["--api-keys", setting.key, "--dtype", setting.dtype]
    command += ["--cache-max-entry-count", str(config.memory), "--tp", str(config.tensor_parallel)]
    if setting.length is not None:
        command += ["--session-len", str(setting.length)]
    return Launch(
        engine=ENVIRONMENT,
        command=(*command, *config.arguments),
        url=setting.url,
        health=setting.health,
        key=setting.key,
    )
