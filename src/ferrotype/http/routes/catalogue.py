"""`/v1/models`, `/v1/operations` and `/v1/styles`: what can be ordered."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from ferrotype.domain.problems import Problem
from ferrotype.http.context import Context, context_of

router = APIRouter(prefix="/v1", tags=["catalogue"])

Ctx = Annotated[Context, Depends(context_of)]


@router.get("/models", summary="List models")
async def models(context: Ctx) -> dict[str, Any]:
    """Every model with its capabilities; `available` says whether a provider for it is configured."""
    defaults = {}
    operations = sorted({op for model in context.catalogue.models.values() for op in model.operations})
    for operation in operations:
        try:
            chosen = context.catalogue.choose(
                None, operation, context.routing.configured, context.admit.default_model
            )
        except Problem:
            continue
        defaults[operation] = chosen.name
    data = []
    for model in context.catalogue.models.values():
        entry = model.model_dump(by_alias=True, exclude={"deployments"})
        entry |= {
            "id": model.name,
            "object": "model",
            "providers": sorted({d.provider for d in model.deployments}),
            "available": any(d.provider in context.routing.configured for d in model.deployments),
            "default_for": [operation for operation, name in defaults.items() if name == model.name],
        }
        data.append(entry)
    return {"object": "list", "data": data}


@router.get("/operations", summary="List operations")
async def operations(context: Ctx) -> dict[str, Any]:
    """What can be asked, with its inputs; `models` are those that serve it and are available."""
    configured = context.routing.configured
    data = []
    for operation in context.catalogue.operations.values():
        serving = [
            model.name
            for model in context.catalogue.models.values()
            if operation.name in model.operations and any(d.provider in configured for d in model.deployments)
        ]
        data.append(operation.model_dump() | {"object": "operation", "models": serving})
    return {"object": "list", "data": data}


@router.get("/styles", summary="List styles and aspect ratios")
async def styles(context: Ctx) -> dict[str, Any]:
    """The styles, and the aspect ratios with what each is good for."""
    return {
        "object": "list",
        "data": [style.model_dump() for style in context.catalogue.styles.values()],
        "aspect_ratios": [ratio.model_dump() for ratio in context.catalogue.aspect_ratios.values()],
    }
