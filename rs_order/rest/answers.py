"""Response bodies: entities, pages, and the links in both (rest.md 3)."""

import re
from collections.abc import Sequence
from typing import Any, Final

import orjson
from fastapi import Request, Response

from rs_order.contracts.wire import WireModel
from rs_order.domain.identity import Caller
from rs_order.ports import Resource, RoleAccess
from rs_order.rest.access import may_use
from rs_order.rest.addresses import base_address, expand, own_address
from rs_order.rest.parameters import Paging

_JSON: Final = "application/json"

LinkItem = dict[str, str]


class LinkWriter:
    """Writes links to the resources that the caller may use, with addresses as the caller sees them."""

    def __init__(self, request: Request, roles: RoleAccess, caller: Caller) -> None:
        self._base = base_address(request)
        self._roles = roles
        self._caller = caller
        self._allowed: dict[Resource, bool] = {}

    def to(self, rel: str, resource: Resource, **variables: object) -> list[LinkItem]:
        """Return a list with the link, or an empty list if the caller's role may not use the resource."""
        if resource not in self._allowed:
            self._allowed[resource] = may_use(self._roles, self._caller, resource)
        if not self._allowed[resource]:
            return []
        return [{"rel": rel, "href": self._base + expand(resource.template, variables)}]


def json_answer(request: Request, body: Any, status: int = 200) -> Response:
    """Return a JSON response, indented if the request has a parameter ``_pretty``."""
    option = orjson.OPT_INDENT_2 if "_pretty" in request.query_params else 0
    return Response(orjson.dumps(body, option=option), status, media_type=_JSON)


def entity(content: WireModel, links: Sequence[LinkItem] = ()) -> dict[str, Any]:
    """Return the wrapper of a single object (rest.md 3.2)."""
    return {"content": content.to_wire(), "links": list(links)}


_FORMULA: Final = re.compile("^[=+@\t\uff0b\uff0d\uff1d\uff20-]")
"""Cells that a spreadsheet would run as a formula; it knows the full-width forms, too."""


def formula_free(text: str) -> str:
    """Return a text as a cell of CSV; a leading ``'`` keeps spreadsheets from running it as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def page(
    request: Request, paging: Paging, total: int, items: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return the wrapper of a page (rest.md 3.3). rs-delivery follows its link ``next``."""
    pages = -(-total // paging.size)
    return {
        "metadata": {
            "size": paging.size,
            "totalElements": total,
            "totalPages": pages,
            "number": paging.page,
        },
        "content": list(items),
        "links": _page_links(request, paging, pages),
    }


def _page_links(request: Request, paging: Paging, pages: int) -> list[LinkItem]:
    numbers = {"self": paging.page}
    if pages > 1:
        numbers = {"first": 0, **numbers, "last": pages - 1}
    if paging.page:
        numbers["prev"] = paging.page - 1
    if paging.page + 1 < pages:
        numbers["next"] = paging.page + 1
    in_order = [rel for rel in ("first", "prev", "self", "next", "last") if rel in numbers]
    return [{"rel": rel, "href": _page_address(request, paging, numbers[rel])} for rel in in_order]


def _page_address(request: Request, paging: Paging, number: int) -> str:
    address = own_address(request).remove_query_params(["page", "size", "sort", "token"])
    address = address.include_query_params(page=number, size=paging.size)
    for sort in paging.sort:
        # include_query_params would keep only the last of several sort parameters.
        address = address.replace(query=f"{address.query}&sort={sort}")
    return str(address)
