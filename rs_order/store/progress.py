"""Reads why orders aren't further: a page of orders in one statement, the details of one in three."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from rs_order.domain.expectations import QueuePlace
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.reasons import OrderFacts, Request, Slots, SubOrderGroup, TurnScope
from rs_order.domain.states import FileCounters, OrderStatus, SubOrderKind, SubOrderState
from rs_order.store.pool import Pool, Row, statements
from rs_order.store.rows import counters_of
from rs_order.store.tenant_reads import read_rows

SQL = statements("progress")


@dataclass(frozen=True, slots=True)
class Ahead:
    """The owner's sub-orders that come before those of an order."""

    sub_orders: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Turn:
    """The place of an owner among those who wait for capacity, and their share."""

    users: int
    """Those who start before, with one sub-order each."""
    files: int
    bytes: int
    """What these sub-orders ask of storage."""
    weight: float
    used_bytes: int
    """The recent use of the owner."""


@dataclass(frozen=True, slots=True)
class OrderProgress:
    """What more is known of one order."""

    facts: OrderFacts
    """With the times that only the history and the ranks have."""
    by_state: Mapping[SubOrderState, int] = field(default_factory=dict)
    """The number of sub-orders; empty while its files are read."""
    asks: int = 0
    """The most requests to storage for one of its sub-orders."""
    asked_at: datetime | None = None
    ahead: Ahead | None = None
    place: QueuePlace | None = None
    """None: none of its sub-orders is in the owner's queue."""
    turn: Turn | None = None
    """None: nobody starts before the owner."""


class Progress:
    """Reads the progress of orders. All calls raise StoreUnavailable."""

    def __init__(self, pool: Pool, *, slots_per_user: int, silent_after: timedelta) -> None:
        """``silent_after``: the time until storage is asked again."""
        self._pool = pool
        self.slots_per_user = slots_per_user
        self._silent_after = silent_after

    async def facts(
        self, tenant: Tenant, ids: Sequence[OrderId], now: datetime
    ) -> dict[OrderId, OrderFacts]:
        """Return what the reasons of orders follow from, with one statement for any number."""
        rows = await read_rows(
            self._pool, tenant, SQL["facts"], *self._parameters(tenant, ids, now)
        )
        by_order = groupby(rows, lambda row: OrderId(row["id"]))
        return {order_id: _facts_of(list(own)) for order_id, own in by_order}

    async def details(
        self, tenant: Tenant, order_id: OrderId, facts: OrderFacts, now: datetime
    ) -> OrderProgress:
        """Return what more is known of an order with these facts, with at most three statements."""
        if not facts.files_known:
            return OrderProgress(facts)
        by_state = await read_rows(self._pool, tenant, SQL["states"], order_id)
        states = {SubOrderState(one["state"]): one for one in by_state}
        with_times = await self._with_times(tenant, order_id, facts, states)
        before = await self._before(tenant, facts, states, now)
        asked = [one["asked_at"] for one in states.values() if one["asked_at"] is not None]
        return OrderProgress(
            with_times,
            by_state={state: one["sub_orders"] for state, one in states.items()},
            asks=max((one["asks"] for one in states.values()), default=0),
            asked_at=min(asked, default=None),
            **before,
        )

    async def sub_orders(
        self,
        tenant: Tenant,
        order_id: OrderId,
        state: SubOrderState | None,
        now: datetime,
        *,
        limit: int,
        before: SubOrderId | None = None,
    ) -> Sequence["SubOrderProgress"]:
        """Return a page of the sub-orders of an order, newest first."""
        rows = await read_rows(
            self._pool, tenant, SQL["sub_orders"], order_id, state, before, limit
        )
        return [_sub_order_of(row, now - self._silent_after, now) for row in rows]

    def _parameters(self, tenant: Tenant, ids: Sequence[OrderId], now: datetime) -> tuple[Any, ...]:
        return ids, tenant, self.slots_per_user > 0, now - self._silent_after, now

    async def _with_times(
        self,
        tenant: Tenant,
        order_id: OrderId,
        facts: OrderFacts,
        states: Mapping[SubOrderState, Row],
    ) -> OrderFacts:
        """Return the facts with the times that only the history and the ranks have."""
        of_history = {
            group.first
            for group in facts.groups
            if group.first is not None
            and group.state is not SubOrderState.RUNNING
            and group.since is None
        }
        entered: dict[SubOrderId | None, datetime] = {}
        if of_history:
            found = await read_rows(
                self._pool, tenant, SQL["entered"], order_id, sorted(of_history)
            )
            entered = {one["sub_order_id"]: one["at"] for one in found}
        ready = states.get(SubOrderState.READY)

        def timed(group: SubOrderGroup) -> SubOrderGroup:
            if group.state is SubOrderState.READY and ready:
                return replace(group, since=ready["ready_since"], sub_orders=ready["sub_orders"])
            return replace(group, since=entered.get(group.first, group.since))

        return replace(facts, groups=[timed(group) for group in facts.groups])

    async def _before(
        self,
        tenant: Tenant,
        facts: OrderFacts,
        states: Mapping[SubOrderState, Row],
        now: datetime,
    ) -> dict[str, Any]:
        """Return ``ahead``, ``place`` and ``turn`` of an order that has sub-orders in the owner's queue."""
        ready = states.get(SubOrderState.READY)
        if ready is None or facts.status is not OrderStatus.RUNNING:
            return {}
        ranks = ready["first_rank"], ready["last_rank"]
        (row,) = await read_rows(self._pool, tenant, SQL["ahead"], facts.owner, *ranks, tenant, now)
        turn = (
            Turn(
                row["users"],
                row["turn_files"],
                row["turn_bytes"],
                weight=row["weight"],
                used_bytes=round(row["used_bytes"]),
            )
            if row["users"]
            else None
        )
        return {
            "ahead": Ahead(row["sub_orders"], row["files"], row["bytes"]),
            "place": QueuePlace(row["queued_bytes"], ready["processed"]),
            "turn": turn,
        }


def _facts_of(rows: Sequence[Row]) -> OrderFacts:
    """Return the facts of an order, whose rows have its groups of sub-orders."""
    row = rows[0]
    counters = counters_of(row)
    groups = [_group_of(one) for one in rows if one["group_state"] is not None]
    groups += _ready_of(row, counters, groups)
    return OrderFacts(
        owner=row["owner"],
        status=OrderStatus(row["status"]),
        status_at=row["status_at"],
        created_at=row["created_at"],
        pending_files=counters.pending,
        available_files=counters.available,
        failed_files=counters.to_retry,
        percent=counters.percent if row["files_known"] else 0,
        available_at=row["available_at"],
        last_reason=row["last_reason"],
        last_actor=row["last_actor"],
        last_at=row["last_at"],
        maintenance_since=row["maintenance_since"],
        completing=row["completing"],
        products=row["products"] or 0,
        catalog_silent_since=row["unavailable_since"],
        retrying=row["retrying"],
        held_since=row["held_since"],
        slots=Slots(row["slots_taken"], row["slots_waiting"], row["slots_full_since"]),
        service_is_full=row["service_is_full"],
        user_is_full=row["user_is_full"],
        files_known=row["files_known"],
        others_first=TurnScope(row["others_first"]) if row["others_first"] else None,
        groups=groups,
    )


def _ready_of(
    row: Row, counters: FileCounters, at_work: Sequence[SubOrderGroup]
) -> list[SubOrderGroup]:
    """Return the group of ready sub-orders: they have the pending files that none at work has."""
    files = counters.pending - sum(group.files for group in at_work)
    if files <= 0:
        return []
    size = row["pending_bytes"] - sum(group.bytes for group in at_work)
    return [
        SubOrderGroup(SubOrderState.READY, files, size, needs_slot=not row["ready_without_slot"])
    ]


def _group_of(row: Row) -> SubOrderGroup:
    state = SubOrderState(row["group_state"])
    running = state is SubOrderState.RUNNING
    return SubOrderGroup(
        state,
        row["group_files"],
        row["group_bytes"],
        sub_orders=row["group_sub_orders"],
        since=row["asked_at"] if running else row["batch_unavailable_since"],
        asks=row["asks"],
        due_at=row["due_at"],
        silent=row["silent"] if running else row["unreachable"],
        quota_exceeded=row["quota"],
        late_since=row["expected_until"] if row["late"] else None,
        first=SubOrderId(row["first"]),
        requests=[
            Request(at, guess) for at, guess in zip(row["requests_at"], row["guesses"], strict=True)
        ]
        if running
        else (),
        processed=row["processed"],
        joined=row["joined"],
    )


@dataclass(frozen=True, slots=True)
class SubOrderProgress:
    """How far a sub-order is."""

    id: SubOrderId
    kind: SubOrderKind
    state: SubOrderState
    group: SubOrderGroup
    counters: FileCounters
    asks: int
    asked_at: datetime | None


def _sub_order_of(row: Row, silent: datetime, now: datetime) -> SubOrderProgress:
    """``silent``: storage gave no answer if it was asked first at or before this instant."""
    counters, state, kind = counters_of(row), SubOrderState(row["state"]), SubOrderKind(row["kind"])
    asked_at = row["asked_at"]
    no_answer = row["asks"] > 1 and counters.pending == counters.total_files
    running = state is SubOrderState.RUNNING
    of_storage = kind is SubOrderKind.STORAGE and running
    until = row["expected_until"] if of_storage else None
    return SubOrderProgress(
        id=SubOrderId(row["id"]),
        kind=kind,
        state=state,
        group=SubOrderGroup(
            state,
            counters.pending,
            row["pending_bytes"],
            since=asked_at if running else None,
            asks=row["asks"],
            due_at=row["due_at"],
            silent=row["unavailable_since"] is not None
            or (of_storage and no_answer and asked_at is not None and asked_at <= silent),
            quota_exceeded=row["quota_exceeded"],
            available_files=counters.available,
            needs_slot=row["asks_storage"],
            late_since=until if until is not None and until < now else None,
            requests=[Request(asked_at, row["guess"])] if running else (),
            processed=kind is SubOrderKind.PROCESSING,
            joined=row["joined_files"] > 0,
        ),
        counters=counters,
        asks=row["asks"],
        asked_at=asked_at,
    )
