"""Lists the files of an order (rest.md 5.7, 5.8, 9)."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Response

from rs_order.contracts.order_bodies import OrderDataFile, OrderDataFileDTO
from rs_order.contracts.wire import Page, without_nulls
from rs_order.core.links import DownloadLinks, Links
from rs_order.domain.identity import Caller
from rs_order.domain.ids import DatasetTaskId, OrderId, SubOrderId
from rs_order.rest.access import Access, may_read_order_of, may_see_orders_of
from rs_order.rest.answers import LinkWriter, entity, json_answer, page
from rs_order.rest.errors import HttpError
from rs_order.rest.parameters import (
    DatasetTaskIdInPath,
    OrderIdInPath,
    Paging,
    Sort,
    SubOrderIdInPath,
    paging,
    sorted_by,
)
from rs_order.rest.resources import (
    DOWNLOAD_FILE,
    LIST_AVAILABLE_FILES,
    LIST_AVAILABLE_FILES_OF_SUB_ORDER,
    LIST_DATASET_FILES,
)
from rs_order.rest.routing import STORE_UNAVAILABLE, AuthorisedCaller, Documented, Endpoints
from rs_order.store.file_views import FileProperty, FileView, FileViews
from rs_order.store.order_views import OrderViews


def data_file(view: FileView) -> dict[str, Any]:
    """Return the members of an ``OrderDataFile``."""
    return without_nulls(
        id=view.id,
        state=view.state.value,
        orderId=view.order_id,
        filesTaskId=view.sub_order_id,
        ipId=view.product_urn,
        downloadError=view.reason,
        productId=view.product_id,
        version=view.product_version,
        dataType=view.data_type,
        reference=view.external,
        uri=view.url,
        mimeType=view.mime_type,
        online=view.online,
        checksum=view.checksum,
        digestAlgorithm=view.checksum_algorithm,
        filesize=view.size,
        filename=view.name,
        types=[],
    )


def available_file(view: FileView, links: DownloadLinks) -> dict[str, Any]:
    """Return the members of an ``OrderDataFileDTO``."""
    return without_nulls(
        id=view.id,
        productId=view.product_id,
        version=view.product_version,
        downloadUrl=links.of_file(view.id),
        mimeType=view.mime_type,
        checksum=view.checksum,
        filesize=view.size,
        filename=view.name,
    )


DatasetPaging = Annotated[Paging, paging(20)]
AvailablePaging = Annotated[Paging, paging(10, Sort(FileProperty.ID))]

_FORBIDDEN: Final[Documented] = {
    403: {"description": "The role isn't allowed, or somebody else's order (then no body)"}
}
_NOT_TO_BE_READ: Final[Documented] = {
    **_FORBIDDEN,
    404: {"description": "There is no such order (no body)"},
}
_LISTED_OF_DATASET: Final = {
    400: "An id isn't a number",
    404: "There is no such order, or it has no such dataset",
    **STORE_UNAVAILABLE,
}
_LISTED: Final = {
    400: "An id isn't a number, or there is no such property to sort by",
    **STORE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class FileListServices:
    """The views and links behind the routes of file lists."""

    orders: OrderViews
    files: FileViews
    links: Links


def file_lists_router(access: Access, services: FileListServices) -> APIRouter:
    endpoints = Endpoints(access, tag="file lists")
    _serve_files_of_dataset(endpoints, access, services)
    _serve_available_files(endpoints, services)
    return endpoints.router


def _serve_files_of_dataset(
    endpoints: Endpoints, access: Access, services: FileListServices
) -> None:
    @endpoints.serve(
        LIST_DATASET_FILES,
        model=Page[OrderDataFile],
        responses=_LISTED_OF_DATASET,
        documented=_FORBIDDEN,
    )
    async def list_dataset_files(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        dataset_id: DatasetTaskIdInPath,
        paging: DatasetPaging,
    ) -> Response:
        """Files in every state, by ascending id (rest.md 9.1; decisions.md, Ownership, File order)."""
        of_order = await services.files.of_dataset(
            caller.tenant,
            OrderId(order_id),
            DatasetTaskId(dataset_id),
            limit=paging.size,
            offset=paging.offset,
        )
        if of_order is None:
            raise HttpError(404, f"There is no order {order_id}")
        if not may_see_orders_of(access.roles, caller, of_order.owner):
            raise HttpError(403)
        found = of_order.files
        if found is None:
            raise HttpError(404, f"Order {order_id} has no dataset {dataset_id}")
        links = LinkWriter(request, access.roles, caller).prepared([("self", DOWNLOAD_FILE)])
        items = [{"content": data_file(view), "links": links.of(view.id)} for view in found.items]
        return json_answer(request, page(request, paging, found.total, items))


def _serve_available_files(endpoints: Endpoints, services: FileListServices) -> None:
    @endpoints.serve(
        LIST_AVAILABLE_FILES,
        model=Page[OrderDataFileDTO],
        responses=_LISTED,
        documented=_NOT_TO_BE_READ,
    )
    async def list_available_files(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        paging: AvailablePaging,
    ) -> Response:
        """Files that can be downloaded now, external ones included (rest.md 9.2)."""
        return await _available(services, request, caller, paging, order_id=OrderId(order_id))

    @endpoints.serve(
        LIST_AVAILABLE_FILES_OF_SUB_ORDER,
        model=Page[OrderDataFileDTO],
        responses=_LISTED,
        documented=_NOT_TO_BE_READ,
    )
    async def list_available_files_of_sub_order(
        request: Request,
        caller: AuthorisedCaller,
        order_id: OrderIdInPath,
        sub_order_id: SubOrderIdInPath,
        paging: AvailablePaging,
    ) -> Response:
        """The same for one sub-order; an unknown one has none (rest.md 9.2)."""
        order, sub_order = OrderId(order_id), SubOrderId(sub_order_id)
        return await _available(
            services, request, caller, paging, order_id=order, sub_order_id=sub_order
        )


async def _available(
    services: FileListServices,
    request: Request,
    caller: Caller,
    paging: Paging,
    *,
    order_id: OrderId,
    sub_order_id: SubOrderId | None = None,
) -> Response:
    sort = sorted_by(paging, FileProperty)
    owner = await services.orders.owner(caller.tenant, order_id)
    if owner is None:
        raise HttpError(404)
    if not may_read_order_of(caller, owner):
        raise HttpError(403)
    found = await services.files.available(
        caller.tenant, order_id, sub_order_id, sort, limit=paging.size, offset=paging.offset
    )
    links = await services.links.stored(caller.tenant)
    items = [entity(available_file(view, links)) for view in found.items]
    return json_answer(request, page(request, paging, found.total, items))
