"""`POST /v1/load_lora_adapter` and `POST /v1/unload_lora_adapter`, in vLLM's form, for administrators only."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from swift.engines.folders import read_checkpoint
from swift.errors import CheckpointError
from swift.serving import links
from swift.serving.errors import ApiError, bad
from swift.serving.health import ModelCard, card
from swift.serving.http import AdminRoute, answer, service_of
from swift.serving.wire import ERRORS, Told, Wire

router = APIRouter(route_class=AdminRoute)
"""Its routes."""

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@:-]{0,127}$")]


class LoadRequest(Wire):
    """An adapter, and what it is to be called. Its path lies below the server's folder of adapters."""

    lora_name: Name
    lora_path: Annotated[str, Field(min_length=1, max_length=4096)]


class UnloadRequest(Wire):
    """The name of an adapter."""

    lora_name: str


class Unloaded(Told):
    """An adapter is no longer served."""

    id: str
    object: Literal["model"]
    deleted: Literal[True]


@router.post(
    "/v1/load_lora_adapter",
    summary="Serve one more adapter",
    responses={200: {"model": ModelCard, "links": links.OF_LOAD}, **ERRORS},
    response_class=Response,
)
async def load_lora_adapter(body: LoadRequest, request: Request) -> Response:
    """Load a LoRA adapter; when this is answered, it is a model like others."""
    service = service_of(request)
    assert service.adapter_root is not None
    folder = await asyncio.to_thread(inside, Path(service.adapter_root), body.lora_path)
    await service.load_adapter(body.lora_name, folder)
    return answer(card(body.lora_name, service))


@router.post(
    "/v1/unload_lora_adapter",
    summary="Serve an adapter no longer",
    responses={200: {"model": Unloaded, "links": links.OF_UNLOAD}, **ERRORS},
    response_class=Response,
)
async def unload_lora_adapter(body: UnloadRequest, request: Request) -> Response:
    """Take no more requests for an adapter; answers that are under way are finished."""
    await service_of(request).unload_adapter(body.lora_name)
    return answer({"id": body.lora_name, "object": "model", "deleted": True})


def inside(root: Path, path: str) -> Path:
    """The folder of an adapter, which must lie below `root` with all its files, links followed.

    Args:
        root: The folder of adapters.
        path: Relative to it, or absolute. A run folder stands for its best checkpoint.

    Raises:
        ApiError: 403 where it lies elsewhere, 400 where there is no adapter.
    """
    top = root.expanduser().resolve()
    if "\0" in path or ".." in Path(path).parts:
        raise _outside()
    _require_below(top / path, top)
    try:
        checkpoint = read_checkpoint(top / path)
    except (CheckpointError, OSError):
        raise bad("there is no adapter at this path", "lora_path", "adapter_not_found") from None
    for name in (".", _CONFIG, _WEIGHTS):
        _require_below(checkpoint.path / name, top)
    if not checkpoint.adapter:
        raise bad("there is no adapter at this path", "lora_path", "adapter_not_found")
    return checkpoint.path.resolve()


def _require_below(path: Path, top: Path) -> None:
    try:
        found = path.resolve()
    except (OSError, RuntimeError):  # such as links in a circle
        raise _outside() from None
    if not found.is_relative_to(top):
        raise _outside()


def _outside() -> ApiError:
    message = "adapters are loaded only from the server's folder of adapters"
    return ApiError(403, message, "lora_path", "adapter_outside")
