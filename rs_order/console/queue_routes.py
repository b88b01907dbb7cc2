"""The page of the queue: who starts next, shares, limits and holds (console.md 4)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Path, Query, Response

from rs_order.console.visits import Pages, Tone, Visit, Visiting
from rs_order.contracts.platform_names import INSTANCE_ADMIN
from rs_order.contracts.wire import INT64
from rs_order.core.errors import InvalidInput, NotFound, UnknownHold
from rs_order.domain.holds import HeldThing
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.shares import Amount, CapacityQueue, LimitKind, ShareKind
from rs_order.holds.routes import HoldServices
from rs_order.ports import Resource
from rs_order.rest.access import audit_actor, is_served, may_reach, require_own_tenant
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
    "project",
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
    preview: Callable[[Visit, Tenant, Fields], Awaitable[CapacityQueue]]
    """Gets the project that the page is about."""
    make: Callable[[Visit, Tenant, Fields], Awaitable[None]]


def serve_queue(pages: Pages, reads: QueueReads) -> None:
    @pages.page("/queue", SHOW_QUEUE)
    async def show_queue(
        visit: Visiting, project: Annotated[str, Query(max_length=255)] = ""
    ) -> Response:
        return await _page(visit, reads, await _project(visit, project))

    changes = (
        _weights(reads.shares),
        _limits(reads.limits, "limit", LimitKind.USER),
        _limits(reads.limits, "project-limit", LimitKind.TENANT),
        _holds(reads.holds),
    )
    for change in changes:
        _serve_change(pages, reads, change)

    @pages.act("/queue/hold/{holdId}/end", END_HOLD)
    async def end_hold(visit: Visiting, hold_id: HoldId) -> Response:
        found = await reads.holds.views.find(hold_id)
        if found is None or not may_reach(visit.caller, found.held.tenant):
            raise UnknownHold(hold_id)
        by = audit_actor(visit.caller)
        await reads.holds.work.end(found.held.tenant, hold_id, reason=None, by=by)
        place = _place(visit, found.held.tenant)
        return visit.back(place, "did.queue.end", held=str(found.held))


async def _project(visit: Visit, wanted: str) -> Tenant:
    """Return the project that the page is about: that of the visitor, unless they may see others.

    Raises:
        HttpError: 403 if the visitor may not see it.
        NotFound: it isn't served here.
    """
    access = visit.frame.access
    own = visit.caller.tenant
    name = wanted or (own if visit.served else next(iter(access.tenants.names()), own))
    require_own_tenant(visit.caller, name)
    if not await is_served(access, name):
        raise NotFound(visit.texts("projects.absent", project=name))
    return Tenant(name)


def _place(visit: Visit, project: Tenant) -> str:
    """Return the page of a project, below the console."""
    if project == visit.caller.tenant:
        return "queue"
    return f"queue?{urlencode({'project': project})}"


def _serve_change(pages: Pages, reads: QueueReads, change: Change) -> None:
    async def preview(visit: Visiting) -> Response:
        fields = await _fields_of(visit)
        project = await _project(visit, fields["project"])
        try:
            queue = await change.preview(visit, project, fields)
        except (InvalidInput, NotFound, ValueError) as error:
            return _rejected(visit, project, error)
        return await _page(visit, reads, project, preview=queue, change=change, fields=fields)

    async def make(visit: Visiting) -> Response:
        fields = await _fields_of(visit)
        project = await _project(visit, fields["project"])
        try:
            await change.make(visit, project, fields)
        except (InvalidInput, NotFound, ValueError) as error:
            return _rejected(visit, project, error)
        return visit.back(_place(visit, project), f"did.queue.{change.name}")

    name = change.name.replace("-", "_")
    preview.__name__, make.__name__ = f"preview_{name}", f"make_{name}"
    pages.act(f"/queue/{change.name}/preview", change.preview_of)(preview)
    pages.act(f"/queue/{change.name}", change.resource)(make)


async def _fields_of(visit: Visit) -> Fields:
    form = await visit.request.form()
    found = {name: form.get(name, "") for name in _FIELDS}
    return {name: value.strip() for name, value in found.items() if isinstance(value, str)}


def _rejected(visit: Visit, project: Tenant, error: Exception) -> Response:
    place, text = _place(visit, project), _said(visit, error)
    return visit.back(place, "did.queue.rejected", tone=Tone.BAD, text=text)


def _said(visit: Visit, error: Exception) -> str:
    """Return why nothing was changed. Only a number that can't be read is a ValueError here."""
    return visit.texts("queue.no-number") if isinstance(error, ValueError) else str(error)


def _weights(shares: ManageShares) -> Change:
    def new(visit: Visit, project: Tenant, fields: Fields) -> NewWeight:
        found = NewWeight.of(
            project,
            user=fields["user"] or None,
            role=fields["role"] or None,
            weight=float(fields["weight"]) if fields["weight"] else None,
        )
        if found.kind is ShareKind.TENANT and visit.caller.role != INSTANCE_ADMIN:
            raise HttpError(403, ACCESS_DENIED)
        return found

    async def preview(visit: Visit, project: Tenant, fields: Fields) -> CapacityQueue:
        return await shares.preview(new(visit, project, fields))

    async def make(visit: Visit, project: Tenant, fields: Fields) -> None:
        by = audit_actor(visit.caller)
        await shares.change(new(visit, project, fields), reason=fields["reason"], by=by)

    return Change("share", PREVIEW_SHARE, CHANGE_SHARE, preview, make)


def _limits(limits: ManageLimits, name: str, kind: LimitKind) -> Change:
    def new(visit: Visit, project: Tenant, fields: Fields) -> NewLimit:
        if kind is LimitKind.TENANT and visit.caller.role != INSTANCE_ADMIN:
            raise HttpError(403, ACCESS_DENIED)
        numbers = (int(fields[one] or 0) for one in ("sub_orders", "files", "bytes"))
        return NewLimit.of(project, kind, Amount(*numbers))

    async def preview(visit: Visit, project: Tenant, fields: Fields) -> CapacityQueue:
        return await limits.preview(new(visit, project, fields))

    async def make(visit: Visit, project: Tenant, fields: Fields) -> None:
        by = audit_actor(visit.caller)
        await limits.change(new(visit, project, fields), reason=fields["reason"], by=by)

    return Change(name, PREVIEW_LIMIT, CHANGE_LIMIT, preview, make)


def _holds(holds: HoldServices) -> Change:
    def held(project: Tenant, fields: Fields) -> HeldThing:
        order = OrderId(int(fields["order"])) if fields["order"] else None
        return HeldThing(project, fields["user"] or None, order)

    def terms(visit: Visit, fields: Fields) -> dict[str, Any]:
        hours = min(float(fields["hours"] or 0), LONGEST_HOURS)
        return {"reason": fields["reason"], "until": visit.now + timedelta(hours=hours)}

    async def preview(visit: Visit, project: Tenant, fields: Fields) -> CapacityQueue:
        return await holds.work.preview(held(project, fields), **terms(visit, fields))

    async def make(visit: Visit, project: Tenant, fields: Fields) -> None:
        by = audit_actor(visit.caller)
        await holds.work.begin(held(project, fields), **terms(visit, fields), by=by)

    return Change("hold", PREVIEW_HOLD, BEGIN_HOLD, preview, make)


async def _page(
    visit: Visit,
    reads: QueueReads,
    project: Tenant,
    *,
    preview: CapacityQueue | None = None,
    change: Change | None = None,
    fields: Fields | None = None,
) -> Response:
    """Return the page. With a preview it also shows who would start next, and offers to make the change."""
    queue, limits = await reads.shares.queue(), await reads.limits.show(project)
    everybody = visit.caller.role == INSTANCE_ADMIN
    return visit.page(
        "queue.html",
        current="queue",
        queue=queue,
        waiters=waiters_of(visit, queue),
        preview=waiters_of(visit, preview) if preview is not None else None,
        change=change,
        fields=fields or dict.fromkeys(_FIELDS, ""),
        project=project,
        projects=visit.frame.access.tenants.names() if everybody else [],
        shares=await reads.shares.list(project),
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
        limit_forms=[
            ("limit", limits.of_user),
            *([("project-limit", limits.of_tenant)] if everybody else []),
        ],
        holds=await reads.holds.views.list(None if everybody else project, limit=MOST_HOLDS),
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
