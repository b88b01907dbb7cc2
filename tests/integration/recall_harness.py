"""Orders of several users for the same files, and what storage is asked for."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum

import orjson

from rs_order.core.shared_steps import AskAgainStep, ScheduleStep
from rs_order.domain.ids import Checksum, OrderId, SubOrderId
from rs_order.domain.states import FileState, SubOrderKind, SubOrderState
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import retry_on_conflict
from tests.integration.app_harness import TENANT, AppHarness
from tests.support.rows import TenantRows, in_tenant


class Recalls:
    """Orders of several users, and what storage is asked for."""

    def __init__(self, app: AppHarness, rows: TenantRows, pool: Pool) -> None:
        self.app = app
        self.rows = rows
        self.pool = pool
        self._at_a_time = asyncio.Semaphore(8)

    async def order(self, owner: str, *checksums: str, hours: int = 2) -> OrderId:
        """Write an order with one sub-order that is ready."""
        order = await self.rows.order(owner=owner)
        files = dict.fromkeys(checksums, FileState.PENDING)
        await self.rows.sub_order(order, files, state=SubOrderState.READY, owner=owner)
        async with in_tenant(self.pool, TENANT) as connection:
            await connection.execute(
                "update orders set sub_order_hours = $2 where id = $1", order, hours
            )
        return order

    async def processed(self, owner: str, *checksums: str) -> OrderId:
        """Write an order of a process with one output, which is made of inputs with these checksums."""
        order = await self.rows.order(owner=owner)
        await self.rows.sub_order(
            order,
            {"output": FileState.PENDING},
            state=SubOrderState.READY,
            kind=SubOrderKind.PROCESSING,
            owner=owner,
        )
        await self.app.rows(
            "update data_file set checksum = null, output_key = 'output' where order_id = $1"
            " returning id",
            order,
        )
        await self.app.rows(
            "insert into process_input (order_id, sub_order_id, dataset_task_id, identity, product_urn,"
            " product_version, data_type, key, name, url, external, online, size, checksum, state)"
            " select order_id, sub_order.id, dataset_task_id, gen_random_uuid(), 'urn', 1, 'RAWDATA',"
            " checksum, checksum, 'http://x', false, false, 10, checksum, 'PENDING'"
            " from sub_order, unnest($2::text[]) as given (checksum) where order_id = $1"
            " returning id",
            order,
            list(checksums),
        )
        return order

    async def start(self, owner: str) -> None:
        """Start what the limits allow: eight at a time, and again after a conflict, as a process does."""
        async with self._at_a_time:
            await retry_on_conflict(lambda: self.app.do(ScheduleStep(owner).to(TENANT).body))

    async def started(self, owner: str, *checksums: str, hours: int = 2) -> OrderId:
        order = await self.order(owner, *checksums, hours=hours)
        await self.start(owner)
        return order

    async def remind(self, order: OrderId) -> None:
        """Run the reminder of the order's only sub-order."""
        (sub_order,) = await self.app.rows(
            "select id, asks from sub_order where order_id = $1", order
        )
        step = AskAgainStep(order, SubOrderId(sub_order["id"]), sub_order["asks"])
        await self.app.do(step.to(TENANT).body)

    async def requests(self) -> list[tuple[int, list[str]]]:
        """Return availability and checksums of all requests so far."""
        found = await self.app.rows(
            "select body from rs_order.outbox where kind = 'RESTORE_REQUEST' order by id"
        )
        bodies = [orjson.loads(row["body"]) for row in found]
        return [(body["availabilityHours"], body["checksums"]) for body in bodies]

    async def asked(self) -> list[str]:
        """Return the checksums of all requests so far."""
        return [name for _, names in await self.requests() for name in names]

    async def joined(self) -> int:
        (row,) = await self.app.rows("select count(*) as number from joined_file")
        return int(row["number"])

    async def reject(self, checksum: str, *askers: OrderId) -> None:
        """Apply an error of storage that names the sub-orders of these orders."""
        found = await self.app.rows(
            "select id from sub_order where order_id = any ($1)", list(askers)
        )
        await self.app.application.scheduling.availability.handle(
            TENANT,
            [],
            {Checksum(checksum): "broken tape"},
            {Checksum(checksum): [SubOrderId(row["id"]) for row in found]},
        )


USERS = 20
EVENTS_OF_A_BATCH = 500


class Arrival(Enum):
    """When the users of a measurement order the same files."""

    AT_ONCE = "at once"
    DURING_THE_RESTORE = "during the restore"
    """One after the other, all before the first answer."""
    BETWEEN_THE_ANSWERS = "between the answers"
    """One after the other, each after a further twentieth of the answers."""


async def asked_by_20_users(
    recalls: Recalls, sub_orders: Sequence[Sequence[str]], arrival: Arrival
) -> Mapping[str, int]:
    """Let 20 users order the same files, and let storage answer.

    Args:
        recalls: of a service without limits.
        sub_orders: the files of each sub-order; each order has all of them.
        arrival: when the users come.

    Returns:
        How often each file was asked for. Requests for what was answered before don't count.
    """
    orders = [await _ordered(recalls, f"user{number}", sub_orders) for number in range(USERS)]
    answers = [name for names in sub_orders for name in names]
    if arrival is Arrival.AT_ONCE:
        await asyncio.gather(*(recalls.start(f"user{number}") for number in range(USERS)))
        asked = Counter(await recalls.asked())
    else:
        parts = [answers[number::USERS] for number in range(USERS)]
        during = arrival is Arrival.DURING_THE_RESTORE
        asked = await _one_after_the_other(recalls, [[]] * USERS if during else parts)
    for first in range(0, len(answers), EVENTS_OF_A_BATCH):
        await recalls.app.storage_answers(*answers[first : first + EVENTS_OF_A_BATCH])
    found = await recalls.app.rows("select distinct status from orders where id = any ($1)", orders)
    if [row["status"] for row in found] != ["DONE"]:
        raise AssertionError(f"not all orders are DONE: {found}")
    return asked


async def _one_after_the_other(recalls: Recalls, answers: Sequence[Sequence[str]]) -> Counter[str]:
    """Start the users' sub-orders, each before some answers; count what is asked that wasn't answered."""
    asked: Counter[str] = Counter()
    answered: set[str] = set()
    for number, names in enumerate(answers):
        before = Counter(await recalls.asked())
        await recalls.start(f"user{number}")
        new = Counter(await recalls.asked()) - before
        asked.update({name: times for name, times in new.items() if name not in answered})
        if names:
            await recalls.app.storage_answers(*names)
        answered.update(names)
    return asked


async def _ordered(recalls: Recalls, owner: str, sub_orders: Sequence[Sequence[str]]) -> OrderId:
    """Write an order of ready sub-orders."""
    order = await recalls.rows.order(owner=owner)
    for names in sub_orders:
        files = dict.fromkeys(names, FileState.PENDING)
        await recalls.rows.sub_order(order, files, state=SubOrderState.READY, owner=owner)
    return order
