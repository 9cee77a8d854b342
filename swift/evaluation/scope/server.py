"""What evalscope asks: a server of ours over the model, which ends with the command, or the user's own address."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from swift.config.engine import OpenaiConfig
from swift.config.runs import EvalConfig
from swift.config.serve import ServeConfig, ServeLimits, ServerConfig
from swift.engines.folders import Plan
from swift.engines.link import base_url
from swift.engines.remote import key_of, linked, served_by
from swift.environments.deployed import Child
from swift.errors import SwiftError

_BASE = "base"


@dataclass(frozen=True, slots=True)
class Asked:
    """A server.

    Attributes:
        url: Its address.
        key: What it wants to be shown; None for nothing.
        model: Its name for the model.
        child: The process, where it is one of ours.
    """

    url: str
    key: str | None
    model: str
    child: Child | None = None

    def failure(self) -> SwiftError | None:
        """Why it is gone, if it is."""
        return self.child.failure() if self.child is not None and self.child.state == "ended" else None


@contextmanager
def asked(config: EvalConfig, plan: Plan, at_once: int) -> Iterator[Asked]:
    """The server, ready to answer.

    Raises:
        SwiftError: The model cannot be loaded, or the user's server does not answer or has no such model.
    """
    engine = config.engine
    if isinstance(engine, OpenaiConfig) and engine.url is not None:
        link = linked(engine)
        try:
            served = served_by(link, engine, plan, None)
        finally:
            link.close()
        yield Asked(base_url(engine.url), key_of(engine), served.model)
        return
    key = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory(prefix="swift-eval-") as place:
        child = Child(server_of(config, key, at_once), Path(place), on_end=lambda: None)
        try:
            url = child.wait_ready()
            name = _BASE if config.merge_lora else next(iter(plan.adapters), _BASE)
            yield Asked(f"{url}/v1", key, name, child)
        finally:
            child.stop()


def server_of(config: EvalConfig, key: str, at_once: int) -> ServeConfig:
    """The server: on a free port of the loopback address, with a key of its own.

    Args:
        config: Of the evaluation.
        key: What requests carry.
        at_once: How many come at a time.
    """
    return ServeConfig(
        model=config.model,
        adapters=config.adapters,
        served_model_name=_BASE,
        server=ServerConfig(port=0, api_keys=(f"eval={key}",), access_log=False, drain_seconds=0.0),
        # A question waits for those before it, however slow the model is; texts of sets may hold anything.
        limits=ServeLimits(max_running=at_once, request_seconds=86_400.0, special_tokens=True),
        media=config.media,
        chat=config.chat.model_copy(update={"system": None}),
        max_batch_tokens=config.max_batch_tokens,
        max_batch_size=config.max_batch_size,
        merge_lora=config.merge_lora,
        engine=config.engine,
        plugins=config.plugins,
    )
