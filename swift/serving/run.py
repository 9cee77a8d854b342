"""`swift deploy`: from a configuration to a server that listens, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from types import FrameType

import uvicorn

from swift.config.rules import require
from swift.config.serve import ServeConfig
from swift.data.plugins import load_plugins
from swift.engines.folders import Plan
from swift.engines.open import plan_of
from swift.errors import ConfigError, SwiftError
from swift.serving.app import make_app
from swift.serving.guard import is_loopback
from swift.serving.keys import Keyring, read_keys
from swift.serving.link.engine import HostedEngine, State
from swift.serving.link.wire import HostPlan
from swift.serving.protocol import connection_class
from swift.serving.service import Service

LOADER = "swift.serving.link.load:load"
"""What loads the engine in the host's process."""

_GRACE = 5
"""Seconds that answers get to tell that they were given up, after the time to finish has run out."""


def serve(config: ServeConfig, *, loader: str = LOADER) -> int:
    """Serve a model until SIGINT or SIGTERM; returns the exit code, 0.

    Args:
        config: All of it.
        loader: "module:function" that makes a `Live` engine of a `HostPlan`, in the host's process.

    Raises:
        SwiftError: The configuration, the address or the model cannot be used.
    """
    require(config)
    keys = read_keys(config.server.api_keys)
    if not keys and not is_loopback(config.server.host):
        raise ConfigError(
            f"--host {config.server.host} can be reached by others, and no key is asked for",
            hint="give --api_keys NAME=KEY or a file of them, or leave the host at 127.0.0.1",
        )
    _admins(config)
    load_plugins(config.plugins)
    plan = plan_of(config)
    listening = listen(config.server.host, config.server.port)
    with listening:
        return _serve(config, plan, listening, loader=loader)


def _serve(config: ServeConfig, plan: Plan, listening: socket.socket, *, loader: str) -> int:
    scheme = "http" if config.server.ssl_certfile is None else "https"
    host = f"[{config.server.host}]" if ":" in config.server.host else config.server.host
    address = f"{scheme}://{host}:{listening.getsockname()[1]}"
    engine = HostedEngine(host_plan(config, plan, loader=loader), on_state=lambda state: told(state))
    keys, admins = read_keys(config.server.api_keys), _admins(config)
    name = config.served_model_name or short_name(plan.model.id)
    service = Service(config, engine, model_name=name, rates={**keys.tokens, **admins.tokens})
    app = make_app(config, service, engine, keys=keys, admins=admins)
    server = Server(_uvicorn(config, app), service, config.server.drain_seconds)

    def told(state: State) -> None:
        service.metrics.told(state)
        if state == "ready" and engine.ready is not None:
            say(f"{', '.join(service.models)}: {engine.ready.description}")
            say(f"serving at {address}")
            for name in engine.lost:
                say(f"the adapter {name} could not be loaded again")
        elif state == "down":
            service.metrics.restarts.inc()
            say("the engine's process has died; it is started again")
        elif state == "failed":
            server.should_exit = True

    service.metrics.told("loading")
    say(f"listening on {address}; the model is being loaded")
    before = {number: signal.signal(number, _nothing) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        asyncio.run(server.serve(sockets=[listening]))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if engine.failure is not None:
        raise engine.failure
    return 0


class Server(uvicorn.Server):
    """uvicorn's server, which tells the service when it begins to end.

    Args:
        config: uvicorn's.
        service: What is told.
        drain_seconds: How long running requests may go on.
    """

    def __init__(self, config: uvicorn.Config, service: Service, drain_seconds: float) -> None:
        super().__init__(config)
        self._service = service
        self._drain_seconds = drain_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let requests finish, and give up those that take too long."""
        self._service.close()
        timer = asyncio.get_running_loop().call_later(self._drain_seconds, self._service.end)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()


def _admins(config: ServeConfig) -> Keyring:
    return read_keys(config.server.admin_keys, flag="--admin_keys")


def _uvicorn(config: ServeConfig, app: object) -> uvicorn.Config:
    server, limits = config.server, config.limits
    try:
        made = uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=connection_class(limits),
            ws="none",
            lifespan="on",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=server.ssl_certfile,
            ssl_keyfile=server.ssl_keyfile,
            h11_max_incomplete_event_size=limits.head_kilobytes * 1000,
            timeout_graceful_shutdown=int(server.drain_seconds) + _GRACE,
        )
        made.load()
        return made
    except OSError as error:
        raise ConfigError(f"--ssl_certfile: the certificate cannot be used: {error.strerror}") from error


def host_plan(config: ServeConfig, plan: Plan, *, loader: str = LOADER) -> HostPlan:
    """What the host loads."""
    return HostPlan(
        plan=plan,
        loader=loader,
        max_batch_tokens=config.max_batch_tokens,
        max_batch_size=config.max_batch_size,
        merge_lora=config.merge_lora,
        engine=config.engine,
        max_length=config.max_model_len,
        hot=config.adapter_root is not None,
        plugins=config.plugins,
        prompt_tokens=config.limits.prompt_tokens,
        special_tokens=config.limits.special_tokens,
        encoding=config.encoding,
    )


def short_name(model: str) -> str:
    """The last part of a model's id or path, without a revision."""
    last = model.rstrip("/").rpartition("/")[2].partition("@")[0]
    return last.rpartition(":")[2] or "model"


def say(line: str) -> None:
    """A line for the user."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        SwiftError: The address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise SwiftError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint="choose another --port; 0 takes a free one",
        ) from error
    return listening


def _nothing(number: int, frame: FrameType | None) -> None:
    """uvicorn raises the signal again when it is done; what it asks for has been done by then."""
