"""The forms of responses that REGARDS services share (remote-services.md 1.4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.responses import Response


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
