"""The pages of orders: own orders, and one order (console.md 3)."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Query, Response

from rs_order.console import looks
from rs_order.console.live import Live
from rs_order.console.order_rows import OrderRow, order_row, with_document
from rs_order.console.order_view import (
    FILES,
    MOVES,
    SUB_ORDERS,
    OrderContent,
    Wanted,
    order_model,
)
from rs_order.console.paging import neighbours
from rs_order.console.visits import Pages, Visit, Visiting
from rs_order.contracts.wire import INT64
from rs_order.core.waiting_orders import Waiting, WaitingOrders, waiting
from rs_order.domain.ids import DatasetTaskId, OrderId, SubOrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from rs_order.progress.document import progress_document
from rs_order.rest.access import is_administrator, may_read_order_of
from rs_order.rest.errors import HttpError
from rs_order.rest.parameters import OrderIdInPath
from rs_order.rest.resources import GET_ORDER, LIST_ORDERS, MAKE_QUOTE
from rs_order.store.order_pages import (
    MOST_COUNTED,
    FileSearch,
    OrderPages,
    OwnSearch,
    ShownOrder,
)

PAGE_SIZE: Final = 50
LISTED: Final = tuple(status for status in OrderStatus if status is not OrderStatus.DELETED)
Text = Annotated[str, Query(max_length=255)]
Choice = Annotated[str, Query(max_length=20)]


@dataclass(frozen=True, slots=True)
class OrderReads:
    """The services that the pages of orders read."""

    pages: OrderPages
    waiting: WaitingOrders


def serve_orders(pages: Pages, reads: OrderReads, live: Live) -> None:
    _serve_own_orders(pages, reads, live)
    _serve_order(pages, reads, live)


def _serve_own_orders(pages: Pages, reads: OrderReads, live: Live) -> None:
    @pages.page("/my-orders", LIST_ORDERS)
    async def my_orders(
        visit: Visiting,
        status: Choice = "",
        text: Text = "",
        page: Annotated[int, Query(ge=1, le=MOST_COUNTED // PAGE_SIZE)] = 1,
    ) -> Response:
        tenant, position = visit.caller.tenant, await live.position(visit)
        chosen = [OrderStatus(status)] if status in set(LISTED) else None
        found = await reads.pages.of_owner(
            tenant,
            visit.caller.email,
            OwnSearch(chosen, text.strip() or None),
            limit=PAGE_SIZE,
            offset=(page - 1) * PAGE_SIZE,
        )
        unfinished = [order.id for order in found.items if order.status.unfinished]
        waits = await reads.waiting.of(tenant, unfinished)
        last = max(1, -(-found.total // PAGE_SIZE))
        return visit.page(
            "my_orders.html",
            current="my-orders",
            position=position,
            looks=looks,
            wanted={"status": status, "text": text},
            statuses=LISTED,
            rows=[row_of(visit, order, waits.get(order.id)) for order in found.items],
            total=_total(visit, found.total),
            may_order=visit.may(MAKE_QUOTE),
            pages=neighbours(
                f"{visit.root}/my-orders",
                {"status": status, "text": text},
                page,
                last,
                visit.texts("pager.text", page=page, last=last),
            ),
        )


def _total(visit: Visit, total: int) -> str:
    orders = visit.texts.count("order", total)
    return visit.texts("my-orders.many", orders=orders) if total >= MOST_COUNTED else orders


def row_of(visit: Visit, order: ShownOrder, waits: Waiting | None) -> OrderRow:
    manages = visit.caller.email == order.owner or is_administrator(visit.caller)
    return order_row(order, waits, visit.texts, visit.now, visit.may, manages=manages)


def _serve_order(pages: Pages, reads: OrderReads, live: Live) -> None:
    @pages.page("/orders/{orderId}", GET_ORDER)
    async def one_order(  # noqa: PLR0917 - FastAPI passes them by name
        visit: Visiting,
        order_id: OrderIdInPath,
        sub: Choice = "",
        before: Annotated[int | None, Query(ge=1, le=INT64)] = None,
        state: Choice = "",
        dataset: Annotated[str, Query(max_length=18, pattern="^[0-9]*$")] = "",
        name: Text = "",
        after: Annotated[int, Query(ge=0, le=INT64)] = 0,
    ) -> Response:
        wanted = Wanted(
            sub=SubOrderState(sub) if sub in set(SubOrderState) else None,
            before=SubOrderId(before) if before else None,
            state=FileState(state) if state in set(FileState) else None,
            dataset=DatasetTaskId(int(dataset)) if dataset else None,
            name=name.strip(),
            after=after,
        )
        position = await live.position(visit)
        content = await _read(visit, reads, OrderId(order_id), wanted)
        return visit.page(
            "order.html",
            position=position,
            own=content.order.owner == visit.caller.email,
            wanted=wanted,
            **order_model(content, wanted, visit.texts, visit.now, visit.root, visit.may),
        )


async def readable_order(visit: Visit, pages: OrderPages, order_id: OrderId) -> ShownOrder:
    """Return an order that the visitor may read.

    Raises:
        HttpError: there is no such order, or it is another user's.
    """
    order = await pages.order(visit.caller.tenant, order_id)
    if order is None:
        raise no_order(visit, order_id)
    if not may_read_order_of(visit.caller, order.owner):
        raise HttpError(403, visit.texts("failure.not-owner", id=str(order_id)))
    return order


def no_order(visit: Visit, order_id: OrderId) -> HttpError:
    return HttpError(404, visit.texts("failure.no-order", id=str(order_id)))


async def _read(visit: Visit, reads: OrderReads, order_id: OrderId, wanted: Wanted) -> OrderContent:
    """Read the order. The statements follow each other, so that a page takes one connection at a time."""
    tenant, progress = visit.caller.tenant, reads.waiting.progress
    order = await readable_order(visit, reads.pages, order_id)
    facts = await reads.waiting.facts(tenant, order_id)
    if facts is None:
        raise no_order(visit, order_id)
    expectations = await reads.waiting.expectations(tenant)
    now = expectations.now
    details = await progress.details(tenant, order_id, facts, now)
    document = progress_document(order_id, details, expectations, visit.texts.language)
    search = FileSearch(
        [wanted.state] if wanted.state else None, wanted.dataset, wanted.name or None
    )
    row = row_of(visit, order, waiting(facts, expectations) if facts.unfinished else None)
    return OrderContent(
        order=order,
        row=with_document(row, document) if facts.unfinished else row,
        facts=facts,
        document=document,
        expectations=expectations,
        moves=await reads.pages.moves(tenant, order_id, limit=MOVES + 1),
        sub_orders=await progress.sub_orders(
            tenant, order_id, wanted.sub, now, limit=SUB_ORDERS + 1, before=wanted.before
        ),
        datasets=await reads.pages.datasets(tenant, order_id),
        files=await reads.pages.files(
            tenant, order_id, search, after=wanted.after, limit=FILES + 1
        ),
    )
