"""The control path: FastAPI with our routes, problems and bounds."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
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
        # Only described here, for the page's "Authorize": `access` decides, before FastAPI is reached.
        dependencies=[Depends(HTTPBearer(auto_error=False))] if context.settings.api_key else [],
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
        app.include_router(module.router)
    problems.install(app)
    return app
