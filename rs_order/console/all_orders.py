"""The page of all orders of a project: search, sort, CSV, and acts on many at once (console.md 4)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends, Form, Query, Response
from starlette.responses import StreamingResponse

from rs_order.actions.routes import OrderActions
from rs_order.console import looks
from rs_order.console.live import Live
from rs_order.console.order_acts import Act, actor, acts_of, rejection
from rs_order.console.order_routes import PAGE_SIZE, OrderReads, row_of
from rs_order.console.paging import neighbours
from rs_order.console.visits import Pages, Visit, Visiting
from rs_order.contracts.wire import INT64
from rs_order.core.errors import ActionRejected, NotFound
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.states import OrderStatus
from rs_order.orders.search import CSV_NAME, HEADER, csv_line
from rs_order.rest.access import is_administrator
from rs_order.rest.resources import EXPORT_ORDERS, SEARCH_ORDERS
from rs_order.store.lists import SortBy
from rs_order.store.order_pages import MOST_COUNTED, AllSearch, OrderPages, OrderSort
from rs_order.store.order_views import OrderViews

MOST_AT_ONCE: Final = PAGE_SIZE
_NEWEST: Final = f"-{OrderSort.CREATED}"
Text = Annotated[str, Query(max_length=255)]


@dataclass(frozen=True, slots=True)
class AllOrders:
    """The services that the page *Orders* reads, and the acts that it offers."""

    reads: OrderReads
    views: OrderViews
    actions: OrderActions
    live: Live


@dataclass(frozen=True, slots=True)
class Wanted:
    """The search in the address."""

    owner: str = ""
    status: str = ""
    label: str = ""
    correlation: str = ""
    id: str = ""
    since: str = ""
    until: str = ""
    """Days in UTC; both are included."""
    sort: str = _NEWEST

    def search(self) -> AllSearch:
        return AllSearch(
            owner=self.owner.strip() or None,
            statuses=[OrderStatus(self.status)] if self.status in set(OrderStatus) else None,
            text=self.label.strip() or None,
            correlation_id=self.correlation.strip() or None,
            order_id=OrderId(int(self.id)) if self.id else None,
            created_from=_day(self.since),
            created_before=_day(self.until, days=1),
        )

    @property
    def order(self) -> SortBy[OrderSort]:
        name = self.sort.removeprefix("-")
        known = OrderSort(name) if name in set(OrderSort) else OrderSort.CREATED
        return SortBy(known, descending=self.sort.startswith("-"))

    def filters(self) -> dict[str, str]:
        """Return the parameters of the address that aren't empty or the usual ones."""
        names = ("owner", "status", "label", "correlation", "id", "since", "until")
        found = {name: getattr(self, name) for name in names if getattr(self, name)}
        return found if self.sort == _NEWEST else {**found, "sort": self.sort}


def _day(text: str, days: int = 0) -> datetime | None:
    """Return the beginning of a day; None if the text is no date."""
    try:
        return datetime.combine(date.fromisoformat(text), time(tzinfo=UTC)) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None


async def _wanted(
    *,
    owner: Text = "",
    status: Annotated[str, Query(max_length=20)] = "",
    label: Text = "",
    correlation: Text = "",
    id_: Annotated[str, Query(alias="id", max_length=18, pattern="^[0-9]*$")] = "",
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
    sort: Annotated[str, Query(max_length=20)] = _NEWEST,
) -> Wanted:
    return Wanted(owner, status, label, correlation, id_, since, until, sort)


def serve_all_orders(pages: Pages, orders: AllOrders) -> None:
    _serve_list(pages, orders)
    _serve_csv(pages, orders)
    _serve_acts(pages, orders)


@dataclass(frozen=True, slots=True)
class Column:
    """A column by which the list can be sorted."""

    key: str
    address: str
    direction: str
    """``ascending``, ``descending`` or ``none``."""


def _columns(visit: Visit, wanted: Wanted) -> dict[str, Column]:
    """Return the columns by name. Their address sorts by them, or turns the order around."""
    found = {}
    for one in OrderSort:
        chosen = wanted.order.property is one
        ascending = chosen and wanted.order.descending
        query = {**wanted.filters(), "sort": one.value if ascending else f"-{one}"}
        direction = "descending" if wanted.order.descending else "ascending"
        found[one.value] = Column(
            one.value,
            f"{visit.root}/orders?{urlencode(query)}",
            direction if chosen else "none",
        )
    return found


def _serve_list(pages: Pages, orders: AllOrders) -> None:
    @pages.page("/orders", SEARCH_ORDERS)
    async def all_orders(
        visit: Visiting,
        wanted: Annotated[Wanted, Depends(_wanted)],
        page: Annotated[int, Query(ge=1, le=MOST_COUNTED // PAGE_SIZE)] = 1,
    ) -> Response:
        tenant, position = visit.caller.tenant, await orders.live.position(visit)
        found = await orders.reads.pages.search(
            tenant, wanted.search(), wanted.order, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE
        )
        unfinished = [order.id for order in found.items if order.status.unfinished]
        waits = await orders.reads.waiting.of(tenant, unfinished)
        last = max(1, -(-found.total // PAGE_SIZE))
        texts = visit.texts
        total = texts.count("order", found.total)
        return visit.page(
            "all_orders.html",
            current="orders",
            position=position,
            looks=looks,
            wanted=wanted,
            filtered=bool(wanted.filters()),
            statuses=tuple(OrderStatus),
            columns=_columns(visit, wanted),
            rows=[row_of(visit, order, waits.get(order.id)) for order in found.items],
            total=texts("my-orders.many", orders=total) if found.total >= MOST_COUNTED else total,
            pages=neighbours(
                f"{visit.root}/orders",
                wanted.filters(),
                page,
                last,
                texts("pager.text", page=page, last=last),
            ),
            query=urlencode(wanted.filters()),
            may_export=visit.may(EXPORT_ORDERS),
            acts=[one for one in acts_of(orders.actions) if visit.may(one.resource)]
            if is_administrator(visit.caller)
            else [],
        )


def _serve_csv(pages: Pages, orders: AllOrders) -> None:
    @pages.page("/orders.csv", EXPORT_ORDERS)
    async def export_orders(
        visit: Visiting, wanted: Annotated[Wanted, Depends(_wanted)]
    ) -> Response:
        """The orders that a search finds, by ascending id, with the columns of REST."""
        parts = _csv(orders, visit.caller.tenant, wanted.search())
        first = await anext(parts)
        return StreamingResponse(
            _all_of(first, parts),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": CSV_NAME},
        )


async def _csv(orders: AllOrders, tenant: Tenant, search: AllSearch) -> AsyncIterator[str]:
    text = HEADER
    async for ids in orders.reads.pages.found_ids(tenant, search):
        views = await orders.views.orders(tenant, ids)
        yield text + "".join(csv_line(view) for view in views)
        text = ""
    if text:
        yield text


async def _all_of(first: str, others: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for other in others:
        yield other


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an act for one order."""

    id: str
    label: str
    text: str
    done: bool


def _serve_acts(pages: Pages, orders: AllOrders) -> None:
    acts = {one.name: one for one in acts_of(orders.actions)}
    for act in acts.values():
        _serve_question(pages, orders.reads.pages, act)
        _serve_many(pages, orders.reads.pages, act)


Ids = Annotated[list[int], Form(max_length=MOST_AT_ONCE)]


def _serve_question(pages: Pages, reads: OrderPages, act: Act) -> None:
    async def ask(
        visit: Visiting,
        ids: Annotated[list[int] | None, Form(max_length=MOST_AT_ONCE)] = None,
        query: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        found = await _known(reads, visit, ids or [])
        if not found:
            return visit.back(f"orders?{query}", "did.orders.none")
        texts = visit.texts
        files = sum(order.files.total_files for order in found.values())
        counted = {"orders": texts.count("order", len(found)), "files": texts.count("file", files)}
        return visit.page(
            "orders_question.html",
            current="orders",
            title=texts(f"many.{act.name}.title", **counted),
            text=texts(f"many.{act.name}.text", **counted),
            act=act,
            orders=list(found.values()),
            back=f"orders?{query}",
        )

    ask.__name__ = f"ask_{act.name}_orders"
    pages.act(f"/orders/many/{act.name}/ask", act.resource)(ask)


def _serve_many(pages: Pages, reads: OrderPages, act: Act) -> None:
    async def do(
        visit: Visiting, ids: Ids, back: Annotated[str, Form(max_length=2000)] = ""
    ) -> Response:
        found = await _known(reads, visit, ids)
        results = [await _result(visit, act, id_, found) for id_ in ids]
        return visit.page(
            "orders_results.html",
            current="orders",
            act=act,
            results=results,
            done=sum(one.done for one in results),
            back=back if back.startswith("orders?") else "orders",
        )

    do.__name__ = f"{act.name}_many_orders"
    pages.act(f"/orders/many/{act.name}", act.resource)(do)


async def _known(reads: OrderPages, visit: Visit, ids: Sequence[int]) -> dict[int, Any]:
    """Return those orders that exist, by id."""
    known = [OrderId(one) for one in dict.fromkeys(ids) if 0 < one <= INT64]
    found = await reads.orders(visit.caller.tenant, known)
    return {order.id: order for order in found}


async def _result(visit: Visit, act: Act, order_id: int, known: Mapping[int, Any]) -> Result:
    """Act on one order. A rejection is its result; the others go on."""
    label = known[order_id].label if order_id in known else ""
    id_ = str(order_id)
    try:
        await act.do(actor(visit, order_id), OrderId(order_id))
    except (ActionRejected, NotFound) as error:
        return Result(id_, label, rejection(visit.texts, error), done=False)
    return Result(id_, label, visit.texts(f"did.{act.name}", id=id_), done=True)
