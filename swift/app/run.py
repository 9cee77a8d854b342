"""`swift app`: from a configuration to a page in the browser, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from swift.app.gate import Gate
from swift.app.handlers import Handlers
from swift.app.page import CSS, build
from swift.app.session import Sessions
from swift.config.app import AppConfig, PageConfig, server_of
from swift.config.rules import require
from swift.environments.deployed import DEPLOY, Child
from swift.environments.process import variable, variable_set
from swift.errors import ConfigError
from swift.hub.scratch import scratch_folder
from swift.serving.client import AsyncInferClient
from swift.serving.guard import is_loopback, local_names
from swift.serving.keys import Keyring, read_keys
from swift.serving.run import listen, say

_RETRIES = 2
_GRACE = 1
"""Seconds that open pages get when the app ends."""


def run_app(config: AppConfig, *, command: Sequence[str] = DEPLOY) -> int:
    """Show the page until SIGINT or SIGTERM; returns the exit code, 0.

    Args:
        config: All of it.
        command: What starts the server, before its configuration file; only where there is no `remote.url`.

    Raises:
        SwiftError: The configuration, the address or the model cannot be used.
    """
    require(config)
    keys = read_keys(config.page.auth, flag="--auth", rates=False)
    if not keys and not is_loopback(config.page.host):
        raise ConfigError(
            f"--host {config.page.host} can be reached by others, and no password is asked for",
            hint="give --auth NAME=PASSWORD or a file of them, or leave the host at 127.0.0.1",
        )
    key = _key(config)
    with ExitStack() as stack:
        listening = stack.enter_context(listen(config.page.host, config.page.port))
        folder = stack.enter_context(scratch_folder("swift-app-"))
        uploads = folder / "uploads"
        uploads.mkdir()
        stack.enter_context(variable_set("GRADIO_TEMP_DIR", str(uploads)))
        server = Server()
        child = None
        url = config.remote.url
        if url is None:
            key = secrets.token_urlsafe(32)
            child = Child(server_of(config, key), folder, on_end=server.end, command=command)
            stack.callback(child.stop)
            url = child.wait_listening()
        server.run(config, listening, _page(config, url, key, keys, uploads, child), child)
        if child is not None and child.state == "ended":
            raise child.failure()
    return 0


class Server:
    """uvicorn in the main thread; `end` may be called from any other."""

    def __init__(self) -> None:
        self._ended = False
        self._server: uvicorn.Server | None = None

    def end(self) -> None:
        """Stop serving."""
        self._ended = True
        if self._server is not None:
            self._server.should_exit = True

    def run(self, config: AppConfig, listening: socket.socket, app: ASGIApp, child: Child | None) -> None:
        """Serve until a signal or `end`."""
        server = self._server = uvicorn.Server(_uvicorn(config.page, app))
        if self._ended:
            return
        say(f"the page is at {_address(config.page, listening)}")
        if child is not None and child.state == "loading":
            say("the model is being loaded")
        before = {number: signal.signal(number, _nothing) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            asyncio.run(server.serve(sockets=[listening]))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _page(config: AppConfig, url: str, key: str | None, keys: Keyring, uploads: Path, child: Child | None) -> ASGIApp:
    """The page behind its gate."""
    page = config.page
    client = AsyncInferClient(url, api_key=key, timeout=config.remote.timeout, retries=_RETRIES)
    sessions = Sessions(client, most=page.sessions, folder=uploads)
    loading: Callable[[], bool] = lambda: child is not None and child.state == "loading"  # noqa: E731
    handlers = Handlers(sessions, models=client.models, loading=loading)
    blocks = build(config, handlers)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        server_name=page.host,
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=page.upload_megabytes * 1_000_000,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        css=CSS,
    )
    blocks.has_launched = True  # without it, gradio takes files from anywhere
    return Gate(
        app,
        hosts=None if keys else local_names(page.host),
        keys=keys,
        uploads=uploads,
        upload=page.upload_megabytes * 1_000_000,
        all_uploads=page.uploads_megabytes * 1_000_000,
    )


def _key(config: AppConfig) -> str | None:
    name = config.remote.api_key_variable
    if name is None:
        return None
    value = variable(name)
    if not value:
        raise ConfigError(f"--api_key_env: the environment variable {name} is not set", hint=f"export {name}=...")
    if not value.isascii() or not value.isprintable():
        raise ConfigError(f"--api_key_env: the value of {name} is no key", hint="it must be printable ASCII")
    return value


def _uvicorn(page: PageConfig, app: ASGIApp) -> uvicorn.Config:
    # What uvicorn has to say of requests that break off is of no use to who runs the page.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    try:
        made = uvicorn.Config(
            app,
            ws="none",
            lifespan="on",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=page.ssl_certfile,
            ssl_keyfile=page.ssl_keyfile,
            timeout_graceful_shutdown=_GRACE,
        )
        made.load()
        return made
    except OSError as error:
        raise ConfigError(f"--ssl_certfile: the certificate cannot be used: {error.strerror}") from error


def _address(page: PageConfig, listening: socket.socket) -> str:
    scheme = "http" if page.ssl_certfile is None else "https"
    host = f"[{page.host}]" if ":" in page.host else page.host
    return f"{scheme}://{host}:{listening.getsockname()[1]}"


def _nothing(number: int, frame: FrameType | None) -> None:
    """uvicorn raises the signal again when it is done; what it asks for has been done by then."""
