"""The database rejects impossible rows, whatever the code does."""

from enum import StrEnum

import asyncpg
import pytest

from rs_order.domain.moves import ORDER_MOVES, SUB_ORDER_MOVES
from rs_order.domain.states import FileState, OrderStatus, SubOrderKind, SubOrderState
from rs_order.store.pool import Pool
from tests.integration.conftest import TENANT
from tests.support.rows import TenantRows, in_tenant, use_tenant

A, P, E = FileState.AVAILABLE, FileState.PENDING, FileState.ERROR


@pytest.mark.parametrize("before", OrderStatus)
async def test_an_order_makes_only_the_moves_of_the_table(
    before: OrderStatus, pool: Pool, rows: TenantRows
) -> None:
    """From each status every status is tried; keeping the status is always allowed."""
    order = await rows.order(before)
    change = "update orders set status = $2 where id = $1"
    rejection = ("orders_move", f"order {order} can't go from {before} to ")
    made = {
        after for after in OrderStatus if await _can_move(pool, change, order, after, rejection)
    }

    assert made == {before, *ORDER_MOVES[before]}


@pytest.mark.parametrize("before", SubOrderState)
async def test_a_sub_order_makes_only_the_moves_of_the_table(
    before: SubOrderState, pool: Pool, rows: TenantRows
) -> None:
    """The same for sub-orders, with counters that the other constraints accept in both states."""
    pending = (SubOrderState.RUNNING, SubOrderState.PROCESSING)
    files = P if before in pending else A if before is SubOrderState.WAITING else E
    sub_order = await rows.sub_order(
        await rows.order(), {"a": files}, state=before, kind=SubOrderKind.PROCESSING
    )
    change = (
        "update sub_order set state = $2, error_files = 1, available_files = ($2 = 'WAITING')::int,"
        " pending_files = ($2 in ('RUNNING', 'PROCESSING'))::int where id = $1"
    )
    rejection = ("sub_order_moves", f"sub-order {sub_order} can't go from {before} to ")
    made = {
        after
        for after in SubOrderState
        if await _can_move(pool, change, sub_order, after, rejection)
    }

    assert made == {before, *SUB_ORDER_MOVES[before]}


async def _can_move(
    pool: Pool, change: str, of: int, after: StrEnum, rejection: tuple[str, str]
) -> bool:
    """Return True if the database accepts this move. It is rolled back, so that all start from one state.

    ``rejection``: the constraint, and the text of the error up to the rejected state.
    """
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await use_tenant(connection, TENANT)
            await connection.execute(change, of, after)
        except asyncpg.CheckViolationError as error:
            constraint, beginning = rejection
            if (error.constraint_name, str(error)) != (constraint, f"{beginning}{after}"):
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
async def test_an_impossible_order_is_rejected(
    change: str, constraint: str, pool: Pool, rows: TenantRows
) -> None:
    """Promise 1: no order is done while a file is pending; counters never go below zero."""
    order = await rows.order()
    async with in_tenant(pool, TENANT) as connection:
        # The trigger would reject an unknown status before the constraint does.
        await connection.execute("alter table orders disable trigger orders_move")
    with pytest.raises(asyncpg.CheckViolationError) as rejected:
        async with in_tenant(pool, TENANT) as connection:
            await connection.execute(f"update orders set {change} where id = $1", order)  # noqa: S608

    assert rejected.value.constraint_name == constraint


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
async def test_an_impossible_sub_order_is_rejected(
    files: dict[str, FileState],
    state: SubOrderState,
    kind: SubOrderKind,
    constraint: str,
    rows: TenantRows,
) -> None:
    """State and counters of a sub-order always agree."""
    order = await rows.order()
    with pytest.raises(asyncpg.CheckViolationError) as rejected:
        await rows.sub_order(order, files, state=state, kind=kind)

    assert rejected.value.constraint_name == constraint


async def test_a_ready_sub_order_has_a_rank(pool: Pool, rows: TenantRows) -> None:
    """Without a rank it would never start."""
    sub_order = await rows.sub_order(await rows.order(), {"a": P})
    with pytest.raises(asyncpg.CheckViolationError) as rejected:
        async with in_tenant(pool, TENANT) as connection:
            await connection.execute(
                "update sub_order set state = 'READY', rank = null where id = $1", sub_order
            )

    assert rejected.value.constraint_name == "ready_has_a_rank"


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
                " values (32, 'STEP', 't', '{}', gen_random_uuid())"
            ),
            "outbox_partition_check",
        ),
        ("insert into rs_order.tenant (name) values ('A-B')", "tenant_name_check"),
    ],
)
async def test_an_impossible_row_is_rejected(statement: str, constraint: str, pool: Pool) -> None:
    """The other invariants, with one statement each."""
    with pytest.raises(asyncpg.CheckViolationError) as rejected:
        async with in_tenant(pool, TENANT) as connection:
            await connection.execute(statement)

    assert rejected.value.constraint_name == constraint


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
