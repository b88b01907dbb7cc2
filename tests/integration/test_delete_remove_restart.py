"""A delete removes the files, a remove all but the history; a restart makes a new order (O13, O14)."""

import re
from datetime import timedelta
from typing import Any

import pytest

from rs_order.core.errors import LabelRejected, NotFound
from rs_order.core.shared_steps import CompleteOrderStep
from rs_order.domain.ids import OrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from rs_order.orders.create import OrderOptions
from rs_order.store.pool import Pool
from tests.integration.app_harness import ADMIN, ALAN, JANE, AppHarness, an_actor
from tests.support.clock import NOW
from tests.support.rows import OWNER, TenantRows

A, P, E = FileState.AVAILABLE, FileState.PENDING, FileState.ERROR

_TRACES = """
select (select count(*) from orders) as orders, (select count(*) from basket) as baskets,
       (select count(*) from dataset_selection) as selections,
       (select count(*) from dated_selection) as searches,
       (select count(*) from dataset_task) as tasks, (select count(*) from sub_order) as sub_orders,
       (select count(*) from data_file) as files, (select count(*) from completion) as completions
"""


async def done_order(app: AppHarness, *files: str) -> OrderId:
    order = await app.order(*files)
    await app.run()
    await app.storage_answers(*files)

    assert await app.status(order) == "DONE"
    return order


async def test_w41_a_deleted_order_keeps_its_basket_and_tasks_and_nothing_else(
    app: AppHarness,
) -> None:
    """It doesn't wait for its user any more, and has freed its slot (domain.md 12.4)."""
    order = await done_order(app, "a", "b")

    assert (await app.view(order)).waiting_for_user

    await app.actions.delete(JANE, order)
    view = await app.view(order)

    assert (view.status, view.waiting_for_user, view.available_files) == ("DELETED", False, 0)
    assert await app.sub_orders(order) == []

    await app.run()
    (traces,) = await app.rows(_TRACES)

    assert traces == {
        "orders": 1,
        "baskets": 1,
        "selections": 1,
        "searches": 1,
        "tasks": 1,
        "sub_orders": 0,
        "files": 0,
        "completions": 0,
    }
    assert (await app.history(order))[-1] == ("DONE", "DELETED", "deleted", OWNER)


async def test_w9_an_order_that_was_paused_while_it_was_read_can_be_deleted(
    app: AppHarness,
) -> None:
    """Its completion doesn't continue."""
    order = await app.order("a")
    (step,) = await app.steps(CompleteOrderStep)
    await app.actions.pause(JANE, order)
    await app.actions.delete(JANE, order)
    await app.run()
    await app.do(step)

    assert await app.status(order) == "DELETED"
    assert await app.files(order) == {}
    assert await app.rows("select * from completion") == []


@pytest.mark.parametrize("slice_size", [2, 5000])
async def test_w41_a_removed_order_leaves_its_history(
    slice_size: int, app: AppHarness, rows: TenantRows
) -> None:
    """Basket and tasks are removed at once, files and sub-orders in slices. The history names the actor."""
    app.use_slices(deleted_rows=slice_size)
    order = await app.order("a")
    await app.run()
    for name in "bcdef":
        await rows.sub_order(order, {name: E}, state=SubOrderState.ENDED)
    await app.storage_answers("a")
    await app.actions.delete(JANE, order)
    # The step that deletes its files is lost.
    await app.rows("delete from rs_order.outbox")
    await app.actions.remove(ALAN, order)
    (at_once,) = await app.rows(_TRACES)

    assert at_once == {
        "orders": 0,
        "baskets": 0,
        "selections": 0,
        "searches": 0,
        "tasks": 0,
        "sub_orders": 5,
        "files": 6,
        "completions": 0,
    }

    await app.run()
    (in_the_end,) = await app.rows(_TRACES)

    assert set(in_the_end.values()) == {0}
    assert (await app.history(order))[-2:] == [
        ("DONE_WITH_WARNING", "DELETED", "deleted", OWNER),
        ("DELETED", "REMOVED", "removed", ADMIN),
    ]
    with pytest.raises(NotFound):
        await app.actions.remove(ALAN, order)


async def test_a_late_answer_about_a_removed_order_changes_nothing(app: AppHarness) -> None:
    """Storage may answer while some of its files are not deleted yet."""
    order = await app.order("a")
    await app.run()
    await app.actions.pause(JANE, order)
    await app.actions.delete(JANE, order)
    await app.actions.remove(ALAN, order)
    await app.storage_answers("a")

    assert await app.files(order) == {"a": "PENDING"}

    await app.run()

    assert await app.files(order) == {}


_BASKET = """
select dataset_urn, dataset_label, selection.products_count, files_count, files_bytes,
       selection.type_totals, file_kinds, file_name_pattern, process_id, selection_date, position, request
from basket join dataset_selection selection on basket_id = basket.id
join dated_selection on dataset_selection_id = selection.id
where order_id = $1
order by selection.id, selection_date, position
"""


async def test_a_restart_copies_the_basket_with_its_dates(app: AppHarness) -> None:
    """B17: the new order makes the same searches; the old one stays as it is."""
    old = await done_order(app, "a")
    await app.rows(
        "with selection as (insert into dataset_selection (basket_id, dataset_urn, dataset_label,"
        " products_count, files_count, files_bytes, type_totals, file_kinds, file_name_pattern)"
        " select id, 'urn 2', 'Another', 1, 2, 3, '{}', '{RAWDATA}', '.*' from basket returning id)"
        " insert into dated_selection (dataset_selection_id, selection_date, position, request,"
        " products_count, type_totals)"
        " select id, $1::timestamptz + position * interval '1 hour', position, '{\"engineType\": \"x\"}',"
        " 1, '{}'"
        " from selection, generate_series(0, 2) as position",
        NOW,
    )
    app.clock.move(days=3)
    new = await app.actions.restart(JANE, old, OrderOptions())
    copied = await app.rows(_BASKET, new)

    assert len(copied) == 4
    assert copied == await app.rows(_BASKET, old)
    assert await app.status(old) == "DONE"
    assert await app.status(new) == "PENDING"


async def test_a_restarted_order_runs_to_its_end(app: AppHarness) -> None:
    """It is read from the catalog and restored like a new order, under its own correlation id."""
    old = await done_order(app, "a")
    new = await app.actions.restart(JANE, old, OrderOptions("again", "/user/demo"))
    await app.run()
    await app.storage_answers("a")
    (row,) = await _rows_of(app, new)
    (before,) = await _rows_of(app, old)

    assert await app.status(new) == "DONE"
    assert row["label"] == "again"
    assert row["front_url"] == "/user/demo"
    assert row["created_at"] == NOW
    assert row["sub_order_hours"] == 240
    assert re.fullmatch(r"auto-correlation-id-[0-9a-f-]{36}", row["correlation_id"])
    assert (row["owner"], row["role"]) == (before["owner"], before["role"])


async def test_a_restart_takes_the_users_duration_of_the_tenant(app: AppHarness) -> None:
    """It doesn't take that of automatic orders, though the old order may have been one."""
    old = await done_order(app, "a")
    await app.rows(
        "insert into setting values ('user_order_parameters',"
        ' \'{"subOrderDuration": 7, "delayBeforeEmailNotification": 1}\'),'
        " ('app_sub_order_duration', '3')"
    )
    new = await app.actions.restart(JANE, old, OrderOptions())
    (row,) = await _rows_of(app, new)

    assert row["sub_order_hours"] == 7


@pytest.mark.parametrize(
    ("actor", "role"),
    [(an_actor(role="EXPLOIT"), "EXPLOIT"), (an_actor(ADMIN, "ADMIN"), "REGISTERED_USER")],
    ids=["its owner", "an administrator"],
)
async def test_a_restarted_order_belongs_to_the_owner_of_the_old_one(
    actor: Any, role: str, app: AppHarness
) -> None:
    """It has the owner's present role, or the old order's if an administrator restarts it."""
    old = await done_order(app, "a")
    new = await app.actions.restart(actor, old, OrderOptions())
    (row,) = await _rows_of(app, new)

    assert (row["owner"], row["role"]) == (OWNER, role)


async def test_labels_of_restarted_orders_keep_the_rules(app: AppHarness, rows: TenantRows) -> None:
    """rest.md 7.1: at most 50 characters, unique for the owner; a rejection creates nothing."""
    old = await done_order(app, "a")
    taken = await app.actions.restart(JANE, old, OrderOptions("x" * 50))
    with pytest.raises(LabelRejected, match="TOO_MANY_CHARACTERS_IN_LABEL"):
        await app.actions.restart(JANE, old, OrderOptions("x" * 51))
    with pytest.raises(LabelRejected, match="LABEL_NOT_UNIQUE_FOR_OWNER"):
        await app.actions.restart(ALAN, old, OrderOptions("x" * 50))

    assert len(await app.rows("select id from orders")) == 2
    assert (await _rows_of(app, taken))[0]["label"] == "x" * 50

    blank = await app.actions.restart(JANE, old, OrderOptions("   "))

    assert (await _rows_of(app, blank))[0]["label"] == "   "


@pytest.mark.parametrize("label", [None, ""])
async def test_w40_generated_labels_are_unique_within_a_second(
    label: str | None, app: AppHarness
) -> None:
    """Later ones of the same second get a number; the next second has another label."""
    old = await done_order(app, "a")
    labels = []
    for _ in range(3):
        new = await app.actions.restart(JANE, old, OrderOptions(label))
        labels.append((await _rows_of(app, new))[0]["label"])
    app.clock.ahead += timedelta(seconds=1)
    new = await app.actions.restart(JANE, old, OrderOptions(label))
    labels.append((await _rows_of(app, new))[0]["label"])

    first = labels[0]
    assert re.fullmatch(r"Order of \d{4}/\d\d/\d\d at \d\d:\d\d:\d\d", first)
    assert labels[1:3] == [f"{first} (2)", f"{first} (3)"]
    assert labels[3] not in labels[:3]


async def test_an_empty_basket_is_restarted_like_any_other(
    app: AppHarness, pool: Pool, rows: TenantRows
) -> None:
    """The new order ends as the old one did (domain.md 4.1)."""
    old = await rows.order(OrderStatus.DONE_WITH_WARNING)
    await app.rows("insert into basket (owner, order_id) values ($1, $2)", OWNER, old)
    new = await app.actions.restart(JANE, old, OrderOptions())
    await app.run()

    assert await app.status(new) == "DONE_WITH_WARNING"


async def _rows_of(app: AppHarness, order: OrderId) -> list[dict[str, Any]]:
    return await app.rows("select * from orders where id = $1", order)
