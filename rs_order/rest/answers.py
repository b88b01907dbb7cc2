"""Response bodies: entities, pages, and the links in both (rest.md 3)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import Request, Response

from rs_order.contracts.wire import WireModel
from rs_order.domain.identity import Caller
from rs_order.ports import Resource, RoleAccess
from rs_order.rest.access import may_use
from rs_order.rest.addresses import base_address, quoted, service_path
from rs_order.rest.parameters import Paging

_JSON: Final = "application/json"

_PAGING_PARAMETERS: Final = frozenset({"page", "size", "sort", "token"})

_VARIABLE: Final = re.compile(r"{(\w+)}")
LinkItem = dict[str, str]
_Target = tuple[str, Sequence[tuple[str, str]]]
"""The address before its first variable, and each variable with the text behind it."""


class LinkWriter:
    """Writes links to the resources that the caller may use, with addresses as the caller sees them."""

    def __init__(self, request: Request, roles: RoleAccess, caller: Caller) -> None:
        self._base = base_address(request)
        self._roles = roles
        self._caller = caller
        self._targets: dict[tuple[str, str], _Target | None] = {}
        """By verb and template; None: the caller may not use the resource."""

    def to(self, rel: str, resource: Resource, **variables: object) -> list[LinkItem]:
        """Return a list with the link, or an empty list if the caller's role may not use the resource."""
        target = self._target(resource)
        if target is None:
            return []
        href, others = target
        for name, text in others:
            href += quoted(variables[name]) + text
        return [{"rel": rel, "href": href}]

    def prepared(self, offered: Iterable[tuple[str, Resource]]) -> "PreparedLinks":
        """Return the links to resources, by ``rel``, that the caller's role may use, for each item of a list.

        The resources have one variable, or none.
        """
        targets = [(rel, self._target(resource)) for rel, resource in offered]
        return PreparedLinks([(rel, *target) for rel, target in targets if target is not None])

    def _target(self, resource: Resource) -> _Target | None:
        key = resource.verb, resource.template
        if key not in self._targets:
            self._targets[key] = self._found_target(resource)
        return self._targets[key]

    def _found_target(self, resource: Resource) -> _Target | None:
        if not may_use(self._roles, self._caller, resource):
            return None
        before, others = _cut(resource.template)
        return self._base + before, others


@cache
def _cut(template: str) -> _Target:
    """Return the part of a template before its first variable, and each variable with the text behind."""
    before, *others = _VARIABLE.split(template)
    return before, tuple(zip(others[::2], others[1::2], strict=True))


class PreparedLinks:
    """The links of the items of a list, as JSON whose text differs from item to item in one value only.

    Five links of each of 20 orders took as long as all else that is written of them.
    """

    def __init__(self, links: Iterable[tuple[str, str, Sequence[tuple[str, str]]]]) -> None:
        """Prepare links.

        Args:
            links: each with its ``rel``, the address before the value, and the variable with the text behind.

        Raises:
            ValueError: there are several variables.
        """
        variables = set()
        self._parts = ["["]
        """The pieces of JSON. The value stands between them."""
        for number, (rel, before, others) in enumerate(links):
            comma = "," if number else ""
            self._parts[-1] += f'{comma}{{"rel":"{_escaped(rel)}","href":"{_escaped(before)}'
            self._parts += [_escaped(text) for _, text in others]
            self._parts[-1] += '"}'
            variables |= {name for name, _ in others}
        self._parts[-1] += "]"
        if len(variables) > 1:
            raise ValueError(f"links of an item have one variable, not {sorted(variables)}")

    def of(self, value: int) -> orjson.Fragment:
        """Return the links of the item with this value, as a part of a JSON body."""
        return orjson.Fragment(str(value).join(self._parts))


def _escaped(text: str) -> str:
    """Return the text as JSON, without its quotes."""
    return orjson.dumps(text)[1:-1].decode()


def json_answer(request: Request, body: Any, status: int = 200) -> Response:
    """Return a JSON response, indented if the request has a parameter ``_pretty``."""
    text = orjson.dumps(body)
    if request.scope["query_string"] and "_pretty" in request.query_params:
        # Read again, because prepared parts of a body aren't indented.
        text = orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2)
    return Response(text, status, media_type=_JSON)


def entity(
    content: WireModel | Mapping[str, Any], links: Sequence[LinkItem] = ()
) -> dict[str, Any]:
    """Return the wrapper of a single object (rest.md 3.2), which may be on the wire's form already."""
    on_wire = content.to_wire() if isinstance(content, WireModel) else content
    return {"content": on_wire, "links": list(links)}


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
    before, after = _around_page_number(request, paging)
    return [{"rel": rel, "href": f"{before}{numbers[rel]}{after}"} for rel in in_order]


def _around_page_number(request: Request, paging: Paging) -> tuple[str, str]:
    """Return the parts of a page's address before and after its number."""
    parameters = parse_qsl(
        request.scope["query_string"].decode(errors="replace"), keep_blank_values=True
    )
    kept = [one for one in parameters if one[0] not in _PAGING_PARAMETERS]
    others = f"{urlencode(kept)}&" if kept else ""
    sorts = "".join(f"&sort={sort}" for sort in paging.sort)
    own = f"{base_address(request)}{service_path(request)}"
    return f"{own}?{others}page=", f"&size={paging.size}{sorts}"
