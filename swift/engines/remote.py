"""Engines at an address: what kind of server is there, what it has, and how its prompts are sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE

from swift.chat.codec import Codec
from swift.chat.template import ChatTemplate, Dialect
from swift.config.engine import OpenaiConfig, ServedConfig, engine_name
from swift.engines import lmdeploy, sglang, vllm
from swift.engines.folders import Plan
from swift.engines.link import Address, Link, base_url
from swift.engines.merged import TextSide, text_side
from swift.engines.messages import TOOLS
from swift.engines.openai import OpenAIEngine
from swift.engines.served import Served
from swift.engines.wires import Takes, Wire
from swift.environments.process import variable
from swift.errors import ConfigError, RowError

PLAIN = Takes("the server")
"""What every server takes."""

_OURS = Takes(
    "swift deploy",
    extras=frozenset(("top_k", "min_p", "repetition_penalty", "min_tokens", "ignore_eos", "stop_token_ids")),
    scores="echo",
    bare_echo=True,
)

_KINDS: Mapping[str, Takes] = {"vllm": vllm.TAKES, "sglang": sglang.TAKES, "swift": _OURS}
"""What servers call themselves as owners of their models, to what they take."""

_WIRES: Mapping[str, Wire] = {"lmdeploy": lmdeploy.Generate()}

_TYPES: Mapping[str, Takes] = {"vllm": vllm.TAKES, "sglang": sglang.TAKES, "lmdeploy": lmdeploy.TAKES}


@dataclass(frozen=True, slots=True)
class Listed:
    """What a server says of its models.

    Attributes:
        names: Of whole models.
        adapters: Of what stands beside one.
        owner: What the server calls itself; empty where it does not say.
        context: Tokens that it takes; None where it does not say.
    """

    names: tuple[str, ...]
    adapters: tuple[str, ...]
    owner: str
    context: int | None


def connect(config: ServedConfig, plan: Plan) -> OpenAIEngine:
    """The engine at the address that the user names.

    Args:
        config: With an address.
        plan: The model, where it is named; its weights are not read.

    Raises:
        ConfigError: The server does not have what is wanted, or does not accept the key.
        EngineError: It cannot be reached.
    """
    link = linked(config)
    try:
        side = text_side(plan) if plan.model.id else None
        served = served_by(link, config, plan, side)
        codec = foreign_codec() if side is None else side.codec
        return OpenAIEngine(link, served, codec, plan.chat, plan.media)
    except BaseException:
        link.close()
        raise


def linked(config: ServedConfig) -> Link:
    """The connection to the address that the user names.

    Raises:
        ConfigError: The variable of the key is not set.
    """
    assert config.url is not None
    return Link(Address(base_url(config.url), key_of(config), config.at_once, config.timeout, config.retries))


def served_by(link: Link, config: ServedConfig, plan: Plan, side: TextSide | None) -> Served:
    """What is known of the server at the other end.

    Args:
        link: The connection.
        config: With an address.
        plan: The model, where it is named.
        side: Its text side; None where it is not named.

    Raises:
        ConfigError: The server does not have what is wanted, or does not accept the key.
        EngineError: It cannot be reached.
    """
    listed = list_models(link)
    kind = engine_name(config)
    send = config.send if isinstance(config, OpenaiConfig) else "ids"
    if send == "auto":
        send = "ids" if plan.model.id else "messages"
    return Served(
        model=_model(config, listed, plan),
        takes=_TYPES.get(kind) or _KINDS.get(listed.owner) or PLAIN,
        send=send,
        adapters={name: name for name in plan.adapters if name in listed.adapters},
        context=listed.context or (None if side is None else side.positions),
        wire=_WIRES.get(kind),
    )


def key_of(config: ServedConfig) -> str | None:
    """The key, given or in a variable.

    Raises:
        ConfigError: The variable is not set.
    """
    if config.api_key_variable is None:
        return config.api_key
    value = variable(config.api_key_variable)
    if not value:
        raise ConfigError(f"--api_key_env: the variable {config.api_key_variable} is not set", hint="set it")
    return value


def list_models(link: Link) -> Listed:
    """Ask a server what it has; one that does not tell has nothing to tell.

    Raises:
        ConfigError: It does not accept the key.
        EngineError: It cannot be reached.
    """
    try:
        data = link.spawn(link.get("/models")).result()
    except RowError:
        data = {}
    except ConfigError as error:
        if "does not know" not in error.message:
            raise
        data = {}
    entries = [entry for entry in data.get("data") or () if isinstance(entry, Mapping) and entry.get("id")]
    whole = [entry for entry in entries if not entry.get("parent")]
    lengths = [entry["max_model_len"] for entry in entries if isinstance(entry.get("max_model_len"), int)]
    return Listed(
        names=tuple(str(entry["id"]) for entry in whole),
        adapters=tuple(str(entry["id"]) for entry in entries if entry.get("parent")),
        owner=str(entries[0].get("owned_by") or "") if entries else "",
        context=min(lengths, default=None),
    )


def _model(config: ServedConfig, listed: Listed, plan: Plan) -> str:
    """The name to ask for.

    Raises:
        ConfigError: It is not clear, or the server has no such thing.
    """
    if config.model_name is not None:
        known = (*listed.names, *listed.adapters)
        if known and config.model_name not in known:
            raise ConfigError(f"{config.url} has no {config.model_name!r}", hint=f"it has {_some(known)}")
        return config.model_name
    missing = [name for name in plan.adapters if name not in listed.adapters]
    if missing:
        raise ConfigError(
            f"{config.url} has no adapter {missing[0]!r}",
            hint=f"say what it calls it: --served_model_name; it has {_some((*listed.names, *listed.adapters))}",
        )
    if len(listed.names) != 1:
        what = _some(listed.names) if listed.names else "it does not say what it has"
        raise ConfigError(f"{config.url}: which model?", hint=f"--served_model_name NAME; {what}")
    return listed.names[0]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def foreign_codec() -> Codec:
    """The text side of a model that only its server knows: it renders nothing, and reads answers of `Messages`."""
    values: dict[str, Any] = {"stops": (), "added_ids": frozenset(), "number_of": {}, "anchor": None}
    return Codec(
        tokenizer=Tokenizer(BPE()),
        template=ChatTemplate("", dialect=Dialect(reasoning="field")),
        eos_ids=frozenset(),
        end_id=0,
        pad_id=0,
        bos_id=None,
        vocab_size=0,
        max_length=0,
        template_source="the server's own",
        fingerprint="",
        special=re.compile(r"(?!)"),
        added=None,
        known_bytes=None,
        writes_tools=TOOLS,
        **values,
    )
