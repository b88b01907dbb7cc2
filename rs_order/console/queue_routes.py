"""The page of the queue: who starts next, shares, limits and holds (console.md 4)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import Path, Response

from rs_order.console.visits import Pages, Tone, Visit, Visiting
from rs_order.contracts.platform_names import INSTANCE_ADMIN
from rs_order.contracts.wire import INT64
from rs_order.core.errors import InvalidInput, NotFound, UnknownHold
from rs_order.domain.holds import HeldThing
from rs_order.domain.ids import OrderId
from rs_order.domain.shares import Amount, CapacityQueue, LimitKind, ShareKind
from rs_order.holds.routes import HoldServices
from rs_order.ports import Resource
from rs_order.rest.access import audit_actor, may_reach
from rs_order.rest.errors import ACCESS_DENIED, HttpError
from rs_order.rest.resources import (
    BEGIN_HOLD,
    CHANGE_LIMIT,
    CHANGE_SHARE,
    END_HOLD,
    PREVIEW_HOLD,
    PREVIEW_LIMIT,
    PREVIEW_SHARE,
    SHOW_QUEUE,
)
from rs_order.shares.limits import ManageLimits, NewLimit
from rs_order.shares.weights import ManageShares, NewWeight

MOST_HOLDS: Final = 100
LONGEST_HOURS: Final = 24 * 366
_FIELDS: Final = (
    "user",
    "role",
    "weight",
    "sub_orders",
    "files",
    "bytes",
    "order",
    "hours",
    "reason",
)

Fields = Mapping[str, str]
HoldId = Annotated[int, Path(alias="holdId", ge=1, le=INT64)]


@dataclass(frozen=True, slots=True)
class QueueReads:
    """The use cases behind the page."""

    shares: ManageShares
    limits: ManageLimits
    holds: HoldServices


@dataclass(frozen=True, slots=True)
class WaiterRow:
    position: int
    name: str
    """Empty: a user of another project, whom the visitor may not see."""
    project: str
    asks: str


@dataclass(frozen=True, slots=True)
class Change:
    """A form of the page: what it would change, and how it changes it."""

    name: str
    """Of its address and its texts."""
    preview_of: Resource
    resource: Resource
    preview: Callable[[Visit, Fields], Awaitable[CapacityQueue]]
    make: Callable[[Visit, Fields], Awaitable[None]]


def serve_queue(pages: Pages, reads: QueueReads) -> None:
    @pages.page("/queue", SHOW_QUEUE)
    async def show_queue(visit: Visiting) -> Response:
        return await _page(visit, reads)

    for change in (_weights(reads.shares), _limits(reads.limits), _holds(reads.holds)):
        _serve_change(pages, reads, change)

    @pages.act("/queue/hold/{holdId}/end", END_HOLD)
    async def end_hold(visit: Visiting, hold_id: HoldId) -> Response:
        found = await reads.holds.views.find(hold_id)
        if found is None or not may_reach(visit.caller, found.held.tenant):
            raise UnknownHold(hold_id)
        by = audit_actor(visit.caller)
        await reads.holds.work.end(found.held.tenant, hold_id, reason=None, by=by)
        return visit.back("queue", "did.queue.end", held=str(found.held))


def _serve_change(pages: Pages, reads: QueueReads, change: Change) -> None:
    async def preview(visit: Visiting) -> Response:
        fields = await _fields_of(visit)
        try:
            queue = await change.preview(visit, fields)
        except (InvalidInput, NotFound, ValueError) as error:
            return visit.back(
                "queue", "did.queue.rejected", tone=Tone.BAD, text=_said(visit, error)
            )
        return await _page(visit, reads, preview=queue, change=change, fields=fields)

    async def make(visit: Visiting) -> Response:
        try:
            await change.make(visit, await _fields_of(visit))
        except (InvalidInput, NotFound, ValueError) as error:
            return visit.back(
                "queue", "did.queue.rejected", tone=Tone.BAD, text=_said(visit, error)
            )
        return visit.back("queue", f"did.queue.{change.name}")

    preview.__name__, make.__name__ = f"preview_{change.name}", f"make_{change.name}"
    pages.act(f"/queue/{change.name}/preview", change.preview_of)(preview)
    pages.act(f"/queue/{change.name}", change.resource)(make)


async def _fields_of(visit: Visit) -> Fields:
    form = await visit.request.form()
    found = {name: form.get(name, "") for name in _FIELDS}
    return {name: value.strip() for name, value in found.items() if isinstance(value, str)}


def _said(visit: Visit, error: Exception) -> str:
    """Return why nothing was changed. Only a number that can't be read is a ValueError here."""
    return visit.texts("queue.no-number") if isinstance(error, ValueError) else str(error)


def _weights(shares: ManageShares) -> Change:
    def new(visit: Visit, fields: Fields) -> NewWeight:
        found = NewWeight.of(
            visit.caller.tenant,
            user=fields["user"] or None,
            role=fields["role"] or None,
            weight=float(fields["weight"]) if fields["weight"] else None,
        )
        if found.kind is ShareKind.TENANT and visit.caller.role != INSTANCE_ADMIN:
            raise HttpError(403, ACCESS_DENIED)
        return found

    async def preview(visit: Visit, fields: Fields) -> CapacityQueue:
        return await shares.preview(new(visit, fields))

    async def make(visit: Visit, fields: Fields) -> None:
        by = audit_actor(visit.caller)
        await shares.change(new(visit, fields), reason=fields["reason"], by=by)

    return Change("share", PREVIEW_SHARE, CHANGE_SHARE, preview, make)


def _limits(limits: ManageLimits) -> Change:
    def new(visit: Visit, fields: Fields) -> NewLimit:
        numbers = (int(fields[name] or 0) for name in ("sub_orders", "files", "bytes"))
        return NewLimit.of(visit.caller.tenant, LimitKind.USER, Amount(*numbers))

    async def preview(visit: Visit, fields: Fields) -> CapacityQueue:
        return await limits.preview(new(visit, fields))

    async def make(visit: Visit, fields: Fields) -> None:
        by = audit_actor(visit.caller)
        await limits.change(new(visit, fields), reason=fields["reason"], by=by)

    return Change("limit", PREVIEW_LIMIT, CHANGE_LIMIT, preview, make)


def _holds(holds: HoldServices) -> Change:
    def held(visit: Visit, fields: Fields) -> HeldThing:
        order = OrderId(int(fields["order"])) if fields["order"] else None
        return HeldThing(visit.caller.tenant, fields["user"] or None, order)

    def terms(visit: Visit, fields: Fields) -> dict[str, Any]:
        hours = min(float(fields["hours"] or 0), LONGEST_HOURS)
        return {"reason": fields["reason"], "until": visit.now + timedelta(hours=hours)}

    async def preview(visit: Visit, fields: Fields) -> CapacityQueue:
        return await holds.work.preview(held(visit, fields), **terms(visit, fields))

    async def make(visit: Visit, fields: Fields) -> None:
        by = audit_actor(visit.caller)
        await holds.work.begin(held(visit, fields), **terms(visit, fields), by=by)

    return Change("hold", PREVIEW_HOLD, BEGIN_HOLD, preview, make)


async def _page(
    visit: Visit,
    reads: QueueReads,
    *,
    preview: CapacityQueue | None = None,
    change: Change | None = None,
    fields: Fields | None = None,
) -> Response:
    """Return the page. With a preview it also shows who would start next, and offers to make the change."""
    tenant, queue = visit.caller.tenant, await reads.shares.queue()
    limits = await reads.limits.show(tenant)
    return visit.page(
        "queue.html",
        current="queue",
        queue=queue,
        waiters=waiters_of(visit, queue),
        preview=waiters_of(visit, preview) if preview is not None else None,
        change=change,
        fields=fields or dict.fromkeys(_FIELDS, ""),
        shares=await reads.shares.list(tenant),
        limits=[
            (visit.texts(f"queue.of.{name}"), amount_text(visit, amount))
            for name, amount in (
                ("service", limits.of_service),
                ("tenant", limits.of_tenant),
                ("user", limits.of_user),
                ("in-flight", limits.in_flight),
            )
            if amount is not None
        ],
        user_limit=limits.of_user,
        holds=await reads.holds.views.list(
            None if visit.caller.role == INSTANCE_ADMIN else tenant, limit=MOST_HOLDS
        ),
        may_share=visit.may(CHANGE_SHARE),
        may_limit=visit.may(CHANGE_LIMIT),
        may_hold=visit.may(BEGIN_HOLD),
        may_end=visit.may(END_HOLD),
    )


def waiters_of(visit: Visit, queue: CapacityQueue) -> list[WaiterRow]:
    """Return who starts next; users of other projects have no name."""
    everybody = visit.caller.role == INSTANCE_ADMIN
    return [
        WaiterRow(
            position,
            one.owner if everybody or one.tenant == visit.caller.tenant else "",
            one.tenant if everybody or one.tenant == visit.caller.tenant else "",
            amount_text(visit, one.asks),
        )
        for position, one in enumerate(queue.next, 1)
    ]


def amount_text(visit: Visit, amount: Amount) -> str:
    """Return sub-orders, files and bytes, those that aren't 0."""
    texts = visit.texts
    parts = [
        texts.count("sub-order", amount.sub_orders) if amount.sub_orders else "",
        texts.count("file", amount.files) if amount.files else "",
        texts.size(amount.bytes) if amount.bytes else "",
    ]
    return ", ".join(part for part in parts if part) or texts("queue.none-set")
