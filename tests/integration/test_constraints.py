"""What the database refuses, whatever the code above it believes."""

from enum import StrEnum

import asyncpg
import pytest

from rs_order.domain.moves import ORDER_MOVES, SUB_ORDER_MOVES
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.store.pool import Pool, use_tenant
from tests.integration.conftest import TENANT
from tests.support.rows import TenantRows, in_tenant

A, P, E = FileState.AVAILABLE, FileState.PENDING, FileState.ERROR


@pytest.mark.parametrize("before", OrderStatus)
async def test_an_order_makes_the_moves_of_the_table_only(
    before: OrderStatus, pool: Pool, rows: TenantRows
) -> None:
    """From each status every other one is tried; staying is no move."""
    order = await rows.order(before)
    change = "update orders set status = $2 where id = $1"
    refusal = ("orders_move", f"order {order} can't go from {before} to ")
    made = {after for after in OrderStatus if await _can_move(pool, change, order, after, refusal)}

    assert made == {before, *ORDER_MOVES[before]}


@pytest.mark.parametrize("before", SubOrderState)
async def test_a_sub_order_makes_the_moves_of_the_table_only(
    before: SubOrderState, pool: Pool, rows: TenantRows
) -> None:
    """The same, whatever its files; what fits to which state is a matter of other constraints."""
    pending = (SubOrderState.RUNNING, SubOrderState.PROCESSING)
    files = P if before in pending else A if before is SubOrderState.WAITING else E
    sub_order = await rows.sub_order(
        await rows.order(), {"a": files}, state=before, kind=SubOrderKind.PROCESSING
    )
    change = (
        "update sub_order set state = $2, error_files = 1, available_files = ($2 = 'WAITING')::int,"
        " pending_files = ($2 in ('RUNNING', 'PROCESSING'))::int where id = $1"
    )
    refusal = ("sub_order_moves", f"sub-order {sub_order} can't go from {before} to ")
    made = {
        after for after in SubOrderState if await _can_move(pool, change, sub_order, after, refusal)
    }

    assert made == {before, *SUB_ORDER_MOVES[before]}


async def _can_move(
    pool: Pool, change: str, of: int, after: StrEnum, refusal: tuple[str, str]
) -> bool:
    """Whether the database takes this move; it is undone, so that each is tried from the same state.

    ``refusal``: the constraint, and what the database says up to the state it refuses.
    """
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await use_tenant(connection, TENANT)
            await connection.execute(change, of, after)
        except asyncpg.CheckViolationError as refused:
            constraint, beginning = refusal
            if (refused.constraint_name, str(refused)) != (constraint, f"{beginning}{after}"):
                raise
            return False
        finally:
            await transaction.rollback()
        return True


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("status = 'DONE', pending_files = 1", "done_orders_have_no_pending_file"),
        ("status = 'DONE_WITH_WARNING', pending_files = 1", "done_orders_have_no_pending_file"),
        ("status = 'EXPIRED', waiting_sub_orders = 1", "gone_orders_wait_for_nobody"),
        ("status = 'LOST'", "orders_status_check"),
        ("pending_files = -1", "orders_pending_files_check"),
        ("available_bytes = -1", "orders_available_bytes_check"),
        ("waiting_sub_orders = -1", "orders_waiting_sub_orders_check"),
        ("sub_orders = -1", "orders_sub_orders_check"),
        ("sub_order_hours = -1", "orders_sub_order_hours_check"),
    ],
)
async def test_what_an_order_can_never_be(
    change: str, constraint: str, pool: Pool, rows: TenantRows
) -> None:
    """Promise 1: done with a pending file is refused; counters never go below zero."""
    order = await rows.order()
    async with in_tenant(pool, TENANT) as connection:
        # a status that is unknown meets the trigger first, which is not the subject here
        await connection.execute("alter table orders disable trigger orders_move")
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        async with in_tenant(pool, TENANT) as connection:
            await connection.execute(f"update orders set {change} where id = $1", order)  # noqa: S608

    assert refused.value.constraint_name == constraint


@pytest.mark.parametrize(
    ("files", "state", "kind", "constraint"),
    [
        (
            {"a": A, "b": P},
            SubOrderState.WAITING,
            SubOrderKind.STORAGE,
            "settled_has_no_pending_file",
        ),
        ({"a": P}, SubOrderState.ENDED, SubOrderKind.STORAGE, "settled_has_no_pending_file"),
        ({"a": A}, SubOrderState.RUNNING, SubOrderKind.STORAGE, "running_has_a_pending_file"),
        ({"a": E}, SubOrderState.WAITING, SubOrderKind.STORAGE, "waiting_has_an_available_file"),
        ({"a": A}, SubOrderState.ENDED, SubOrderKind.STORAGE, "ended_has_no_available_file"),
        ({"a": P}, SubOrderState.RUNNING, SubOrderKind.EXTERNAL, "external_is_never_asked"),
        ({"a": P}, SubOrderState.READY, SubOrderKind.EXTERNAL, "external_is_never_asked"),
    ],
)
async def test_what_a_sub_order_can_never_be(
    files: dict[str, FileState],
    state: SubOrderState,
    kind: SubOrderKind,
    constraint: str,
    rows: TenantRows,
) -> None:
    """Its state and its counters always agree."""
    order = await rows.order()
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await rows.sub_order(order, files, state=state, kind=kind)

    assert refused.value.constraint_name == constraint


async def test_a_ready_sub_order_has_a_place_in_the_queue(pool: Pool, rows: TenantRows) -> None:
    """Without one it would never be found."""
    sub_order = await rows.sub_order(await rows.order(), {"a": P})
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        async with in_tenant(pool, TENANT) as connection:
            await connection.execute(
                "update sub_order set state = 'READY', rank = null where id = $1", sub_order
            )

    assert refused.value.constraint_name == "ready_has_a_rank"


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (
            (
                "insert into order_request (correlation_id, fingerprint, body, state)"
                " values ('c', 'f', '{}', 'GRANTED')"
            ),
            "granted_has_an_order",
        ),
        (
            (
                "insert into order_request (correlation_id, fingerprint, body, state, order_id)"
                " values ('c', 'f', '{}', 'DENIED', 1)"
            ),
            "granted_has_an_order",
        ),
        (
            (
                "insert into rs_order.outbox (partition, kind, tenant, body, message_id, stream, due_at)"
                " values (0, 'STEP', 't', '{}', gen_random_uuid(), 's', now())"
            ),
            "delayed_rows_have_no_stream",
        ),
        (
            (
                "insert into rs_order.outbox (partition, kind, tenant, body, message_id)"
                " values (16, 'STEP', 't', '{}', gen_random_uuid())"
            ),
            "outbox_partition_check",
        ),
        ("insert into rs_order.tenant (name) values ('A-B')", "tenant_name_check"),
    ],
)
async def test_what_no_row_can_ever_be(statement: str, constraint: str, pool: Pool) -> None:
    """The rest of the invariants, one statement each."""
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        async with in_tenant(pool, TENANT) as connection:
            await connection.execute(statement)

    assert refused.value.constraint_name == constraint


async def test_w13_lengths_that_validation_accepts_are_stored(rows: TenantRows, pool: Pool) -> None:
    """decisions.md, Lengths: correlation id 255, owner 128 (W13)."""
    order = await rows.order(owner="o" * 128, correlation_id="c" * 255)
    async with in_tenant(pool, TENANT) as connection:
        (row,) = await connection.fetch(
            "select length(owner) as owner, length(correlation_id) as correlation_id"
            " from orders where id = $1",
            order,
        )

    assert dict(row) == {"owner": 128, "correlation_id": 255}
