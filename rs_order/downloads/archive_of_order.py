"""The endpoints that lead to the archive of a whole order, for those who can only read (faces.md S-11)."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from rs_order.domain.archives import WHOLE_ORDER, ArchiveFormat, ArchiveId
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId
from rs_order.downloads.archive_plan import CannotBeArchived
from rs_order.downloads.archive_routes import (
    ArchiveServices,
    archive_name,
    readable_order,
    token_parameters,
    verified_token,
)
from rs_order.downloads.make_archives import NothingAvailable
from rs_order.downloads.routes import OrderTokenInQuery
from rs_order.ports import OrderToDownload
from rs_order.rest.access import Access
from rs_order.rest.addresses import base_address, expand
from rs_order.rest.errors import Problem
from rs_order.rest.middleware import facts_of
from rs_order.rest.parameters import OrderIdInPath
from rs_order.rest.problems import ProblemCode
from rs_order.rest.resources import (
    DOWNLOAD_ARCHIVE,
    DOWNLOAD_ORDER,
    DOWNLOAD_PUBLIC_ARCHIVE,
    GET_ARCHIVE_OF_ORDER,
    GET_PUBLIC_ARCHIVE_OF_ORDER,
)
from rs_order.rest.routing import AuthorisedCaller, Documented, Endpoints

FormatInPath = Annotated[ArchiveFormat, Path(alias="format")]

_REDIRECT: Final[Documented] = {307: {"description": "The archive is at the address in `Location`"}}
_FAILURES: Final = {
    404: "There is no such order (`unknown-order`), or the project isn't served",
    409: "The order has no file to download now (`nothing-available`), or its files can't be in such an "
    "archive (`cannot-be-archived`)",
    410: "The order was deleted or has expired (`order-gone`)",
}


def archive_of_order_router(access: Access, services: ArchiveServices) -> APIRouter:
    endpoints = Endpoints(access, tag="downloads", problems=True)

    @endpoints.serve(
        GET_ARCHIVE_OF_ORDER,
        success=307,
        responses={
            **_FAILURES,
            403: "The order of another user (`not-owner`), or the role isn't allowed",
        },
        documented=_REDIRECT,
    )
    async def get_archive_of_order(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        archive_format: FormatInPath,
    ) -> Response:
        """Go to the archive of all files that can be downloaded, whether they were delivered before or not.

        It is made for the first who asks, and the same for everybody until more files are available.
        """
        order = await readable_order(request, access, services, caller, OrderId(order_id))
        archive_id = await archive_of(services, caller, order, archive_format)
        if archive_id is None:
            return _to(request, expand(DOWNLOAD_ORDER.template, {"orderId": order.id}))
        name = archive_name(order.id, archive_format)
        variables = {"orderId": order.id, "archiveId": f"a{archive_id}", "name": name}
        return _to(request, expand(DOWNLOAD_ARCHIVE.template, variables))

    @endpoints.serve(
        GET_PUBLIC_ARCHIVE_OF_ORDER,
        success=307,
        responses={**_FAILURES, 401: "The order token isn't valid (`invalid-order-token`)"},
        documented=_REDIRECT,
    )
    async def get_public_archive_of_order(
        request: Request,
        caller: AuthorisedCaller,
        archive_format: FormatInPath,
        order_token: OrderTokenInQuery,
    ) -> Response:
        """The same of the order that the token names."""
        token = verified_token(request, services, caller, order_token)
        facts_of(request.scope)["order"] = token.order_id
        order = await services.orders.order(caller.tenant, token.order_id)
        if order is None:
            raise Problem(ProblemCode.UNKNOWN_ORDER, f"There is no order {token.order_id}.")
        archive_id = await archive_of(services, caller, order, archive_format)
        if archive_id is None:
            text = f"Order {order.id} has files of unknown size. Download them one by one."
            raise Problem(ProblemCode.CANNOT_BE_ARCHIVED, text)
        name = archive_name(order.id, archive_format)
        variables = {"archiveId": f"a{archive_id}", "name": name}
        path = expand(DOWNLOAD_PUBLIC_ARCHIVE.template, variables)
        return _to(request, f"{path}?{token_parameters(caller.tenant, order_token)}")

    return endpoints.router


async def archive_of(
    services: ArchiveServices, caller: Caller, order: OrderToDownload, wanted: ArchiveFormat
) -> ArchiveId | None:
    """Return the archive of an order; None if only the zip that is made while it is sent can have its files.

    Raises:
        Problem: there is nothing to download, or not in this format.
    """
    if order.status.deleted_or_expired:
        text = f"Order {order.id} was deleted or has expired, and its files with it. Order again."
        raise Problem(ProblemCode.ORDER_GONE, text)
    try:
        return await services.make.make(caller.tenant, order.id, wanted, WHOLE_ORDER)
    except NothingAvailable as error:
        raise Problem(ProblemCode.NOTHING_AVAILABLE, str(error)) from error
    except CannotBeArchived as error:
        if wanted is ArchiveFormat.ZIP:
            return None
        raise Problem(ProblemCode.CANNOT_BE_ARCHIVED, str(error)) from error


def _to(request: Request, path: str) -> Response:
    headers = {"Location": base_address(request) + path, "Cache-Control": "no-store"}
    return Response(status_code=307, headers=headers)
