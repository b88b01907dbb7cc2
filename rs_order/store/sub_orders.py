"""Sub-orders, the queue of each owner, and the capacity of the service that sub-orders use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from rs_order.domain.estimates import Sample
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import OrderId, SubOrderId, Tenant
from rs_order.domain.moves import Reason
from rs_order.domain.order import Order
from rs_order.domain.shares import Amount, Claims, Room, Waiter, to_promise
from rs_order.domain.states import SubOrderState
from rs_order.domain.sub_order import SubOrder
from rs_order.store.estimates import purge_samples, sample_record
from rs_order.store.events import EventWriter
from rs_order.store.orders import SQL as ORDER_SQL
from rs_order.store.pool import Connection, Row, statements, tenant_schema
from rs_order.store.rows import affected, sub_order_of, sub_order_record

SQL = statements("sub_orders")


@dataclass(frozen=True, slots=True)
class ReadySubOrder:
    id: SubOrderId
    order_id: OrderId
    rank: datetime


@dataclass(frozen=True, slots=True)
class AskedSubOrder:
    id: SubOrderId
    asks: int
    """How often storage was asked for its files."""


@dataclass(frozen=True, slots=True)
class OwnerQueue:
    """The next sub-orders of an owner, by rank, and the slots that the owner takes."""

    slots_taken: int
    """Sub-orders that count against the owner's concurrency limit (domain.md 6.1)."""
    with_slot: list[ReadySubOrder]
    without_slot: list[ReadySubOrder]
    limited: bool = False
    """True if the capacity is counted, because something is limited: the service, a tenant or its users."""


@dataclass(frozen=True, slots=True)
class ReleasedSubOrder:
    """A deleted sub-order that was running, processing or waiting."""

    id: SubOrderId
    owner: str


class SubOrders:
    """The sub-orders of a tenant, and the queue of each owner."""

    def __init__(self, connection: Connection, tenant: Tenant, events: EventWriter) -> None:
        self._connection = connection
        self._tenant = tenant
        self._events = events
        self.sampled: list[Sample] = []

    async def load(self, ids: Sequence[SubOrderId]) -> list[SubOrder]:
        """Return sub-orders of locked orders, by ascending id."""
        return [sub_order_of(row) for row in await self._connection.fetch(SQL["load"], ids)]

    async def complete_at_once(
        self, order_id: OrderId, since: SubOrderId | None, limit: int
    ) -> list[SubOrder]:
        """Return up to ``limit`` sub-orders whose files were available from the start, by ascending id.

        ``since``: first id. Those of processes are left out: their files come later.
        """
        rows = await self._connection.fetch(SQL["complete_at_once"], order_id, since or 0, limit)
        return [sub_order_of(row) for row in rows]

    async def count_extending(self, first: Mapping[OrderId, SubOrderId]) -> dict[OrderId, int]:
        """Count the sub-orders that extend the expiry dates of their orders.

        Those are the ones of stored files and of processes, without files attached to a processed dataset.

        Args:
            first: the first sub-order that counts, by order.
        """
        if not first:
            return {}
        rows = await self._connection.fetch(
            SQL["count_extending"], list(first), list(first.values())
        )
        return {OrderId(row["order_id"]): row["number"] for row in rows}

    async def save(
        self,
        sub_orders: Sequence[SubOrder],
        at: datetime,
        samples: Sequence[Sample] = (),
        *,
        of: Sequence[Order] = (),
    ) -> None:
        """Write sub-orders back, their moves to the history, and samples of those that needed tape.

        ``of``: their locked orders, if these aren't saved, but have events to be written.
        """
        if not sub_orders:
            return
        history = [
            _move(one.order_id, one.id, move.before, move.after, move.reason)
            for one in sub_orders
            for move in one.moves
        ]
        records = [sub_order_record(sub_order) for sub_order in sub_orders]
        await self._connection.execute(
            SQL["save"],
            records,
            history,
            at,
            [sample_record(one) for one in samples],
            self._events.of_saved(of, at),
        )
        self.sampled += samples
        for sub_order in sub_orders:
            sub_order.moves.clear()

    async def purge_samples(self, limit: int) -> int:
        """Delete up to ``limit`` of the oldest samples that are no longer needed. Return their number."""
        return await purge_samples(self._connection, limit)

    async def at_storage(self, order_id: OrderId, limit: int) -> list[AskedSubOrder]:
        """Return sub-orders of an order that storage was asked for, those first that wait longest."""
        rows = await self._connection.fetch(SQL["at_storage"], order_id, limit)
        return [AskedSubOrder(SubOrderId(row["id"]), row["asks"]) for row in rows]

    async def stop(
        self, order_id: OrderId, limit: int, *, reason: Reason, at: datetime
    ) -> list[SubOrderId]:
        """Make up to ``limit`` running sub-orders of a locked order READY at their ranks. Return them."""
        rows = await self._connection.fetch(SQL["stop"], order_id, limit)
        moves = [
            _move(order_id, row["id"], SubOrderState.RUNNING, SubOrderState.READY, reason)
            for row in rows
        ]
        await self._add_history(moves, at)
        return [SubOrderId(row["id"]) for row in rows]

    async def remove(self, sub_orders: Sequence[SubOrder], *, reason: Reason, at: datetime) -> None:
        """Delete sub-orders that have lost every file. Their history ends with ``REMOVED``."""
        if not sub_orders:
            return
        await self._connection.execute(SQL["remove"], [sub_order.id for sub_order in sub_orders])
        moves = [_move(one.order_id, one.id, one.state, "REMOVED", reason) for one in sub_orders]
        await self._add_history(moves, at)

    async def owners_ready(self) -> list[str]:
        """Return the owners with a ready sub-order."""
        return [row["owner"] for row in await self._connection.fetch(SQL["owners_ready"])]

    async def queue_of(
        self, owner: str, *, with_slot: int, without_slot: int, count_slots: bool
    ) -> OwnerQueue:
        """Return the owner's next sub-orders by rank, no held ones. Slots aren't counted if there is none.

        Args:
            owner: of the sub-orders.
            with_slot: the most of those that need a slot.
            without_slot: the most of those that start without one, processes of external files.
            count_slots: False: the owner has no limit, and there may be many sub-orders to count.
        """
        rows = await self._connection.fetch(
            SQL["owner_queue"], owner, with_slot, without_slot, count_slots, self._tenant
        )
        return OwnerQueue(
            slots_taken=rows[0]["slots_taken"] or 0,
            with_slot=[_ready(row) for row in rows if row["asks_storage"]],
            without_slot=[_ready(row) for row in rows if row["asks_storage"] is False],
            limited=rows[0]["limited"],
        )

    async def release(self, order_ids: Sequence[OrderId], limit: int) -> list[ReleasedSubOrder]:
        """Delete up to ``limit`` sub-orders of inactive orders that run, process or wait. Return them."""
        rows = await self._connection.fetch(SQL["release"], order_ids, limit)
        return [ReleasedSubOrder(SubOrderId(row["id"]), row["owner"]) for row in rows]

    async def delete_slice(self, order_id: OrderId, limit: int) -> int:
        """Delete up to ``limit`` sub-orders of an order. Return how many there were."""
        return affected(await self._connection.execute(SQL["delete_slice"], order_id, limit))

    async def _add_history(self, moves: Sequence[dict[str, Any]], at: datetime) -> None:
        if moves:
            await self._connection.execute(ORDER_SQL["add_history"], moves, at)


def lock_of_owner(tenant: Tenant, owner: str) -> str:
    """Return the statement that lets only one transaction schedule the owner's sub-orders until it ends.

    No hold of the tenant is written meanwhile. The statement has no parameter, so that it can be sent
    together with the begin.
    """
    schema = tenant_schema(tenant)
    name = f"{schema}/{owner}".encode().hex()
    with_name = SQL["lock_owner"].replace("$1", f"convert_from('\\x{name}', 'UTF8')")
    return with_name.replace("$2", f"'{schema}'")


def _ready(row: Row) -> ReadySubOrder:
    return ReadySubOrder(SubOrderId(row["id"]), OrderId(row["order_id"]), row["rank"])


def _move(
    order_id: OrderId, sub_order_id: int, before: str, after: str, reason: Reason
) -> dict[str, Any]:
    """Return a line of the history."""
    return {
        "order_id": order_id,
        "sub_order_id": sub_order_id,
        "before": before,
        "after": after,
        "reason": reason,
        "actor": SERVICE,
    }


CAPACITY_SQL = statements("capacity")
NEXT: Final = Amount(1)
"""A sub-order of which only the number counts."""
ROOMY: Final = Room()
"""No limit."""


@dataclass(frozen=True, slots=True)
class Released:
    """What else a release of capacity concerns."""

    counted: bool
    """True if the capacity is counted, so that others may wait for it."""
    users_are_limited: bool
    """True if the owners may wait for it themselves."""


class Capacity:
    """The sub-orders of all tenants that use the capacity, and the owners who wait for some."""

    def __init__(self, connection: Connection, tenant: Tenant) -> None:
        self._connection = connection
        self._tenant = tenant
        self._locked = False

    async def lock(self) -> None:
        """Let only this unit of work acquire and release capacity until it ends."""
        if not self._locked:
            await self._connection.execute(CAPACITY_SQL["lock"])
            self._locked = True

    async def used(self) -> int:
        """Return how many sub-orders of active tenants storage was asked for and has not settled."""
        return int(await self._connection.fetchval(CAPACITY_SQL["used"]))

    async def claims(self, owner: str) -> Claims:
        """Return who claims capacity, as a pass of an owner needs to know it. From then on it is counted."""
        found = await self.counted_claims(owner)
        if found is not None:
            return found
        await self.count()
        return await self.claims(owner)

    async def counted_claims(self, owner: str) -> Claims | None:
        """Return who claims capacity; None while nothing is counted, because nothing is limited."""
        (row,) = await self._connection.fetch(CAPACITY_SQL["claims"], self._tenant, owner)
        if row["used"] is None:
            return None
        return Claims(
            row["used"],
            row["promised"],
            row["woken"],
            row["others_wait"],
            taken=Amount(row["used"] + row["promised"], row["files"], row["bytes"]),
            tenant=_room(row, "tenant"),
            tenant_waits=row["tenant_waits"],
            user=_room(row, "user"),
        )

    async def is_counted(self) -> bool:
        """Return whether claims are counted, because something is limited."""
        return bool(await self._connection.fetchval(CAPACITY_SQL["is_counted"]))

    async def renew_blocked(self) -> None:
        """Find out whether the tenant's limits have room for whoever is next in it now."""
        await self._connection.execute(CAPACITY_SQL["renew_blocked"], self._tenant)

    async def count(self) -> None:
        """Count all claims, and keep them from then on."""
        await self._connection.execute(CAPACITY_SQL["count"])

    async def stop_to_count(self) -> None:
        """Forget who waits and what is claimed, because nothing is limited any more."""
        await self._connection.execute(CAPACITY_SQL["stop_to_count"])

    async def keep_half_life(self, half_life: timedelta) -> None:
        """Compare recent uses by this half-life from now on."""
        await self._connection.execute(CAPACITY_SQL["keep_half_life"], half_life.total_seconds())

    async def acquire(self, owner: str, asked: Mapping[SubOrderId, Amount]) -> None:
        """Take capacity for sub-orders, with what each of them asks of storage."""
        await self._connection.execute(
            CAPACITY_SQL["acquire"],
            self._tenant,
            owner,
            list(asked),
            [amount.files for amount in asked.values()],
            [amount.bytes for amount in asked.values()],
        )

    async def charge(self, owner: str, size: int, at: datetime, half_life: timedelta) -> None:
        """Add bytes that storage is asked for to the recent use of the tenant and of the owner."""
        await self._connection.execute(
            CAPACITY_SQL["charge"], self._tenant, owner, size, at, half_life.total_seconds()
        )

    async def release(self, sub_orders: Sequence[SubOrderId]) -> Released:
        """Release the capacity of sub-orders; if it is counted, under its lock."""
        (row,) = await self._connection.fetch(CAPACITY_SQL["release"], self._tenant, sub_orders)
        return Released(row["counted"], row["users_are_limited"])

    async def wait(
        self, owner: str, rank: datetime, role: str | None = None, asks: Amount = NEXT
    ) -> None:
        """Put an owner into the queue for capacity.

        Args:
            owner: of the sub-orders.
            rank: of their next ready sub-order.
            role: of the owner.
            asks: what this sub-order asks of storage.
        """
        await self._connection.execute(
            CAPACITY_SQL["wait"], self._tenant, owner, rank, role, asks.files, asks.bytes
        )

    async def leave(self, owner: str) -> None:
        """Take an owner out of the queue for capacity; what was promised to them is free again."""
        await self._connection.execute(CAPACITY_SQL["leave"], self._tenant, owner)

    async def first_waiters(self, limit: int) -> list[Waiter]:
        """Return the owners who start next, the first one first (see ``capacity.sql``)."""
        rows = await self._connection.fetch(CAPACITY_SQL["next_waiters"], limit)
        return [
            Waiter(
                Tenant(row["tenant"]),
                row["owner"],
                row["rank"],
                Amount(1, row["files"], row["bytes"]),
                _room(row, "tenant"),
            )
            for row in rows
        ]

    async def next_waiters(self, limit: int, service: Room = ROOMY) -> list[tuple[Tenant, str]]:
        """Promise capacity for one sub-order to each of the owners who start next, and return them.

        Their next pass takes it or leaves it. ``service``: the room in the limits of the service.
        """
        first = to_promise(await self.first_waiters(limit), service)
        waiters = [(one.tenant, one.owner) for one in first]
        if waiters:
            await self._connection.execute(
                CAPACITY_SQL["wake"],
                [tenant for tenant, _ in waiters],
                [owner for _, owner in waiters],
            )
        return waiters

    async def woken(self) -> list[str]:
        """Return the owners of the tenant to whom capacity is promised."""
        rows = await self._connection.fetch(CAPACITY_SQL["woken"], self._tenant)
        return [row["owner"] for row in rows]


def _room(row: Row, whose: str) -> Room:
    """Return the limits of a tenant or of each user, and what counts towards them."""
    limit, taken = (
        Amount(*(row[f"{prefix}{whose}_{name}"] or 0 for name in ("sub_orders", "files", "bytes")))
        for prefix in ("most_", "")
    )
    return Room(limit, taken)
