"""Browser links carry their token in the address; the gateway, or this, makes it a header."""

from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send


class QueryToken:
    """Turns ``?token=`` into ``Authorization: Bearer`` (rest.md 1.1), in place of any there was."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _token(scope) if scope["type"] == "http" else None
        if token:
            others = [header for header in scope["headers"] if header[0] != b"authorization"]
            bearer = (b"authorization", f"Bearer {token}".encode("latin-1", "replace"))
            scope = {**scope, "headers": [*others, bearer]}
        await self._app(scope, receive, send)


def _token(scope: Scope) -> str | None:
    query: bytes = scope["query_string"]
    tokens = parse_qs(query.decode("latin-1")).get("token")
    return tokens[0] if tokens else None
