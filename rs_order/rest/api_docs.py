"""Serves the OpenAPI document and Swagger UI (rest.md 11.8), open to all and without internet access."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, RedirectResponse

from rs_order.rest.answers import json_answer

_UI: Final = Path(str(files("fastapi_offline"))) / "static"
"""Swagger UI in an installed package, so that its page loads no script from the internet."""
_UI_FILES: Final = frozenset({"swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"})


def api_docs_router(app: FastAPI) -> APIRouter:
    """Return the router of an application's OpenAPI document and of the Swagger UI that shows it.

    The page uses relative addresses, so it works on ``/``, on the public prefix and behind a gateway.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/v3/api-docs")
    async def api_docs(request: Request) -> Response:
        return json_answer(request, app.openapi())

    @router.get("/swagger-ui")
    async def swagger_ui() -> Response:
        return RedirectResponse("swagger-ui/index.html")

    @router.get("/swagger-ui/")
    async def swagger_ui_folder() -> Response:
        return RedirectResponse("index.html")

    @router.get("/swagger-ui/index.html")
    async def swagger_ui_page() -> Response:
        return get_swagger_ui_html(
            openapi_url="../v3/api-docs",
            title=f"{app.title}: Swagger UI",
            swagger_js_url="swagger-ui-bundle.js",
            swagger_css_url="swagger-ui.css",
            swagger_favicon_url="favicon.png",
        )

    @router.get("/swagger-ui/{file}")
    async def swagger_ui_file(file: str) -> Response:
        if file not in _UI_FILES:
            raise HTTPException(404, "Not Found")
        return FileResponse(_UI / file)

    return router
