"""The OpenAPI document: what the endpoints say of themselves, completed by what all have in common.

FastAPI writes OpenAPI 3.1 (the reference: 3.0.1). Schemas of Pydantic are JSON Schema 2020-12, which 3.0
can't hold; Swagger UI and schemathesis read 3.1.
"""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI

from rs_order.contracts.platform_names import PUBLIC
from rs_order.domain.identity import SERVICE
from rs_order.ports import Resource
from rs_order.rest.addresses import PUBLIC_PREFIX
from rs_order.rest.errors import Messages
from rs_order.rest.resources import (
    DOWNLOAD_PUBLIC_FILE,
    GET_PUBLIC_METALINK,
    RESOURCES,
    TEST_PUBLIC_FILE,
)
from rs_order.rest.security import LIST_RESOURCES

Document = dict[str, Any]

_DESCRIPTION: Final = """\
Orders of archived files: filling a basket, ordering, following, downloading.

- Times are UTC, sizes bytes, durations hours. Members that are null are left out.
- A failure has the body `{"messages": […]}` with sentences, or the codes the web interface knows.
- `_pretty`, with any value, indents JSON answers.
- Every answer that asks for a token may be 401 or 403; 503 means that nothing was changed: try again.
"""

_TAGS: Final = {
    "baskets": "What a user is about to order.",
    "orders": "Orders: made, listed, followed.",
    "actions": "Orders paused, resumed, repeated, deleted.",
    "search": "The orders of all users, for those who look after them.",
    "file lists": "Which files an order has, and which can be downloaded.",
    "downloads": "Files one by one, an order as one zip, or as a metalink.",
    "settings": "What a project sets for itself.",
    "maintenance": "Projects in which nothing may be changed for a while.",
    "modules": "The configuration as a file, and readiness.",
    "data source": "The database behind a project.",
    "security": "What roles can be given.",
    "actuator": "Health, build and metrics, open to all.",
}
"""The chapters, in the order of rest.md."""

_SERVERS: Final = [
    {"url": PUBLIC_PREFIX, "description": "Through the gateway; served without one too"},
    {"url": "/", "description": "The service itself"},
]

_SECURITY_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of REGARDS; its project and role count.",
    },
    "scopeHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "scope",
        "description": "Without a token: the project; the caller's role is PUBLIC.",
    },
    "scopeQuery": {
        "type": "apiKey",
        "in": "query",
        "name": "scope",
        "description": "The same, in the address.",
    },
    "orderToken": {
        "type": "apiKey",
        "in": "query",
        "name": "orderToken",
        "description": "Opens the files of one order until it expires.",
    },
}
_Security = list[dict[str, list[str]]]
_BY_TOKEN: Final[_Security] = [{"bearer": []}]
_BY_ANYBODY: Final[_Security] = [{"bearer": []}, {"scopeHeader": []}, {"scopeQuery": []}]
_BY_ORDER_TOKEN: Final[_Security] = [{"orderToken": [], **way} for way in _BY_ANYBODY]
_WITH_ORDER_TOKEN: Final = frozenset({DOWNLOAD_PUBLIC_FILE, TEST_PUBLIC_FILE, GET_PUBLIC_METALINK})

_UNREADABLE: Final = "A parameter or the body can't be read"
_FOR_BODIES: Final = {413: "The body is too large", 415: "The body is of another media type"}
_FASTAPI_VALIDATION: Final = frozenset({"HTTPValidationError", "ValidationError"})


class DescribedApp(FastAPI):
    """An application whose document says what answers every endpoint can give."""

    def __init__(self) -> None:
        super().__init__(
            title=SERVICE,
            version=version(SERVICE),
            description=_DESCRIPTION,
            servers=_SERVERS,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            # A slash too much is another address, which isn't served: 404, as in the reference.
            redirect_slashes=False,
        )

    def openapi(self) -> Document:
        """The document, made once."""
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
        # Whoever may GET may ask for the HEAD alone.
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
    if _is_of_fastapi(responses.get("422", {})):
        # FastAPI's own way to refuse a request; ours is 400 (rest.md 4.2).
        del responses["422"]
    if operation.get("parameters") or "requestBody" in operation:
        responses.setdefault("400", _messages(_UNREADABLE))
    if "requestBody" in operation:
        for status, meaning in _FOR_BODIES.items():
            responses.setdefault(str(status), _messages(meaning))
    operation["responses"] = dict(sorted(responses.items()))


def _security(resource: Resource | None) -> _Security:
    if resource is None:
        return []
    if resource in _WITH_ORDER_TOKEN:
        return _BY_ORDER_TOKEN
    return _BY_ANYBODY if resource.default_role == PUBLIC else _BY_TOKEN


def _is_of_fastapi(response: Document) -> bool:
    content = response.get("content", {}).get("application/json", {})
    return bool(content.get("schema", {}).get("$ref", "").endswith("/HTTPValidationError"))


def _messages(meaning: str) -> Document:
    schema = {"$ref": "#/components/schemas/Messages"}
    return {"description": meaning, "content": {"application/json": {"schema": schema}}}
