"""Represents orders in REST: their content, and links to the caller's actions (rest.md 5.5, 5.6)."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import structlog
from fastapi import Request, Response
from orjson import Fragment

from rs_order.contracts.basket_bodies import FileSelectionDescription, ProcessDescription
from rs_order.contracts.wire import without_nulls
from rs_order.core.reason_texts import Language, text_of
from rs_order.core.waiting_orders import Waiting, WaitingOrders
from rs_order.domain.expectations import Expected
from rs_order.domain.identity import Caller
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.instants import wire_instant
from rs_order.domain.states import OrderStatus
from rs_order.orders.create import WithOrder
from rs_order.ports import RemoteError, Resource, Users
from rs_order.rest.access import Access
from rs_order.rest.addresses import base_address, expand
from rs_order.rest.answers import LinkWriter, PreparedLinks, json_answer
from rs_order.rest.conditional import RETURN_MINIMAL, prefers_minimal
from rs_order.rest.errors import HttpError
from rs_order.rest.keyed_requests import KeyedWork
from rs_order.rest.resources import (
    DELETE_ORDER,
    DOWNLOAD_ORDER,
    GET_ORDER,
    LIST_ORDERS,
    PAUSE_ORDER,
    REMOVE_ORDER,
    RESTART_ORDER,
    RESUME_ORDER,
    RETRY_ORDER,
)
from rs_order.store.order_views import DatasetTaskView, OrderView, OrderViews
from rs_order.store.unit_of_work import UnitOfWork

_ADMIN_TIMEOUT_SECONDS: Final = 3.0
"""The longest wait for rs-admin, which decides about one link only."""

Waits = Mapping[OrderId, Mapping[str, Any]]
"""The members of orders that say why they wait."""
_NO_WAITS: Final[Waits] = {}

log = structlog.get_logger(__name__)


class NewOrderAnswer:
    """The answer to a request that creates an order: 201, its address and, if not unwanted, the order."""

    def __init__(
        self, request: Request, access: Access, caller: Caller, work: KeyedWork | None
    ) -> None:
        """``work``: of a request with a key, whose answer the commit of the order keeps."""
        self.request = request
        self.caller = caller
        # Only a deleted order has a link for administrators, and this one is new.
        self._links = OrderLinks(request, access, caller, admin=False)
        self._work = work

    @property
    def with_order(self) -> WithOrder | None:
        """Further writes in the commit of the order."""
        return self._work.with_order(self._in_commit) if self._work else None

    async def answer(self, views: OrderViews, order_id: OrderId) -> Response:
        """Return the answer after the commit.

        Raises:
            HttpError: 404 if the order was removed meanwhile.
        """
        if self._work is not None and self._work.answer is not None:
            return self._work.answer
        if prefers_minimal(self.request):
            return self._minimal(order_id)
        view = await views.order(self.caller.tenant, order_id)
        if view is None:
            raise HttpError(404, f"There is no order {order_id} any more")
        return self._whole(view)

    async def _in_commit(self, uow: UnitOfWork, order_id: OrderId) -> Response:
        if prefers_minimal(self.request):
            return self._minimal(order_id)
        return self._whole(await uow.order_view(order_id))

    def _minimal(self, order_id: OrderId) -> Response:
        preference = {"Preference-Applied": RETURN_MINIMAL}
        return Response(status_code=201, headers={**self._location(order_id), **preference})

    def _whole(self, view: OrderView) -> Response:
        answer = json_answer(self.request, _entity(view, self._links), 201)
        answer.headers.update(self._location(view.id))
        return answer

    def _location(self, order_id: OrderId) -> dict[str, str]:
        path = expand(GET_ORDER.template, {"orderId": order_id})
        return {"Location": base_address(self.request) + path}


async def order_entities(
    request: Request,
    access: Access,
    users: Users,
    caller: Caller,
    views: Sequence[OrderView],
    *,
    waits: Waits = _NO_WAITS,
) -> list[dict[str, Any]]:
    """Return orders in their wrappers, each with links to the actions that the caller may use.

    ``waits``: why they wait, as far as that is shown.
    """
    deleted = any(view.status is OrderStatus.DELETED for view in views)
    admin = deleted and await _is_admin(users, caller)
    links = OrderLinks(request, access, caller, admin=admin)
    return [_entity(view, links, waits.get(view.id)) for view in views]


async def waits_of(
    waiting: WaitingOrders, tenant: Tenant, views: Sequence[OrderView], language: Language
) -> Waits:
    """Return why unfinished orders wait, with one statement for all.

    Raises:
        StoreUnavailable: the database can't be reached.
    """
    found = await waiting.of(tenant, [view.id for view in views if view.status.unfinished])
    return {order_id: wait_members(one, language) for order_id, one in found.items()}


def wait_members(one: Waiting, language: Language) -> dict[str, Any]:
    """Return the members of an ``OrderDto`` that say why it waits, and until when (faces.md Y-10)."""
    expected = one.expected if isinstance(one.expected, Expected) else None
    return without_nulls(
        waitingReason=one.reason.code.value,
        waitingText=text_of(one.reason, language),
        expectedEarliest=wire_instant(expected.earliest) if expected else None,
        expectedLatest=wire_instant(expected.latest) if expected else None,
    )


async def _is_admin(users: Users, caller: Caller) -> bool:
    """True if the caller is an administrator; False, too, if rs-admin gives no answer in time."""
    try:
        async with asyncio.timeout(_ADMIN_TIMEOUT_SECONDS):
            return await users.is_admin(caller.tenant, caller.email)
    except (RemoteError, TimeoutError) as error:
        log.warning("administrator-unknown", tenant=caller.tenant, cause=str(error))
        return False


def _entity(
    view: OrderView, links: "OrderLinks", waits: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the order in its wrapper. ``waits``: the members that say why it waits."""
    content = order_content(view)
    if waits:
        content |= waits
    return {"content": content, "links": links.of(view)}


def order_content(view: OrderView) -> dict[str, Any]:
    """Return the members of an ``OrderDto``."""
    content: dict[str, Any] = {
        "id": view.id,
        "owner": view.owner,
        "label": view.label,
        "creationDate": wire_instant(view.created_at),
    }
    if view.expires_at is not None:
        content["expirationDate"] = wire_instant(view.expires_at)
    content |= {
        "percentCompleted": view.percent,
        "filesInErrorCount": view.errors,
        "availableFilesCount": view.available_files,
        "status": view.status.value,
        "statusDate": wire_instant(view.status_at),
        "waitingForUser": view.waiting_for_user,
        "datasetTasks": [_task(task) for task in view.dataset_tasks],
    }
    return content


def _task(task: DatasetTaskView) -> dict[str, Any]:
    """Return the members of a ``DatasetTaskDto``."""
    members: dict[str, Any] = {
        "id": task.id,
        "datasetLabel": task.label,
        "objectsCount": task.products,
        "filesCount": task.files,
        "filesSize": task.bytes,
    }
    if task.process is not None:
        members["processDatasetDescription"] = ProcessDescription.of(task.process).to_wire()
    if task.file_filter is not None:
        description = FileSelectionDescription.of(task.file_filter)
        members["fileSelectionDescription"] = description.to_wire()
    return members


class OrderLinks:
    """Links to the actions on orders that a caller may use (rest.md 5.6)."""

    def __init__(self, request: Request, access: Access, caller: Caller, *, admin: bool) -> None:
        """``admin``: the caller is an administrator (rest.md 2.4), who may remove orders."""
        self._writer = LinkWriter(request, access.roles, caller)
        self._admin = admin
        self._prepared: dict[tuple[OrderStatus, bool, bool], PreparedLinks] = {}
        """By what decides which actions an order offers: many orders of a list offer the same."""

    def of(self, view: OrderView) -> Fragment:
        """Return the links of an order, as a part of a JSON body."""
        key = view.status, view.available_files > 0, view.can_be_retried
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = self._writer.prepared(self._offered(view))
        return prepared.of(view.id)

    def _offered(self, view: OrderView) -> Iterator[tuple[str, Resource]]:
        """Yield the actions in the order of rest.md 5.6, under the same conditions as the actions."""
        status = view.status
        yield "self", GET_ORDER
        yield "list", LIST_ORDERS
        if view.available_files:
            yield "download", DOWNLOAD_ORDER
        if status.can_be_paused:
            yield "pause", PAUSE_ORDER
        if status is OrderStatus.PAUSED:
            yield "resume", RESUME_ORDER
        if status.can_be_deleted:
            yield "delete", DELETE_ORDER
        if self._admin and status is OrderStatus.DELETED:
            yield "remove", REMOVE_ORDER
        if status.final:
            yield "restart", RESTART_ORDER
        if view.can_be_retried:
            yield "retry", RETRY_ORDER
