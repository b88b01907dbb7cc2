"""What takes a slot, what frees it, and what starts next (domain.md 6.1, decisions.md)."""

import asyncio

import pytest

from rs_order.core.shared_steps import ScheduleStep
from rs_order.domain.states import FileState, SubOrderKind, SubOrderState
from rs_order.store.pool import Pool
from tests.integration.app_harness import TENANT, AppHarness
from tests.support.rows import OWNER, TenantRows

P, A = FileState.PENDING, FileState.AVAILABLE


@pytest.mark.parametrize("failed", [False, True], ids=["downloaded", "not downloaded"])
async def test_w17_a_download_of_an_external_file_takes_no_slot(
    pool: Pool, rows: TenantRows, *, failed: bool
) -> None:
    """The other file of its sub-order still waits for the user, and the next storage sub-order starts."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=1)
    external = await rows.order()
    await rows.sub_order(
        external, {"x": A, "y": A}, state=SubOrderState.WAITING, kind=SubOrderKind.EXTERNAL
    )
    stored = await rows.order()
    await rows.sub_order(stored, {"a": P}, state=SubOrderState.READY)
    await app.downloaded(external, "x", failed=failed)
    await app.do(ScheduleStep(OWNER).to(TENANT).body)

    assert await app.sub_orders(external) == [("EXTERNAL", "WAITING")]
    assert await app.sub_orders(stored) == [("STORAGE", "RUNNING")]


async def test_w30_simultaneous_passes_keep_the_limit(pool: Pool, rows: TenantRows) -> None:
    """Each holds the owner's lock until its commit, so the next one counts what it started."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=2)
    order = await rows.order()
    for name in "abcdef":
        await rows.sub_order(order, {name: P}, state=SubOrderState.READY)
    step = ScheduleStep(OWNER).to(TENANT).body
    await asyncio.gather(*(app.do(step) for _ in range(8)))

    states = [state for _, state in await app.sub_orders(order)]
    assert sorted(states) == ["READY"] * 4 + ["RUNNING"] * 2
    assert len(await app.restore_requests()) == 2


async def test_w30_a_freed_slot_triggers_the_next_pass(pool: Pool, rows: TenantRows) -> None:
    """One commit frees the slot and writes the step: if the step can't be written, the slot isn't free."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=1)
    order = await rows.order()
    await rows.sub_order(order, {"a": A}, state=SubOrderState.WAITING)
    await rows.sub_order(order, {"b": P}, state=SubOrderState.READY)
    await app.rows("alter table rs_order.outbox add constraint closed check (false) not valid")
    with pytest.raises(Exception, match="closed"):
        await app.downloaded(order, "a")

    assert await app.files(order) == {"a": "AVAILABLE", "b": "PENDING"}

    await app.rows("alter table rs_order.outbox drop constraint closed")
    await app.downloaded(order, "a")

    assert [step["owner"] for step in await app.steps(ScheduleStep)] == [OWNER]

    await app.run()

    assert await app.sub_orders(order) == [("STORAGE", "ENDED"), ("STORAGE", "RUNNING")]


async def test_without_a_limit_a_freed_slot_needs_no_pass(pool: Pool, rows: TenantRows) -> None:
    """Nothing waits for it: each pass starts all that is ready."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=0)
    order = await rows.order()
    await rows.sub_order(order, {"a": A}, state=SubOrderState.WAITING)
    await app.downloaded(order, "a")

    assert await app.sub_orders(order) == [("STORAGE", "ENDED")]
    assert await app.steps(ScheduleStep) == []


async def test_w11_a_file_reported_available_and_unavailable_counts_once(
    app: AppHarness, rows: TenantRows
) -> None:
    """In one batch, unavailable wins; the repetition changes nothing; the other file stays pending."""
    order = await rows.order()
    await rows.sub_order(order, {"a": P, "b": P})
    for _ in range(2):
        await app.storage_answers("a", a="tape is broken")

    assert await app.files(order) == {"a": "ERROR", "b": "PENDING"}
    assert await app.sub_orders(order) == [("STORAGE", "RUNNING")]
    assert await app.status(order) == "RUNNING"
    assert await app.responses_about(order) == []


async def test_w30_a_process_without_stored_inputs_holds_no_slot(
    pool: Pool, rows: TenantRows
) -> None:
    """It is processed at once, and the pass that started it writes the step of the next one."""
    app = AppHarness(pool, max_storage_files_jobs_per_user=1)
    order = await rows.order()
    await rows.sub_order(order, {"x": P}, state=SubOrderState.READY, kind=SubOrderKind.PROCESSING)
    await rows.sub_order(order, {"b": P}, state=SubOrderState.READY)
    # The file is an output.
    await app.rows("update data_file set checksum = null where name = 'x'")
    await app.do(ScheduleStep(OWNER).to(TENANT).body)
    await app.run(ScheduleStep)

    assert await app.sub_orders(order) == [
        ("PROCESSING", "PROCESSING"),
        ("STORAGE", "RUNNING"),
    ]
