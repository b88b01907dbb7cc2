"""Acts on orders call the use cases of REST. Those that can't be undone ask first (console.md C8)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Form, Response

from rs_order.actions.rights import Actor
from rs_order.actions.routes import OrderActions
from rs_order.console.order_routes import readable_order
from rs_order.console.texts import Texts
from rs_order.console.visits import Pages, Tone, Visit, Visiting
from rs_order.core.errors import ActionRejected, InvalidInput, NotFound
from rs_order.domain.ids import OrderId
from rs_order.orders.create import OrderOptions
from rs_order.ports import Resource
from rs_order.rest.access import is_administrator, is_system
from rs_order.rest.middleware import facts_of
from rs_order.rest.parameters import OrderIdInPath
from rs_order.rest.resources import (
    DELETE_ORDER,
    PAUSE_ORDER,
    RESTART_ORDER,
    RESUME_ORDER,
    RETRY_ORDER,
)
from rs_order.store.order_pages import OrderPages

LONGEST_LABEL: Final = 50
Back = Annotated[str, Form(max_length=2000)]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a question."""

    name: str
    label: str
    longest: int
    required: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """An act on an order that needs no more than its id."""

    name: str
    """Of its texts and its address."""
    resource: Resource
    icon: str
    do: Callable[[Actor, OrderId], Awaitable[None]]


def acts_of(actions: OrderActions) -> list[Act]:
    return [
        Act("pause", PAUSE_ORDER, "pause", actions.pause),
        Act("resume", RESUME_ORDER, "play", actions.resume),
        Act("retry", RETRY_ORDER, "retry", actions.retry),
        Act("delete", DELETE_ORDER, "trash", actions.delete),
    ]


def serve_order_acts(pages: Pages, reads: OrderPages, actions: OrderActions) -> None:
    for act in acts_of(actions):
        _serve_simple(pages, act)
    _serve_delete_question(pages, reads)
    _serve_restart(pages, reads, actions)


def _serve_simple(pages: Pages, act: Act) -> None:
    async def do(visit: Visiting, order_id: OrderIdInPath, back: Back = "") -> Response:
        try:
            await act.do(actor(visit, order_id), OrderId(order_id))
        except (ActionRejected, NotFound) as error:
            return rejected(visit, back, order_id, error)
        return visit.back(place_of(back), f"did.{act.name}", id=str(order_id))

    do.__name__ = f"{act.name}_order"
    pages.act(f"/orders/{{orderId}}/{act.name}", act.resource)(do)


def _serve_delete_question(pages: Pages, reads: OrderPages) -> None:
    @pages.page("/orders/{orderId}/delete", DELETE_ORDER)
    async def ask_delete(visit: Visiting, order_id: OrderIdInPath) -> Response:
        texts, order = visit.texts, await readable_order(visit, reads, OrderId(order_id))
        return visit.page(
            "confirm.html",
            title=texts("confirm.delete.title", id=str(order_id)),
            subject=order.label,
            text=texts(
                "confirm.delete.text",
                orders=texts.count("order", 1),
                files=texts.count("file", order.files.total_files),
            ),
            action=f"orders/{order_id}/delete",
            act=texts("act.delete"),
            symbol="trash",
            style="danger",
            back=_origin(visit, order_id),
            fields=[],
        )


def _serve_restart(pages: Pages, reads: OrderPages, actions: OrderActions) -> None:
    @pages.page("/orders/{orderId}/restart", RESTART_ORDER)
    async def ask_restart(visit: Visiting, order_id: OrderIdInPath) -> Response:
        texts, order = visit.texts, await readable_order(visit, reads, OrderId(order_id))
        return visit.page(
            "confirm.html",
            title=texts("confirm.restart.title", id=str(order_id)),
            subject=order.label,
            text=texts("confirm.restart.text"),
            action=f"orders/{order_id}/restart",
            act=texts("act.restart"),
            symbol="restart",
            style="main",
            back=_origin(visit, order_id),
            fields=[Field("label", "field.label", LONGEST_LABEL)],
        )

    @pages.act("/orders/{orderId}/restart", RESTART_ORDER)
    async def restart_order(
        visit: Visiting,
        order_id: OrderIdInPath,
        label: Annotated[str, Form()] = "",
        back: Back = "",
    ) -> Response:
        options = OrderOptions(label.strip() or None, None)
        try:
            created = await actions.restart(actor(visit, order_id), OrderId(order_id), options)
        except (ActionRejected, NotFound, InvalidInput) as error:
            return rejected(visit, back, order_id, error)
        return visit.back(f"orders/{created}", "did.restart", id=str(order_id), new=str(created))


def actor(visit: Visit, order_id: int) -> Actor:
    facts_of(visit.request.scope)["order"] = order_id
    return Actor(visit.caller, is_administrator(visit.caller) or is_system(visit.caller))


def rejected(visit: Visit, back: str, order_id: int, error: Exception) -> Response:
    """Return the way back with the reason why nothing was done."""
    return visit.back(
        place_of(back),
        "did.rejected",
        tone=Tone.BAD,
        id=str(order_id),
        text=rejection(visit.texts, error),
    )


def rejection(texts: Texts, error: Exception) -> str:
    """Return why nothing was done, in words."""
    code = f"code.{error}"
    return texts(code) if texts.has(code) else str(error)


def place_of(back: str) -> str:
    """Return a place below the console to which a form leads back: the list if it names none."""
    return back if back and not back.startswith("/") and ".." not in back else "my-orders"


def _origin(visit: Visit, order_id: int) -> str:
    """Return the page from which a question was asked: the list, or the order."""
    referer = visit.request.headers.get("Referer", "")
    return "my-orders" if "/console/my-orders" in referer else f"orders/{order_id}"
