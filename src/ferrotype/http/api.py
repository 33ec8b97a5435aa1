"""The control path: FastAPI with our routes, problems and bounds."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from ferrotype import __version__
from ferrotype.http import problems
from ferrotype.http.context import Context
from ferrotype.http.routes import (
    account,
    assets,
    batches,
    catalogue,
    collections,
    downloads,
    estimates,
    events,
    gallery,
    generations,
    hooks,
    imports,
    prompts,
    session,
    shares,
    status,
    system,
)


def build_api(context: Context) -> FastAPI:
    """The API as an ASGI application; its documentation pages load nothing from other hosts."""
    app = FastAPIOffline(
        title="Ferrotype",
        version=__version__,
        description="Image generation and delivery. Errors are RFC 9457 problems.",
        swagger_ui_parameters={"tryItOutEnabled": True},
    )
    app.router.redirect_slashes = False
    app.state.context = context
    for module in (
        generations,
        batches,
        events,
        estimates,
        prompts,
        downloads,
        assets,
        gallery,
        collections,
        shares,
        imports,
        catalogue,
        system,
        account,
        status,
        session,
        hooks,
    ):
        # Not include_router: FastAPI would build all of them once more, while the first request waits.
        app.router.routes += module.router.routes
    problems.install(app)
    if context.settings.api_key:
        _describe_key(app)
    return app


def _describe_key(app: FastAPI) -> None:
    """Give the documentation page its "Authorize": `access` decides, before FastAPI is reached."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        schema = described()
        bearer = {"type": "http", "scheme": "bearer"}
        schema["components"].setdefault("securitySchemes", {})["HTTPBearer"] = bearer
        schema["security"] = [{"HTTPBearer": []}]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
