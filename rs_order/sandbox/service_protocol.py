"""The response formats and tokens that all REGARDS services share (remote-services.md 1.4, 1.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
import orjson
from starlette.responses import Response

DEVELOPMENT_KEY = "!!!!!==========abcdefghijklmnopqrstuvwxyz0123456789==========!!!!!"
_ALGORITHM = "HS512"
_MANDATORY = ("tenant", "sub", "email", "role")


@dataclass(frozen=True, slots=True)
class Identity:
    tenant: str
    role: str
    email: str


class TokenError(Exception):
    """The caller has no valid token. The message is the reason in the 401."""


def identify(authorization: str | None, key: str) -> Identity:
    """Return the identity in an ``Authorization`` header.

    Raises:
        TokenError: no bearer token, a bad signature, an expired one, or a missing claim.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenError("Authentication required: send Authorization: Bearer <token>")
    try:
        claims = jwt.decode(
            token, key, algorithms=[_ALGORITHM], options={"require": [*_MANDATORY, "exp"]}
        )
    except jwt.InvalidTokenError as error:
        raise TokenError(f"Invalid token: {error}") from error
    return Identity(tenant=claims["tenant"], role=claims["role"], email=claims["email"])


def bearer(identity: Identity, key: str, *, expires_at: int) -> str:
    """Return a token for an identity, without the prefix Bearer; ``expires_at`` is in epoch seconds."""
    claims = {
        "tenant": identity.tenant,
        "role": identity.role,
        "sub": identity.email,
        "email": identity.email,
        "exp": expires_at,
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def answer(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def failure(status: int, *messages: str) -> Response:
    """Return an error response, whose body is the same in all REGARDS services."""
    return answer({"messages": list(messages)}, status)


def item(content: Any) -> dict[str, Any]:
    return {"content": content, "links": []}


def page(
    contents: Sequence[Any], *, number: int, size: int, total: int, url: str
) -> dict[str, Any]:
    """Return a hypermedia page. Its links have only ``rel`` and ``href``."""
    pages = -(-total // size)
    links = [_link("self", url, number, size)]
    if number + 1 < pages:
        links.append(_link("next", url, number + 1, size))
    return {
        "content": [item(content) for content in contents],
        "metadata": {"size": size, "totalElements": total, "totalPages": pages, "number": number},
        "links": links,
    }


def date(moment: datetime) -> str:
    """Return a date in the form of Gson: UTC, ``Z``, no trailing zeros (amqp.md 1.8)."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return text + "Z"


def _link(rel: str, url: str, number: int, size: int) -> dict[str, str]:
    return {"rel": rel, "href": f"{url}?page={number}&size={size}"}
