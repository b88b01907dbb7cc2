"""Processed sub-orders in the store: how products are split, and what each result changes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from rs_order.app.clock import SystemClock
from rs_order.completion.fill_processed import FillProcessed
from rs_order.completion.fill_sub_orders import FillSubOrders
from rs_order.completion.read_page import Page
from rs_order.contracts.processing_messages import ExecutionResult
from rs_order.core.links import Links
from rs_order.core.policies import SlotLimits
from rs_order.core.settlement import Settlement
from rs_order.domain.correlation import ExecutionCorrelation
from rs_order.domain.events import OrderDoor
from rs_order.domain.files import Product
from rs_order.domain.ids import OrderId, Urn
from rs_order.domain.moves import Reason
from rs_order.domain.process import Cardinality, LimitKind, Process, ProcessChoice, Scope
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.states import OrderStatus
from rs_order.processing.results import ApplyResults
from rs_order.store.orders import NewOrder
from rs_order.store.pool import Pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import TENANT
from tests.support.rows import OWNER, in_tenant
from tests.unit.catalog import MEBIBYTE, a_file, a_product
from tests.unit.test_input_batches import PROCESS

DATASET = Urn("URN:AIP:DATASET:project1:1:V1")
CLOCK = SystemClock()


@dataclass
class Ordered:
    """A processed order, with methods to fill it, run it and apply results."""

    pool: Pool
    store: Store
    id: OrderId
    process: Process

    async def rows(self, query: str) -> list[Any]:
        async with in_tenant(self.pool, TENANT) as connection:
            return list(await connection.fetch(query, self.id))

    async def states(self) -> list[str]:
        rows = await self.rows("select state from data_file where order_id = $1 order by id")
        return [row["state"] for row in rows]

    async def fill(self, pages: Sequence[Sequence[Product]]) -> None:
        """Add pages of products, and the empty page that ends them, each in its own commit."""
        filling = FillSubOrders(CLOCK, batch_bytes=100 * MEBIBYTE)
        processed = FillProcessed(CLOCK, filling, batch_bytes=100 * MEBIBYTE)
        positions = await self.store.completion_positions(TENANT, [(self.id, 0)])
        position = positions[self.id, 0]
        for products in (*pages, ()):
            async with self.store.unit_of_work(TENANT) as uow:
                (order,) = await uow.orders.lock([self.id])
                cursor = await uow.completions.cursor(self.id)
                assert cursor is not None
                assert position.selection is not None
                page = Page(tuple(products), None, len(products), None, self.process)
                following, _ = await processed.add_page(
                    uow, order, cursor, position.selection, page
                )
                await uow.completions.advance({self.id: following})
                await uow.orders.save([order], CLOCK.now())

    async def run(self) -> None:
        """Make the order run, with its executions requested."""
        async with self.store.unit_of_work(TENANT) as uow:
            (order,) = await uow.orders.lock([self.id])
            order.move(OrderStatus.RUNNING, reason=Reason.FILES_READ)
            await uow.orders.save([order], CLOCK.now())
            await uow.completions.finish([self.id])
        async with in_tenant(self.pool, TENANT) as connection:
            await connection.execute(
                "update sub_order set state = 'PROCESSING' where order_id = $1", self.id
            )

    async def result(self, product: Urn | None = None, **members: Any) -> None:
        """Apply the result of an execution of the first sub-order."""
        (batch, *_) = await self.rows(
            "select correlation_id from process_batch where order_id = $1 order by sub_order_id"
        )
        body = {
            "batchCorrelationId": batch["correlation_id"],
            "executionCorrelationId": str(ExecutionCorrelation(OWNER, product)),
            "processInfo": {},
            "finalStatus": "SUCCESS",
            "outputs": [],
            **members,
        }
        links = Links(None, Tenants(self.pool), prefix="api", fallback="http://here")
        apply = ApplyResults(self.store, Settlement(SlotLimits(), links), CLOCK)
        await apply.handle(TENANT, ExecutionResult.model_validate(body), self.process.cardinality)

    async def outputs(self, *names: int) -> list[dict[str, Any]]:
        """Return result files for these outputs, counted from 0, each with the key of its output."""
        rows = await self.rows("select output_key from data_file where order_id = $1 order by id")
        return [
            {
                "name": f"out/{name}.tif",
                "url": f"file:/out/{name}",
                "size": 7,
                "checksumMethod": "SHA-256",
                "checksumValue": "abc",
                "inputCorrelationIds": [rows[name]["output_key"]],
            }
            for name in names
        ]

    async def check_counters(self) -> None:
        """Assert that the counters of the order equal a recount."""
        (order,) = await self.rows(
            "select pending_files, pending_bytes, available_files, available_bytes,"
            " processing_error_files, processing_error_bytes from orders where id = $1"
        )
        (counted,) = await self.rows(
            "select count(*) filter (where state = 'PENDING') as pending_files,"
            " coalesce(sum(size) filter (where state = 'PENDING'), 0) as pending_bytes,"
            " count(*) filter (where state = 'AVAILABLE') as available_files,"
            " coalesce(sum(size) filter (where state = 'AVAILABLE'), 0) as available_bytes,"
            " count(*) filter (where state = 'PROCESSING_ERROR') as processing_error_files,"
            " coalesce(sum(size) filter (where state = 'PROCESSING_ERROR'), 0)"
            " as processing_error_bytes from data_file where order_id = $1"
        )
        assert dict(order) == dict(counted)


async def an_order(pool: Pool, store: Store, process: Process) -> Ordered:
    selection = DatasetSelection(
        urn=DATASET,
        label="A dataset",
        products=1,
        files=1,
        bytes=1,
        types={},
        file_filter=None,
        searches=(),
        process=ProcessChoice(UUID(int=1)),
    )
    new = NewOrder(
        owner=OWNER,
        role="REGISTERED_USER",
        label=uuid4().hex,
        correlation_id=uuid4().hex,
        request_id=None,
        sub_order_hours=2,
        created_at=datetime.now(UTC),
        door=OrderDoor.BASKET,
        selections=(selection,),
    )
    async with store.unit_of_work(TENANT) as uow:
        (order_id,) = await uow.orders.create([new])
    return Ordered(pool, store, order_id, process)


def products(count: int, *, files: int = 1, external: bool = False) -> list[Product]:
    return [
        a_product(*(a_file(size=100, external=external) for _ in range(files)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("scope", list(Scope))
async def test_the_split_does_not_depend_on_the_pages(
    size: int, scope: Scope, pool: Pool, store: Store
) -> None:
    """Stored and external products are split apart; external ones of scope FEATURE one by one."""
    process = replace(PROCESS, scope=scope, limit_kind=LimitKind.FILES, limit=4)
    ordered = await an_order(pool, store, process)
    given = [*products(6), *products(5, external=True)]
    given = given[::2] + given[1::2]
    await ordered.fill([given[start : start + size] for start in range(0, len(given), size)])
    inputs = await ordered.rows(
        "select asks_storage, count(input.id) as inputs from sub_order"
        " join process_input input on input.sub_order_id = sub_order.id"
        " where sub_order.order_id = $1 group by sub_order.id, asks_storage"
    )
    external = [1] * 5 if scope is Scope.FEATURE else [1, 4]

    assert sorted(row["inputs"] for row in inputs if row["asks_storage"]) == [2, 4]
    assert sorted(row["inputs"] for row in inputs if not row["asks_storage"]) == external
    states = await ordered.rows("select distinct state from sub_order where order_id = $1")
    assert [row["state"] for row in states] == ["READY"]
    await ordered.check_counters()


async def test_a_product_on_two_pages_is_added_once(pool: Pool, store: Store) -> None:
    """The pages of the catalog may shift while they are read (W5)."""
    ordered = await an_order(pool, store, replace(PROCESS, scope=Scope.FEATURE))
    given = products(3)
    await ordered.fill([given[:2], given[1:]])

    (row,) = await ordered.rows("select count(*) from process_input where order_id = $1")
    assert row["count"] == 3
    assert await ordered.states() == ["PENDING"] * 3


A, E, P = "AVAILABLE", "PROCESSING_ERROR", "PENDING"


@pytest.mark.parametrize(
    ("scope", "cardinality", "made", "expected"),
    [
        (Scope.SUBORDER, Cardinality.ONE_PER_EXECUTION, [0], [A]),
        (Scope.SUBORDER, Cardinality.ONE_PER_EXECUTION, [], [E]),
        (Scope.SUBORDER, Cardinality.ONE_PER_FEATURE, [0, 1], [A, A]),
        (Scope.SUBORDER, Cardinality.ONE_PER_FEATURE, [1], [E, A]),
        (Scope.SUBORDER, Cardinality.ONE_PER_FEATURE, [], [E, E]),
        (Scope.SUBORDER, Cardinality.ONE_PER_INPUT_FILE, [0, 1, 2, 3], [A, A, A, A]),
        (Scope.SUBORDER, Cardinality.ONE_PER_INPUT_FILE, [3], [E, E, E, A]),
        (Scope.FEATURE, Cardinality.ONE_PER_EXECUTION, [0], [A, P]),
        (Scope.FEATURE, Cardinality.ONE_PER_EXECUTION, [], [E, P]),
        (Scope.FEATURE, Cardinality.ONE_PER_FEATURE, [0], [A, P]),
        (Scope.FEATURE, Cardinality.ONE_PER_FEATURE, [1], [E, P]),
        (Scope.FEATURE, Cardinality.ONE_PER_INPUT_FILE, [0, 1], [A, A, P, P]),
        (Scope.FEATURE, Cardinality.ONE_PER_INPUT_FILE, [1], [E, A, P, P]),
        (Scope.FEATURE, Cardinality.ONE_PER_INPUT_FILE, [2], [E, E, P, P]),
    ],
)
@pytest.mark.parametrize("failed", [False, True])
async def test_a_result_settles_the_outputs_of_its_execution(  # noqa: PLR0917 - one table
    scope: Scope,
    cardinality: Cardinality,
    made: list[int],
    expected: list[str],
    failed: bool,
    pool: Pool,
    store: Store,
) -> None:
    """Two products of two files in one sub-order; the result is of the first, or of both (W25, W26).

    No output of a failed execution counts. The second delivery of a result changes nothing.
    """
    process = replace(PROCESS, scope=scope, cardinality=cardinality)
    ordered = await an_order(pool, store, process)
    given = products(2, files=2)
    await ordered.fill([given])
    await ordered.run()
    status = "FAILURE" if failed else "SUCCESS"
    product = given[0].urn if scope is Scope.FEATURE else None
    outputs = await ordered.outputs(*made)
    if failed:
        expected = [E if state == A else state for state in expected]
    for _ in range(2):
        await ordered.result(product, finalStatus=status, outputs=outputs)

        assert await ordered.states() == expected
        await ordered.check_counters()


PER_PRODUCT = replace(PROCESS, cardinality=Cardinality.ONE_PER_FEATURE)
UNUSABLE: dict[str, dict[str, Any]] = {
    "no address": {"url": ""},
    "an address of the wrong type": {"url": ["file:/out/0"]},
    "no name": {"name": None},
    "a text that can't be stored": {"name": "out\0"},
    "half a character": {"checksumMethod": "\ud800"},
    "a negative size": {"size": -1},
    "a huge size": {"size": 2**63},
    "half a byte": {"size": 0.5},
    "a huge checksum": {"checksumValue": "".join(str(number) for number in range(2000))},
    "an input of the wrong type": {"inputCorrelationIds": [{}]},
}
"""Per fault: the members of an output that has it."""


async def test_f9d_an_unusable_output_changes_nothing(pool: Pool, store: Store) -> None:
    """Its message becomes a dead letter that names the member; an operator may correct it."""
    ordered = await an_order(pool, store, PER_PRODUCT)
    await ordered.fill([products(2)])
    await ordered.run()
    good, other = await ordered.outputs(0, 1)
    for fault, members in UNUSABLE.items():
        with pytest.raises(ValidationError, match=next(iter(members))):
            await ordered.result(outputs=[good, other | members])

        assert await ordered.states() == [P, P], fault


async def test_f9d_outputs_that_name_the_same_promise_count_once(pool: Pool, store: Store) -> None:
    """The first one counts. What names nothing that was promised is ignored."""
    ordered = await an_order(pool, store, PER_PRODUCT)
    await ordered.fill([products(2)])
    await ordered.run()
    (first,) = await ordered.outputs(0)
    stranger = first | {"inputCorrelationIds": ["file:/another/product"]}
    await ordered.result(outputs=[first, *([first | {"size": 9}, stranger] * 100)])
    (order,) = await ordered.rows("select available_bytes from orders where id = $1")

    assert await ordered.states() == [A, E]
    assert order["available_bytes"] == first["size"]
    await ordered.check_counters()


async def test_f9d_a_long_explanation_is_cut(pool: Pool, store: Store) -> None:
    """Each output keeps it."""
    ordered = await an_order(pool, store, PER_PRODUCT)
    await ordered.fill([products(2)])
    await ordered.run()
    await ordered.result(finalStatus="FAILURE", messages=["no more disk" * 10_000])
    reasons = await ordered.rows("select reason from data_file where order_id = $1")

    assert [len(row["reason"]) for row in reasons] == [
        len("The process ended with FAILURE: ") + 1000
    ] * 2


async def test_an_output_takes_the_members_of_its_file(pool: Pool, store: Store) -> None:
    """These are URL, size, checksum, and the last part of the name; its key stays."""
    ordered = await an_order(pool, store, PROCESS)
    await ordered.fill([products(1)])
    await ordered.run()
    await ordered.result(outputs=await ordered.outputs(0))
    (row,) = await ordered.rows(
        "select url, name, size, checksum, checksum_algorithm, external, output_key like 'file:/order-%'"
        " as kept from data_file where order_id = $1"
    )

    assert dict(row) == {
        "url": "file:/out/0",
        "name": "0.tif",
        "size": 7,
        "checksum": "abc",
        "checksum_algorithm": "SHA-256",
        "external": True,
        "kept": True,
    }
    (order,) = await ordered.rows("select status, available_bytes from orders where id = $1")
    assert dict(order) == {"status": "DONE", "available_bytes": 7}
