"""The parameters of several endpoints of STAC."""

from enum import StrEnum
from typing import Annotated

from fastapi import Path, Query, Request

from rs_order.contracts.stac_bodies import UNSUPPORTED
from rs_order.rest.errors import Problem
from rs_order.rest.problems import ProblemCode


class LinkKind(StrEnum):
    """How downloads are let in."""

    BEARER = "bearer"
    """The caller sends a bearer token."""
    TOKEN = "token"  # noqa: S105 - a kind of links
    """The link has an order token."""


LinksInQuery = Annotated[
    LinkKind,
    Query(
        description="`token`: links to files have an order token, for programs that can't send a bearer "
        "token."
    ),
]
ItemIdInPath = Annotated[
    str,
    Path(
        alias="itemId",
        max_length=255,
        description="URN of a product.",
        examples=["URN:AIP:DATA:p1:0e8c3f1e-7a1f-3a44-8d9c-1b1f8a7f1a00:V1"],
    ),
]


def reject_unsupported(request: Request) -> None:
    """Check that no parameter is one that can't be searched by.

    Raises:
        Problem: there is one.
    """
    for name in UNSUPPORTED:
        if name in request.query_params:
            raise not_supported(name)


def not_supported(name: str) -> Problem:
    text = (
        f"{name}: products of orders can't be searched by it. Search the catalog, or leave it out."
    )
    return Problem(ProblemCode.NOT_SUPPORTED, text, members={"member": name})
