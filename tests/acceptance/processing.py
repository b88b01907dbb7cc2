"""Orders of datasets with a process, and the checks that tests make on them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from rs_order.core.shared_steps import CompleteOrderStep
from rs_order.domain.events import OrderDoor
from rs_order.domain.files import DataType
from rs_order.domain.ids import OrderId, Tenant, Urn
from rs_order.domain.process import ProcessChoice
from rs_order.domain.selection import DatasetSelection, DatedSelection, SelectionRequest, TypeTotals
from rs_order.sandbox.execution_outputs import Execution
from rs_order.sandbox.process_catalog import Process
from rs_order.sandbox.products import urn_for
from rs_order.store.orders import NewOrder
from rs_order.store.pool import open_pool
from rs_order.store.unit_of_work import Store
from tests.acceptance.platform import TENANT, Platform
from tests.acceptance.shared_platform import new_user
from tests.support.polling import eventually

RESULT_QUEUE = (
    "regards.broadcast.rs-order.fr.cnes.regards.modules.order.service.processing."
    "ProcessingExecutionResultEventHandler"
)


def a_process(platform: Platform, scope: str, cardinality: str, **others: Any) -> Process:
    """Add a process to the sandbox."""
    values = {"id": uuid4(), "name": "test", "scope": scope, "cardinality": cardinality}
    process = Process.model_validate(values | others)
    platform.sandbox.processes.add(process)
    return process


@dataclass
class Ordered:
    """An order of a dataset with a process."""

    platform: Platform
    id: OrderId
    owner: str
    correlation_id: str

    async def states(self) -> dict[str, str]:
        """Return the state of each file by its name."""
        rows = await self.platform.rows(
            "select name, state from data_file where order_id = $1", self.id
        )
        return {row["name"]: row["state"] for row in rows}

    async def until_states(self, **counts: int) -> None:
        """Wait until so many files have each of these states."""

        async def reached() -> bool:
            found = list((await self.states()).values())
            return all(found.count(state) == count for state, count in counts.items())

        await eventually(reached, f"{counts} of order {self.id}")

    async def reasons(self) -> set[str | None]:
        rows = await self.platform.rows(
            "select distinct reason from data_file where order_id = $1", self.id
        )
        return {row["reason"] for row in rows}

    async def until_final(self) -> str:
        """Wait for the final response, check the counters, and return the final status."""
        await self.platform.peer.until_final(self.correlation_id)
        (row,) = await self.platform.rows("select status from orders where id = $1", self.id)
        await self.check_counters()
        return str(row["status"])

    async def until_executions(self, count: int) -> list[Execution]:
        async def requested() -> bool:
            return len(self.executions) >= count

        await eventually(requested, f"{count} executions of order {self.id}")
        return self.executions

    @property
    def executions(self) -> list[Execution]:
        prefix = f"order-{self.id}_"
        return [
            one
            for one in self.platform.sandbox.executions.requested
            if one.batch.correlation_id.startswith(prefix)
        ]

    async def check_counters(self) -> None:
        """Assert that the counters of the order and its sub-orders equal a recount."""
        wrong = await self.platform.rows(
            """
            with counted as (
                select 'sub-order' as what, id, pending_files, pending_bytes, available_files,
                       available_bytes, processing_error_files, processing_error_bytes
                from sub_order where order_id = $1
                union all
                select 'order', id, pending_files, pending_bytes, available_files, available_bytes,
                       processing_error_files, processing_error_bytes
                from orders where id = $1
            )
            select counted.*, recount.* from counted, lateral (
                select count(*) filter (where state = 'PENDING') as pending,
                       coalesce(sum(size) filter (where state = 'PENDING'), 0) as pending_size,
                       count(*) filter (where state = 'AVAILABLE') as available,
                       coalesce(sum(size) filter (where state = 'AVAILABLE'), 0) as available_size,
                       count(*) filter (where state = 'PROCESSING_ERROR') as failed,
                       coalesce(sum(size) filter (where state = 'PROCESSING_ERROR'), 0) as failed_size
                from data_file
                where order_id = $1 and (what = 'order' or sub_order_id = counted.id)
            ) recount
            where (pending_files, pending_bytes, available_files, available_bytes,
                   processing_error_files, processing_error_bytes)
              <> (pending, pending_size, available, available_size, failed, failed_size)
            """,
            self.id,
        )
        assert not wrong, [dict(row) for row in wrong]


async def order(
    platform: Platform, dataset: str, process: Process | UUID, *, owner: str | None = None
) -> Ordered:
    """Order a dataset with a process, as an interactive basket would."""
    owner = owner or new_user(platform)
    correlation_id = f"test-{uuid4()}"
    process_id = process if isinstance(process, UUID) else process.id
    new = NewOrder(
        owner=owner,
        role="REGISTERED_USER",
        label=uuid4().hex,
        correlation_id=correlation_id,
        request_id=None,
        sub_order_hours=240,
        created_at=datetime.now(UTC),
        door=OrderDoor.BASKET,
        selections=(_selection(platform, dataset, process_id),),
    )
    async with await open_pool(platform.database_url, size=1) as pool:
        store = Store(pool, lambda _: None)
        async with store.unit_of_work(Tenant(TENANT)) as uow:
            (order_id,) = await uow.orders.create([new])
            await uow.messages.send(
                [CompleteOrderStep(order_id, selection=0, page=0).to(Tenant(TENANT))]
            )
    return Ordered(platform, order_id, owner, correlation_id)


def dataset_urn(platform: Platform, dataset: str) -> Urn:
    holding = platform.sandbox.holdings.named(dataset)
    assert holding is not None
    return Urn(urn_for(TENANT, holding.dataset.urn))


def _selection(platform: Platform, dataset: str, process_id: UUID) -> DatasetSelection:
    urn = dataset_urn(platform, dataset)
    request = SelectionRequest(
        engine_type="legacy", selection_date=datetime.now(UTC), dataset_urn=urn
    )
    types = {DataType.RAWDATA: TypeTotals(files=1, bytes=1000)}
    return DatasetSelection(
        urn=urn,
        label=f"Dataset {dataset}",
        products=1,
        files=1,
        bytes=1000,
        types=types,
        file_filter=None,
        searches=(DatedSelection(request=request, products=1, types=types),),
        process=ProcessChoice(process_id, {"epsg": "4326"}),
    )


async def act(platform: Platform, ordered: Ordered, action: str) -> None:
    """Call ``pause`` or ``resume`` for an order as its owner."""
    async with platform.client(ordered.owner) as client:
        answer = await client.put(f"/user/orders/{action}/{ordered.id}")
    assert answer.status_code == 200, answer.text
