"""The OpenAPI document (rest.md 11.8), and the Swagger UI that shows it without internet access.

FastAPI describes each endpoint; this module adds what all endpoints share. FastAPI writes OpenAPI 3.1 (the
reference writes 3.0.1). Pydantic's schemas are JSON Schema 2020-12, which 3.0 doesn't support. Swagger UI
and schemathesis read 3.1.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, RedirectResponse

from rs_order.contracts.platform_names import PUBLIC
from rs_order.domain.identity import SERVICE
from rs_order.ports import Resource
from rs_order.rest.addresses import PUBLIC_PREFIX, base_address
from rs_order.rest.answers import json_answer
from rs_order.rest.errors import Messages
from rs_order.rest.indexed_router import IndexedRouter
from rs_order.rest.problems import ProblemBody
from rs_order.rest.resources import (
    DOWNLOAD_PUBLIC_FILE,
    GET_PUBLIC_METALINK,
    RESOURCES,
    TEST_PUBLIC_FILE,
)
from rs_order.rest.security import LIST_RESOURCES

Document = dict[str, Any]
OPENAPI: Final = "application/vnd.oai.openapi+json;version=3.1"
ASYNCAPI: Final = "application/vnd.aai.asyncapi+json;version=3.0.0"

_DESCRIPTION: Final = """\
Orders of archived files: fill a basket, order, follow the order, download.

- Times are in UTC, sizes in bytes, durations in hours. Members that are null are left out.
- An error response has the body `{"messages": […]}` with sentences, or codes that the web interface knows.
- The parameter `_pretty`, with any value, indents JSON responses.
- Endpoints that the reference doesn't have answer failures as `application/problem+json`, with a stable
  `code` and with `messages`. `/problems/{code}` explains a code.
- Every endpoint that needs a token can answer 401 or 403. After a 503, nothing was changed: try again.
"""

_TAGS: Final = {
    "baskets": "Select the products to order.",
    "orders": "Create, list and follow orders.",
    "progress": "See why an order isn't further, and who can change it.",
    "actions": "Pause, resume, restart, retry and delete orders.",
    "search": "Search the orders of all users, for operators.",
    "file lists": "List the files of an order, and those that can be downloaded.",
    "downloads": "Download single files, an order as one zip, or its metalink.",
    "settings": "Read and change the settings of a project.",
    "maintenance": "Switch the maintenance of a project, in which it rejects all changes.",
    "modules": "Export and import the configuration, check the readiness.",
    "data source": "Test the database of a project.",
    "audit": "Read who changed what, for operators.",
    "dead letters": "List, replay, correct and discard messages that could not be handled.",
    "holds": "Hold a project, a user or an order, so that storage is asked for nothing new of it.",
    "quotes": "Learn what an order would be, without ordering anything.",
    "events": "Hear what happens to orders, in the order in which it happened.",
    "stac": "Order products by their ids, and follow orders as collections of STAC.",
    "problems": "Explain the codes of failures.",
    "shares": "See who starts next, and how projects and users share the capacity.",
    "security": "List the resources that roles can be given.",
    "actuator": "Health, build and metrics, open to all.",
}
"""Descriptions of the tags, in the order of rest.md's chapters."""

_SERVERS: Final = [
    {"url": PUBLIC_PREFIX, "description": "Through the gateway, or without one"},
    {"url": "/", "description": "The service itself"},
]

_SECURITY_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A REGARDS token. It names the caller, the project and the role.",
    },
    "scopeHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "scope",
        "description": "The project, if there is no token. The caller's role is then PUBLIC.",
    },
    "scopeQuery": {
        "type": "apiKey",
        "in": "query",
        "name": "scope",
        "description": "The project as a query parameter, if there is no token.",
    },
    "orderToken": {
        "type": "apiKey",
        "in": "query",
        "name": "orderToken",
        "description": "Gives access to the files of one order until the token expires.",
    },
}
_Security = list[dict[str, list[str]]]
_BY_TOKEN: Final[_Security] = [{"bearer": []}]
_BY_TOKEN_OR_SCOPE: Final[_Security] = [{"bearer": []}, {"scopeHeader": []}, {"scopeQuery": []}]
_BY_ORDER_TOKEN: Final[_Security] = [{"orderToken": [], **scheme} for scheme in _BY_TOKEN_OR_SCOPE]
_WITH_ORDER_TOKEN: Final = frozenset({DOWNLOAD_PUBLIC_FILE, TEST_PUBLIC_FILE, GET_PUBLIC_METALINK})

_UNREADABLE: Final = "A parameter or the body can't be read"
_BODY_ERRORS: Final = {413: "The body is too large", 415: "The body has another media type"}
_FASTAPI_VALIDATION: Final = frozenset({"HTTPValidationError", "ValidationError"})


class DescribedApp(FastAPI):
    """A FastAPI application with a complete OpenAPI document, error responses and security included."""

    def __init__(self) -> None:
        super().__init__(
            title=SERVICE,
            version=version(SERVICE),
            description=_DESCRIPTION,
            servers=_SERVERS,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            # A path with an additional slash at its end gets 404, as in the reference.
            redirect_slashes=False,
            # Spans of requests are written by the middleware (``traces.py``).
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )
        self.router = IndexedRouter(redirect_slashes=False)

    def openapi(self) -> Document:
        """Return the document, which is created once."""
        if self.openapi_schema is None:
            self.openapi_schema = _completed(super().openapi())
        return self.openapi_schema


def _completed(document: Document) -> Document:
    resources = {
        (resource.template, resource.verb.lower()): resource
        for resource in (*RESOURCES, LIST_RESOURCES)
    }
    used = set[str]()
    for path, verb, operation in _operations(document):
        # A HEAD without a resource of its own uses the resource of the GET.
        resource = resources.get((path, verb)) or resources.get((path, "get"))
        _complete(operation, resource)
        used.update(operation["tags"])
    document["tags"] = [
        {"name": name, "description": text} for name, text in _TAGS.items() if name in used
    ]
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY_SCHEMES
    schemas = components.setdefault("schemas", {})
    schemas.setdefault("Messages", Messages.model_json_schema())
    schemas.setdefault("Problem", ProblemBody.model_json_schema())
    for name in _FASTAPI_VALIDATION:
        schemas.pop(name, None)
    return document


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            yield path, verb, operation


def _complete(operation: Document, resource: Resource | None) -> None:
    operation["security"] = _security(resource)
    responses = operation["responses"]
    if _is_validation_error(responses.get("422", {})):
        # FastAPI documents 422 for an invalid request; the service answers 400 (rest.md 4.2).
        del responses["422"]
    if operation.get("parameters") or "requestBody" in operation:
        responses.setdefault("400", _messages(_UNREADABLE))
    if "requestBody" in operation:
        for status, meaning in _BODY_ERRORS.items():
            responses.setdefault(str(status), _messages(meaning))
    operation["responses"] = dict(sorted(responses.items()))


def _security(resource: Resource | None) -> _Security:
    if resource is None:
        return []
    if resource in _WITH_ORDER_TOKEN:
        return _BY_ORDER_TOKEN
    return _BY_TOKEN_OR_SCOPE if resource.default_role == PUBLIC else _BY_TOKEN


def _is_validation_error(response: Document) -> bool:
    content = response.get("content", {}).get("application/json", {})
    return bool(content.get("schema", {}).get("$ref", "").endswith("/HTTPValidationError"))


def _messages(meaning: str) -> Document:
    schema = {"$ref": "#/components/schemas/Messages"}
    return {"description": meaning, "content": {"application/json": {"schema": schema}}}


_UI: Final = Path(str(files("fastapi_offline"))) / "static"
"""Swagger UI in an installed package, so that its page loads no script from the internet."""
_UI_FILES: Final = frozenset({"swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"})


def api_docs_router(app: FastAPI, messages: Callable[[], Document]) -> APIRouter:
    """Return the router of the documents of an application, and of the Swagger UI that shows one of them.

    The page uses relative addresses, so it works on ``/``, on the public prefix and behind a gateway.
    ``messages`` returns the AsyncAPI document.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def landing_page(request: Request) -> Response:
        """Lead to the documents. Clients find them by the header ``Link`` (RFC 8631)."""
        found = document_links(base_address(request))
        answer = json_answer(request, {"title": app.title, "version": app.version, "links": found})
        answer.headers["Link"] = link_header(found)
        return answer

    @router.get("/v3/api-docs")
    async def api_docs(request: Request) -> Response:
        answer = json_answer(request, app.openapi())
        answer.headers["Link"] = link_header(document_links(base_address(request)))
        return answer

    @router.get("/v3/asyncapi")
    async def asyncapi(request: Request) -> Response:
        return json_answer(request, messages())

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


def document_links(base: str) -> list[dict[str, str]]:
    """Return links to the documents of the interface, and to the page for people (RFC 8631, faces.md H-4)."""
    return [
        {"rel": "service-desc", "href": f"{base}/v3/api-docs", "type": OPENAPI},
        {"rel": "service-desc", "href": f"{base}/v3/asyncapi", "type": ASYNCAPI},
        {"rel": "service-doc", "href": f"{base}/swagger-ui/index.html", "type": "text/html"},
    ]


def link_header(links: Sequence[Mapping[str, str]]) -> str:
    """Return links as the value of the header ``Link`` (RFC 8288)."""
    return ", ".join(
        f'<{link["href"]}>; rel="{link["rel"]}"; type="{link["type"]}"' for link in links
    )
