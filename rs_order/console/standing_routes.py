"""The page of what stands still, and the acts that move it (console.md 4)."""

from dataclasses import dataclass
from typing import Final

from fastapi import Response

from rs_order.actions.routes import OrderActions
from rs_order.console import looks
from rs_order.console.live import Live
from rs_order.console.order_acts import actor, rejected
from rs_order.console.order_routes import OrderReads, readable_order, row_of
from rs_order.console.order_rows import OrderRow
from rs_order.console.standing import standing_rows
from rs_order.console.visits import Pages, Visit, Visiting
from rs_order.core.errors import ActionRejected, NotFound
from rs_order.domain.ids import OrderId
from rs_order.rest.access import is_administrator
from rs_order.rest.parameters import OrderIdInPath
from rs_order.rest.resources import (
    ASK_STORAGE_AGAIN,
    DELETE_ORDER,
    LIST_DEAD_LETTERS,
    PAUSE_ORDER,
    SEARCH_ORDERS,
    SHOW_QUEUE,
)
from rs_order.store.standing import Standing, StandingStill

MOST_CAUSES: Final = 100
MOST_REQUESTS: Final = 50
_PLACE: Final = "standing"


@dataclass(frozen=True, slots=True)
class StandingReads:
    """The services that the page reads, and the acts that it offers."""

    still: StandingStill
    orders: OrderReads
    actions: OrderActions
    live: Live


def serve_standing(pages: Pages, reads: StandingReads) -> None:
    @pages.page("/standing", SEARCH_ORDERS)
    async def show_standing(visit: Visiting) -> Response:
        tenant, position = visit.caller.tenant, await reads.live.position(visit)
        causes = await reads.still.causes(tenant, visit.now, limit=MOST_CAUSES)
        rows = await _orders(visit, reads.orders, causes)
        return visit.page(
            "standing.html",
            current="standing",
            position=position,
            looks=looks,
            rows=standing_rows(causes, rows.get, visit.texts),
            cut=len(causes) == MOST_CAUSES,
            requests=await reads.still.requests(tenant, visit.now, limit=MOST_REQUESTS),
            may_ask=visit.may(ASK_STORAGE_AGAIN),
            may_cancel=_may_cancel(visit),
            may_queue=visit.may(SHOW_QUEUE),
            may_letters=visit.may(LIST_DEAD_LETTERS),
        )

    _serve_acts(pages, reads)


async def _orders(visit: Visit, reads: OrderReads, causes: list[Standing]) -> dict[int, OrderRow]:
    ids = list(dict.fromkeys(one.order_id for one in causes if one.order_id is not None))
    found = await reads.pages.orders(visit.caller.tenant, ids)
    waits = await reads.waiting.of(visit.caller.tenant, [order.id for order in found])
    return {order.id: row_of(visit, order, waits.get(order.id)) for order in found}


def _may_cancel(visit: Visit) -> bool:
    return is_administrator(visit.caller) and visit.may(PAUSE_ORDER) and visit.may(DELETE_ORDER)


def _serve_acts(pages: Pages, reads: StandingReads) -> None:
    @pages.act("/orders/{orderId}/ask-again", ASK_STORAGE_AGAIN)
    async def ask_storage_again(visit: Visiting, order_id: OrderIdInPath) -> Response:
        try:
            asked = await reads.actions.ask_again(actor(visit, order_id), OrderId(order_id))
        except (ActionRejected, NotFound) as error:
            return rejected(visit, _PLACE, order_id, error)
        sub_orders = visit.texts.count("sub-order", asked)
        return visit.back(_PLACE, "did.ask-again", id=str(order_id), sub_orders=sub_orders)

    @pages.page("/orders/{orderId}/cancel", DELETE_ORDER)
    async def ask_cancel(visit: Visiting, order_id: OrderIdInPath) -> Response:
        texts = visit.texts
        order = await readable_order(visit, reads.orders.pages, OrderId(order_id))
        return visit.page(
            "confirm.html",
            title=texts("confirm.cancel-order.title", id=str(order_id)),
            subject=order.label,
            text=texts(
                "confirm.cancel-order.text",
                orders=texts.count("order", 1),
                files=texts.count("file", order.files.total_files),
            ),
            action=f"orders/{order_id}/cancel",
            act=texts("act.cancel-order"),
            symbol="trash",
            style="danger",
            back=_PLACE,
            fields=[],
        )

    @pages.act("/orders/{orderId}/cancel", DELETE_ORDER)
    async def cancel_order(visit: Visiting, order_id: OrderIdInPath) -> Response:
        """Pause an order that is under way, and delete it. What was paused and can't be deleted stays so."""
        who, order = actor(visit, order_id), OrderId(order_id)
        try:
            found = await readable_order(visit, reads.orders.pages, order)
            if found.status.can_be_paused:
                visit.require(PAUSE_ORDER)
                await reads.actions.pause(who, order)
            await reads.actions.delete(who, order)
        except (ActionRejected, NotFound) as error:
            return rejected(visit, _PLACE, order_id, error)
        return visit.back(_PLACE, "did.cancel-order", id=str(order_id))
