"""Endpoints that deliver one file, or test whether it can be downloaded (rest.md 10.1)."""

from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request, Response

from rs_order.domain.identity import Caller
from rs_order.domain.ids import DataFileId
from rs_order.domain.states import FileState
from rs_order.downloads.routes import (
    BAD_ORDER_TOKEN,
    DownloadServices,
    OrderTokenInQuery,
    counted_user,
    verified,
)
from rs_order.downloads.single_file import FileDeliveries, FileReport, FileRequest
from rs_order.downloads.streaming import StreamedFile, headers_of, representation_of
from rs_order.ports import FileOfOrder, OrderToken
from rs_order.rest.access import Access, is_administrator
from rs_order.rest.addresses import base_address, expand, own_address
from rs_order.rest.errors import HttpError
from rs_order.rest.middleware import facts_of
from rs_order.rest.parameters import DataFileIdInPath
from rs_order.rest.ranges import check_preconditions, requested_part
from rs_order.rest.resources import (
    DOWNLOAD_FILE,
    DOWNLOAD_PUBLIC_FILE,
    GET_PROGRESS,
    TEST_PUBLIC_FILE,
)
from rs_order.rest.routing import AuthorisedCaller, Documented, Endpoints

_UNKNOWN: Final = {
    400: "The number of the file isn't one",
    404: "There is no such file, or storage doesn't have it (then the body is its own)",
    503: "The database or storage did not respond, or storage is still reading up to the part that is "
    "asked for; try again after `Retry-After`",
}
_WITH_TOKEN: Final = {
    **_UNKNOWN,
    400: "The order token is missing, or the number of the file isn't one",
    503: "As without a token; or order tokens can't be checked: their key isn't set",
}
_STATES: Final[Documented] = {
    202: {
        "description": "Not yet available: `Location` has the progress of the order, or this address for "
        "the bearer of its token, and `Retry-After` the seconds until it is worth to look"
    },
    403: {"description": "The file of another user, or the role isn't allowed"},
    422: {"description": "Storage doesn't deliver the file"},
}
_CONDITIONS: Final[Documented] = {
    304: {"description": "`If-None-Match` names the content of the file"},
    412: {"description": "`If-Match` names another content"},
}
_BYTES: Final[Documented] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The file"},
    206: {
        "content": {"application/octet-stream": {}},
        "description": "The part that `Range` names; of several, the first",
    },
    **_CONDITIONS,
    416: {"description": "The range begins behind the end of the file"},
    410: {"description": "Storage no longer holds the file ready"},
    429: {
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": "Download quota of 10 exceeded (by 1) for user j@x.",
            }
        },
        "description": "The user's quota is used up, with the text of storage; the file stays available. Or "
        "too many downloads of the user are under way, with `messages` and `Retry-After`",
    },
    500: {
        "description": "The file could not be fetched, or its content is wrong; nothing of it was sent"
    },
    "default": {"description": "The response of storage, passed on"},
    **_STATES,
}
_BODILESS: Final[Documented] = {
    200: {"description": "The file can be downloaded; its headers are those of GET"},
    **_CONDITIONS,
    **_STATES,
}


def file_downloads_router(access: Access, services: DownloadServices) -> APIRouter:
    endpoints = Endpoints(access, tag="downloads")
    _serve_files(endpoints, services)
    _serve_public_files(endpoints, services)
    return endpoints.router


def _serve_files(endpoints: Endpoints, services: DownloadServices) -> None:
    @endpoints.serve(DOWNLOAD_FILE, responses=_UNKNOWN, documented=_BYTES)
    async def download_file(
        request: Request, caller: AuthorisedCaller, file_id: DataFileIdInPath
    ) -> Response:
        """Return the bytes of a file (rest.md 10.1)."""
        found = await _found(services, request, caller, file_id)
        return await _rejection(services, request, found, caller) or _bytes(
            services, request, found, caller
        )

    @endpoints.serve(DOWNLOAD_FILE, verb="HEAD", responses=_UNKNOWN, documented=_BODILESS)
    async def test_file(
        request: Request, caller: AuthorisedCaller, file_id: DataFileIdInPath
    ) -> Response:
        """Answer 200 if the file can be downloaded; nothing is sent."""
        found = await _found(services, request, caller, file_id)
        return await _rejection(services, request, found, caller) or _head(request, found)


def _serve_public_files(endpoints: Endpoints, services: DownloadServices) -> None:
    @endpoints.serve(
        DOWNLOAD_PUBLIC_FILE, responses=_WITH_TOKEN, documented={**_BYTES, **BAD_ORDER_TOKEN}
    )
    async def download_public_file(
        request: Request,
        caller: AuthorisedCaller,
        file_id: DataFileIdInPath,
        order_token: OrderTokenInQuery,
    ) -> Response:
        """Return the bytes of a file to the bearer of its order's token (rest.md 10.1)."""
        token = verified(services, request, caller, order_token)
        found = await _found(services, request, caller, file_id)
        return await _rejection(services, request, found, caller, token) or _bytes(
            services, request, found, caller, token
        )

    @endpoints.serve(
        TEST_PUBLIC_FILE, responses=_WITH_TOKEN, documented={**_BODILESS, **BAD_ORDER_TOKEN}
    )
    async def test_public_file(
        request: Request,
        caller: AuthorisedCaller,
        file_id: DataFileIdInPath,
        order_token: OrderTokenInQuery,
    ) -> Response:
        """Answer 200 if the file can be downloaded with the token of its order (domain.md 11.3)."""
        token = verified(services, request, caller, order_token)
        found = await _found(services, request, caller, file_id)
        return await _rejection(services, request, found, caller, token) or _head(request, found)


async def _found(
    services: DownloadServices, request: Request, caller: Caller, file_id: int
) -> FileOfOrder:
    found = await services.orders.file(caller.tenant, DataFileId(file_id))
    if found is None:
        raise HttpError(404, f"Data file with id: {file_id} doesn't exist.")
    facts_of(request.scope).update(file=file_id, order=found.order_id)
    return found


async def _rejection(
    services: DownloadServices,
    request: Request,
    found: FileOfOrder,
    caller: Caller,
    token: OrderToken | None = None,
) -> Response | None:
    """Return the response for a caller who doesn't get the file, or None if they may have it."""
    if not (is_administrator(caller) or caller.email == found.owner or _opened_by(found, token)):
        return Response(status_code=403)
    if found.state is FileState.PENDING:
        pause = await services.pause(caller.tenant, found.order_id)
        return _not_yet(request, found, pause, by_token=token is not None)
    return Response(status_code=422) if found.state is FileState.ERROR else None


def _not_yet(request: Request, found: FileOfOrder, pause: timedelta, *, by_token: bool) -> Response:
    """Return the response for a pending file: where to look, and when (faces.md H-3).

    Who has a token of the order may not read its progress, but this address again.
    """
    progress = expand(GET_PROGRESS.template, {"orderId": found.order_id})
    where = str(own_address(request)) if by_token else base_address(request) + progress
    headers = {"Location": where, "Retry-After": str(int(pause.total_seconds()))}
    return Response(status_code=202, headers=headers)


def _opened_by(found: FileOfOrder, token: OrderToken | None) -> bool:
    """True if the token is of the file's order and of its owner (decisions.md, Order token)."""
    if token is None:
        return False
    return token.order_id == found.order_id and token.subject == found.owner


def _bytes(
    services: DownloadServices,
    request: Request,
    found: FileOfOrder,
    caller: Caller,
    token: OrderToken | None = None,
) -> Response:
    """Return the file or the part that is asked for.

    It is fetched in the name of its owner if their token opened it, else of the caller.
    """
    part = requested_part(request, representation_of(found.file))
    facts, report = facts_of(request.scope), FileReport()
    email = found.owner if _opened_by(found, token) else caller.email
    return StreamedFile(
        FileDeliveries(services.orders, services.settle, services.readings),
        FileRequest(caller.tenant, found.order_id, found.file, email, part),
        report,
        on_end=lambda complete: facts.update(
            result=report.result, reason=report.reason, complete=complete
        ),
        permit=services.at_once.one_more(request, counted_user(caller, email)),
    )


def _head(request: Request, found: FileOfOrder) -> Response:
    """Return the headers of the file as far as the catalog has them; storage isn't asked."""
    check_preconditions(request, representation_of(found.file))
    response = Response()
    # It would be 0, and not the size of the file.
    del response.headers["Content-Length"]
    response.headers.update(headers_of(found.file, {}))
    return response
