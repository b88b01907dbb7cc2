"""The prepared links of a list are those that are written for each item."""

from typing import Any

import orjson
import pytest
from fastapi import Request

from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant
from rs_order.rest.access import DefaultRoles
from rs_order.rest.answers import LinkWriter, json_answer
from rs_order.rest.resources import (
    DOWNLOAD_ORDER,
    GET_ORDER,
    LIST_DATASET_FILES,
    LIST_ORDERS,
    REMOVE_ORDER,
)

JANE = Caller(Tenant("project1"), "jane@example.org", "REGISTERED_USER")
OFFERED = [
    ("self", GET_ORDER),
    ("list", LIST_ORDERS),
    ("remove", REMOVE_ORDER),
    ("download", DOWNLOAD_ORDER),
]
"""Jane's role may not remove orders."""


def request_of(host: str = "archive.example.org", query: bytes = b"") -> Request:
    return Request(
        {
            "type": "http",
            "scheme": "https",
            "path": "/user/orders",
            "query_string": query,
            "headers": [(b"host", host.encode("latin-1"))],
        }
    )


def body(links: Any) -> bytes:
    return orjson.dumps({"links": links})


@pytest.mark.parametrize("host", ["archive.example.org", 'a"\\é'])
def test_text_is_that_of_single_links(host: str) -> None:
    """Also if the address has characters that JSON escapes."""
    writer = LinkWriter(request_of(host), DefaultRoles(), JANE)
    prepared = writer.prepared(OFFERED)
    for order in (0, 12, 2**62):
        single = [
            link for rel, resource in OFFERED for link in writer.to(rel, resource, orderId=order)
        ]

        assert [link["rel"] for link in single] == ["self", "list", "download"]
        assert body(prepared.of(order)) == body(single)


def test_no_link_is_an_empty_list() -> None:
    """For a caller who may use none of the resources."""
    nothing = LinkWriter(request_of(), DefaultRoles(), JANE).prepared([("remove", REMOVE_ORDER)])

    assert body(nothing.of(12)) == b'{"links":[]}'


def test_pretty_answer_indents_prepared_links() -> None:
    """A body with them is indented like any other."""
    request = request_of(query=b"_pretty")
    writer = LinkWriter(request, DefaultRoles(), JANE)
    pretty = json_answer(request, {"links": writer.prepared([("self", GET_ORDER)]).of(12)})
    single = json_answer(request, {"links": writer.to("self", GET_ORDER, orderId=12)})

    assert pretty.body == single.body
    assert b'\n      "rel": "self"' in pretty.body


def test_links_of_two_variables_are_refused() -> None:
    """They would get the same value."""
    with pytest.raises(ValueError, match=r"one variable, not \['datasetId', 'orderId'\]"):
        LinkWriter(request_of(), DefaultRoles(), JANE).prepared([("files", LIST_DATASET_FILES)])
