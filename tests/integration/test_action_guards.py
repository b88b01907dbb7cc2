"""An action checks first that the order exists, then the user's rights, then the status (domain.md 12.1)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rs_order.actions.rights import Actor
from rs_order.actions.routes import OrderActions
from rs_order.core.errors import ActionRejected, NotFound
from rs_order.domain.ids import OrderId
from rs_order.domain.states import OrderStatus
from rs_order.orders.create import OrderOptions
from rs_order.ports import RemoteRejection, RemoteUnavailable
from tests.integration.app_harness import ADMIN, ALAN, JANE, JOHN, STRANGER, AppHarness, an_actor
from tests.support.rows import OWNER, TenantRows

Act = Callable[[OrderActions, Actor, OrderId], Awaitable[Any]]

ACTIONS: dict[str, Act] = {
    "pause": lambda actions, actor, order: actions.pause(actor, order),
    "resume": lambda actions, actor, order: actions.resume(actor, order),
    "delete": lambda actions, actor, order: actions.delete(actor, order),
    "remove": lambda actions, actor, order: actions.remove(actor, order),
    "restart": lambda actions, actor, order: actions.restart(actor, order, OrderOptions()),
    "retry": lambda actions, actor, order: actions.retry(actor, order),
}
ACTIONS_OF_OWNERS = [name for name in ACTIONS if name != "remove"]

REJECTIONS = {
    "pause": "ORDER_MUST_BE_PENDING_OR_RUNNING",
    "resume": "ORDER_MUST_BE_PAUSED",
    "delete": "ORDER_MUST_BE_DONE_OR_DONE_WITH_WARNING_OR_PAUSED_OR_FAILED_OR_EXPIRED",
    "remove": "ORDER_MUST_BE_DELETED",
    "restart": "ORDER_MUST_BE_DONE_OR_DONE_WITH_WARNING_OR_FAILED",
    "retry": "ORDER_MUST_BE_DONE_WITH_WARNING_OR_FAILED",
}
ALLOWED: dict[OrderStatus, dict[str, str | None]] = {
    OrderStatus.PENDING: {"pause": "PAUSED"},
    OrderStatus.RUNNING: {"pause": "PAUSED"},
    OrderStatus.PAUSED: {"resume": "DONE_WITH_WARNING", "delete": "DELETED"},
    OrderStatus.EXPIRED: {"delete": "DELETED"},
    OrderStatus.FAILED: {"delete": "DELETED", "restart": "FAILED", "retry": "RUNNING"},
    OrderStatus.DONE_WITH_WARNING: {
        "delete": "DELETED",
        "restart": "DONE_WITH_WARNING",
        "retry": "RUNNING",
    },
    OrderStatus.DONE: {"delete": "DELETED", "restart": "DONE"},
    OrderStatus.DELETED: {"remove": None},
    OrderStatus.ERROR: {"delete": "DELETED"},
}
"""The actions a status allows, and the status afterwards; a paused order of TenantRows has no file."""


async def rejection(app: AppHarness, action: str, actor: Actor, order: OrderId) -> str | None:
    """Return the code an action is rejected with, or None if it is carried out."""
    try:
        await ACTIONS[action](app.actions, actor, order)
    except ActionRejected as rejected:
        return str(rejected)
    return None


async def an_order(app: AppHarness, rows: TenantRows, status: OrderStatus) -> OrderId:
    """Create an order that still has its basket."""
    order = await rows.order(status)
    await app.rows("insert into basket (owner, order_id) values ($1, $2)", OWNER, order)
    return order


@pytest.mark.parametrize("status", OrderStatus)
async def test_a_status_allows_what_the_contract_says(
    status: OrderStatus, app: AppHarness, rows: TenantRows
) -> None:
    """Each of the six actions on each of the nine statuses; a rejected action changes nothing."""
    for action in ACTIONS:
        order = await an_order(app, rows, status)
        before = await app.rows("select * from orders where id = $1", order)
        code = await rejection(app, action, ALAN, order)

        if action in ALLOWED[status]:
            assert (action, code) == (action, None)
            assert await app.status(order) == ALLOWED[status][action]
        else:
            assert (action, code) == (action, REJECTIONS[action])
            assert await app.rows("select * from orders where id = $1", order) == before
            assert await app.history(order) == []


async def test_only_its_owner_and_administrators_may_act_on_an_order(
    app: AppHarness, rows: TenantRows
) -> None:
    """The user is checked before the status, which would not allow the action either."""
    order = await an_order(app, rows, OrderStatus.DELETED)
    for action in ACTIONS_OF_OWNERS:
        app.users.asked_about.clear()

        assert await rejection(app, action, JOHN, order) == "USER_NOT_ALLOWED_TO_MANAGE_ORDER"
        assert await rejection(app, action, JANE, order) == REJECTIONS[action]
        assert await rejection(app, action, ALAN, order) == REJECTIONS[action]
        assert app.users.asked_about == [STRANGER, ADMIN]


async def test_only_administrators_may_remove_an_order(app: AppHarness, rows: TenantRows) -> None:
    """Not even its owner, whatever the status."""
    order = await an_order(app, rows, OrderStatus.RUNNING)

    assert await rejection(app, "remove", JANE, order) == "USER_NOT_ALLOWED_TO_MANAGE_ORDER"
    assert await rejection(app, "remove", ALAN, order) == "ORDER_MUST_BE_DELETED"


async def test_rs_admin_is_not_asked_about_roles_that_are_always_administrators(
    app: AppHarness, rows: TenantRows
) -> None:
    """A token with the role PROJECT_ADMIN, for example, is enough."""
    app.users.error = RemoteUnavailable("rs-admin", "is down")
    order = await an_order(app, rows, OrderStatus.RUNNING)
    chief = an_actor("chief@example.org", "PROJECT_ADMIN", admin=True)

    assert await rejection(app, "pause", chief, order) is None
    assert await app.history(order) == [("RUNNING", "PAUSED", "paused", "chief@example.org")]


@pytest.mark.parametrize("actor", [JANE, ALAN, an_actor(admin=True)])
async def test_an_unknown_order_is_not_found(actor: Actor, app: AppHarness) -> None:
    """This is checked before everything else."""
    for act in ACTIONS.values():
        with pytest.raises(NotFound, match="There is no order -12"):
            await act(app.actions, actor, OrderId(-12))

    assert app.users.asked_about == []


async def test_while_rs_admin_is_down_nothing_is_changed(app: AppHarness, rows: TenantRows) -> None:
    """Nothing can be decided, so the user may try again (decisions.md, User cache)."""
    app.users.error = RemoteUnavailable("rs-admin", "is down")
    for status in OrderStatus:
        order = await an_order(app, rows, status)
        for act in ACTIONS.values():
            with pytest.raises(RemoteUnavailable):
                await act(app.actions, JOHN, order)

        assert await app.status(order) == status


async def test_a_user_whom_rs_admin_rejects_is_no_administrator(
    app: AppHarness, rows: TenantRows
) -> None:
    """A 4xx means that rs-admin doesn't know the user."""
    app.users.error = RemoteRejection("rs-admin", 403, "no")
    order = await an_order(app, rows, OrderStatus.RUNNING)

    assert await rejection(app, "pause", JOHN, order) == "USER_NOT_ALLOWED_TO_MANAGE_ORDER"


async def test_an_order_with_a_process_is_not_retried(app: AppHarness, rows: TenantRows) -> None:
    """Its outputs can't be made again."""
    order = await rows.order(OrderStatus.FAILED)
    await app.rows(
        "insert into dataset_task (order_id, dataset_urn, dataset_label, products_count, process_id)"
        " values ($1, 'urn', 'A dataset', 1, gen_random_uuid())",
        order,
    )

    assert await rejection(app, "retry", JANE, order) == "ORDER_HAS_PROCESSING"
    assert await app.status(order) == "FAILED"


async def test_an_order_that_failed_because_its_process_is_missing_is_not_retried(
    app: AppHarness, rows: TenantRows
) -> None:
    """It failed before anything was read, so only its basket names the process."""
    order = await rows.order(OrderStatus.FAILED)
    await app.rows(
        "with basket as (insert into basket (owner, order_id) values ('jane', $1) returning id)"
        " insert into dataset_selection (basket_id, dataset_urn, dataset_label, products_count,"
        " files_count, files_bytes, type_totals, process_id)"
        " select id, 'urn', 'A dataset', 1, 1, 1, '{}', gen_random_uuid() from basket",
        order,
    )

    assert await rejection(app, "retry", JANE, order) == "ORDER_HAS_PROCESSING"


async def test_an_order_without_a_basket_is_not_restarted(
    app: AppHarness, rows: TenantRows
) -> None:
    """There is nothing to make a new order from."""
    order = await rows.order(OrderStatus.DONE)

    assert await rejection(app, "restart", JANE, order) == "BASKET_NOT_FOUND"
