"""Downloads in the browser: the endpoints of REST, called with the token of the session.

The answer is passed on as it is, with its ranges and its lengths. A failure becomes a page. An archive has an
address of its own, which lives as long as the order and not as the session, so that it can be resumed later.
"""

from typing import Annotated, Any, Final

import orjson
from fastapi import Path, Response
from starlette.types import Message, Receive, Scope, Send

from rs_order.console.failures import Failure, kind_of
from rs_order.console.visits import SECURITY, Pages, Visit, Visiting, failure_page, redirect
from rs_order.contracts.wire import INT64
from rs_order.domain.archives import ArchiveFormat
from rs_order.domain.ids import OrderId
from rs_order.downloads.archive_of_order import archive_of
from rs_order.downloads.archive_routes import (
    ArchiveServices,
    archive_name,
    public_address,
    readable_order,
)
from rs_order.downloads.list_formats import ListKind
from rs_order.ports import Resource
from rs_order.rest.addresses import base_address, expand
from rs_order.rest.parameters import OrderIdInPath
from rs_order.rest.resources import (
    DOWNLOAD_FILE,
    DOWNLOAD_ORDER,
    GET_ARCHIVE_OF_ORDER,
    GET_FILE_LIST,
    GET_METALINK,
)

_FIRST_FAILURE: Final = 400
_NOTHING: Final = 204


def serve_downloads(pages: Pages, archives: ArchiveServices) -> None:
    @pages.page("/orders/{orderId}/archive.{format}", GET_ARCHIVE_OF_ORDER)
    async def download_archive(
        visit: Visiting,
        order_id: OrderIdInPath,
        archive_format: Annotated[ArchiveFormat, Path(alias="format")],
    ) -> Response:
        """Lead to the archive; if its files can only be sent as a stream, to the zip."""
        access, caller = visit.frame.access, visit.caller
        order = await readable_order(visit.request, access, archives, caller, OrderId(order_id))
        archive_id = await archive_of(archives, caller, order, archive_format)
        if archive_id is None:
            return redirect(f"{visit.root}/orders/{order_id}/zip")
        name = archive_name(order.id, archive_format)
        base, variables = base_address(visit.request), {"archiveId": f"a{archive_id}", "name": name}
        return redirect(public_address(base, archives, caller.tenant, order, variables))

    @pages.page("/orders/{orderId}/zip", DOWNLOAD_ORDER)
    async def download_zip(visit: Visiting, order_id: OrderIdInPath) -> Response:
        return _forwarded(visit, DOWNLOAD_ORDER, orderId=order_id)

    @pages.page("/orders/{orderId}/metalink", GET_METALINK)
    async def download_metalink(visit: Visiting, order_id: OrderIdInPath) -> Response:
        return _forwarded(visit, GET_METALINK, orderId=order_id)

    @pages.page("/orders/{orderId}/files.{kind}", GET_FILE_LIST)
    async def download_list(visit: Visiting, order_id: OrderIdInPath, kind: ListKind) -> Response:
        return _forwarded(visit, GET_FILE_LIST, orderId=order_id, kind=kind.value)

    @pages.page("/orders/{orderId}/files/{dataFileId}", DOWNLOAD_FILE)
    async def download_file(
        visit: Visiting,
        order_id: OrderIdInPath,  # noqa: ARG001 - so that the address says whose file it is
        file_id: Annotated[int, Path(alias="dataFileId", ge=1, le=INT64)],
    ) -> Response:
        return _forwarded(visit, DOWNLOAD_FILE, dataFileId=file_id)


def _forwarded(visit: Visit, resource: Resource, **variables: Any) -> Response:
    return ForwardedAnswer(visit, expand(resource.template, variables))


class ForwardedAnswer(Response):
    """The answer of an endpoint of REST."""

    def __init__(self, visit: Visit, path: str) -> None:
        """``path``: of the endpoint, without a prefix."""
        super().__init__()
        self._visit = visit
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failed: list[Message] = []

        async def pass_on(message: Message) -> None:
            if failed or (message["type"] == "http.response.start" and _fails(message["status"])):
                failed.append(message)
            else:
                await send(message)

        await self._visit.request.app.router(self._inner(scope), receive, pass_on)
        if failed:
            answer = failure_page(self._visit.frame, self._visit.request, _failure_of(failed))
            answer.headers.update(SECURITY)
            await answer(scope, receive, send)

    def _inner(self, scope: Scope) -> Scope:
        """Return the request of the endpoint, with the token of the session."""
        bearer = (b"authorization", f"Bearer {self._visit.token}".encode())
        dropped = (b"authorization", b"cookie")
        headers = [one for one in scope["headers"] if one[0] not in dropped]
        return {
            **{name: value for name, value in scope.items() if name not in _OF_ROUTE},
            "path": self._path,
            "raw_path": self._path.encode(),
            "headers": [*headers, bearer],
        }


_OF_ROUTE: Final = frozenset({"endpoint", "path_params", "route", "router", "state"})
"""Members of a request that belong to the route of the page."""


def _fails(status: int) -> bool:
    return status >= _FIRST_FAILURE or status == _NOTHING


def _failure_of(messages: list[Message]) -> Failure:
    status = messages[0]["status"]
    body = b"".join(message.get("body", b"") for message in messages[1:])
    try:
        texts = [str(text) for text in orjson.loads(body)["messages"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        texts = []
    if status == _NOTHING:
        return Failure(404, "nothing-available")
    return Failure(status, kind_of(status), texts)
