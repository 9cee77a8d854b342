"""The web application: routes, errors, and what stands in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from swift import __version__
from swift.config.serve import ServeConfig
from swift.serving import adapters, health, tokens
from swift.serving.anthropic.routes import router as anthropic_router
from swift.serving.chat.routes import router as chat_router
from swift.serving.completions.routes import router as completions_router
from swift.serving.encoding.routes import router as encoding_router
from swift.serving.errors import ApiError, error_response
from swift.serving.guard import Guard, Watch
from swift.serving.keys import Keyring
from swift.serving.link.engine import HostedEngine
from swift.serving.logs import AccessLog
from swift.serving.responses.routes import router as responses_router
from swift.serving.service import Service

ROUTERS = (
    health.router,
    chat_router,
    completions_router,
    encoding_router,
    tokens.router,
    anthropic_router,
    responses_router,
)
"""Every endpoint but those of administrators."""

_LONGEST_MESSAGE = 300


def make_app(config: ServeConfig, service: Service, engine: HostedEngine, *, keys: Keyring, admins: Keyring) -> FastAPI:
    """The application.

    Args:
        config: All of it.
        service: The server's state.
        engine: Started and stopped with the application.
        keys: Who may ask; empty where everyone may.
        admins: Who may load and unload adapters; empty where nobody may.
    """
    app = FastAPI(
        title="swift",
        version=__version__,
        description="A language model behind OpenAI's and Anthropic's APIs.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(engine, service),
        middleware=_middleware(config, service, keys, admins),
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = service
    for router in (*ROUTERS, adapters.router) if config.adapter_root is not None and admins else ROUTERS:
        app.include_router(router)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _bug)
    if keys or admins:
        _declare_keys(app)
    return app


def _lifespan(engine: HostedEngine, service: Service) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await engine.start()
        try:
            yield
        finally:
            await engine.stop()
            service.log.close()

    return lifespan


def _middleware(config: ServeConfig, service: Service, keys: Keyring, admins: Keyring) -> list[Middleware]:
    """From the outside in."""
    log = AccessLog.on_stderr(wanted=config.server.access_log)
    stack = [Middleware(Watch, log=log, metrics=service.metrics)]
    if config.server.cors_origins:
        stack.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(config.server.cors_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "x-api-key", "anthropic-version", "anthropic-beta"],
                expose_headers=["x-request-id", "retry-after"],
            )
        )
    return [*stack, Middleware(Guard, config=config, keys=keys, admins=admins)]


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part != "body"]
    where = ".".join(place)
    message = f"{where}: {first['msg']}" if where else str(first["msg"])
    problem = ApiError(400, _shown(message), param=_shown(where) or None, code=str(first["type"]))
    return error_response(problem, request.url.path)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if not isinstance(error, ApiError):
        words = {404: "there is no such route", 405: "this route does not take that method"}
        message = words.get(error.status_code, str(error.detail))
        error = ApiError(error.status_code, message, headers=error.headers)
    return error_response(error, request.url.path)


async def _bug(request: Request, error: Exception) -> Response:
    """A mistake of ours: the traceback goes to standard error, the client hears nothing of it."""
    del error
    return error_response(ApiError(500, "the server has made a mistake; its log tells more"), request.url.path)


def _shown(text: str) -> str:
    """A text of a client in an answer: without control characters, and short."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[: _LONGEST_MESSAGE - 1]}…"


def _declare_keys(app: FastAPI) -> None:
    """Tell of keys in the OpenAPI document; `Guard` asks for them."""
    document: dict[str, Any] = app.openapi()
    document.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"key": []}]
