"""Who may do what with an order, and when: the order, then the person, then the status (domain.md 12.1)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rs_order.actions.order_actions import OrderActions
from rs_order.actions.rights import Actor
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
OF_OWNER = [name for name in ACTIONS if name != "remove"]

REFUSALS = {
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


async def refusal(app: AppHarness, action: str, actor: Actor, order: OrderId) -> str | None:
    """The code an action is refused with; None when it is carried out."""
    try:
        await ACTIONS[action](app.actions, actor, order)
    except ActionRejected as refused:
        return str(refused)
    return None


async def an_order(app: AppHarness, rows: TenantRows, status: OrderStatus) -> OrderId:
    """One that still has its basket."""
    order = await rows.order(status)
    await app.rows("insert into basket (owner, order_id) values ($1, $2)", OWNER, order)
    return order


@pytest.mark.parametrize("status", OrderStatus)
async def test_a_status_allows_what_the_contract_says(
    status: OrderStatus, app: AppHarness, rows: TenantRows
) -> None:
    """Each of the six actions on each of the nine statuses; a refused one changes nothing."""
    for action in ACTIONS:
        order = await an_order(app, rows, status)
        before = await app.rows("select * from orders where id = $1", order)
        answer = await refusal(app, action, ALAN, order)

        if action in ALLOWED[status]:
            assert (action, answer) == (action, None)
            assert await app.status(order) == ALLOWED[status][action]
        else:
            assert (action, answer) == (action, REFUSALS[action])
            assert await app.rows("select * from orders where id = $1", order) == before
            assert await app.history(order) == []


async def test_only_its_owner_and_administrators_may_act_on_an_order(
    app: AppHarness, rows: TenantRows
) -> None:
    """The person is looked at before the status, which would refuse the action, too."""
    order = await an_order(app, rows, OrderStatus.DELETED)
    for action in OF_OWNER:
        app.users.restore_requests.clear()

        assert await refusal(app, action, JOHN, order) == "USER_NOT_ALLOWED_TO_MANAGE_ORDER"
        assert await refusal(app, action, JANE, order) == REFUSALS[action]
        assert await refusal(app, action, ALAN, order) == REFUSALS[action]
        assert app.users.restore_requests == [STRANGER, ADMIN]


async def test_only_administrators_may_remove_an_order(app: AppHarness, rows: TenantRows) -> None:
    """Not even its owner, whatever the status."""
    order = await an_order(app, rows, OrderStatus.RUNNING)

    assert await refusal(app, "remove", JANE, order) == "USER_NOT_ALLOWED_TO_MANAGE_ORDER"
    assert await refusal(app, "remove", ALAN, order) == "ORDER_MUST_BE_DELETED"


async def test_rs_admin_is_not_asked_about_roles_that_are_always_administrators(
    app: AppHarness, rows: TenantRows
) -> None:
    """A token of PROJECT_ADMIN, say, is enough."""
    app.users.error = RemoteUnavailable("rs-admin", "is down")
    order = await an_order(app, rows, OrderStatus.RUNNING)
    chief = an_actor("chief@example.org", "PROJECT_ADMIN", admin=True)

    assert await refusal(app, "pause", chief, order) is None
    assert await app.history(order) == [("RUNNING", "PAUSED", "paused", "chief@example.org")]


@pytest.mark.parametrize("actor", [JANE, ALAN, an_actor(admin=True)])
async def test_an_unknown_order_is_not_found(actor: Actor, app: AppHarness) -> None:
    """Before anything else."""
    for act in ACTIONS.values():
        with pytest.raises(NotFound, match="There is no order -12"):
            await act(app.actions, actor, OrderId(-12))

    assert app.users.restore_requests == []


async def test_while_rs_admin_is_down_nothing_is_changed(app: AppHarness, rows: TenantRows) -> None:
    """No verdict is no verdict: the person may try again (decisions.md, User cache)."""
    app.users.error = RemoteUnavailable("rs-admin", "is down")
    for status in OrderStatus:
        order = await an_order(app, rows, status)
        for act in ACTIONS.values():
            with pytest.raises(RemoteUnavailable):
                await act(app.actions, JOHN, order)

        assert await app.status(order) == status


async def test_a_refusal_of_rs_admin_is_a_verdict(app: AppHarness, rows: TenantRows) -> None:
    """A 4xx says that he is nobody it knows."""
    app.users.error = RemoteRejection("rs-admin", 403, "no")
    order = await an_order(app, rows, OrderStatus.RUNNING)

    assert await refusal(app, "pause", JOHN, order) == "USER_NOT_ALLOWED_TO_MANAGE_ORDER"


async def test_an_order_with_a_process_is_not_retried(app: AppHarness, rows: TenantRows) -> None:
    """Its outputs can't be made again."""
    order = await rows.order(OrderStatus.FAILED)
    await app.rows(
        "insert into dataset_task (order_id, dataset_urn, dataset_label, products_count, process_id)"
        " values ($1, 'urn', 'A dataset', 1, gen_random_uuid())",
        order,
    )

    assert await refusal(app, "retry", JANE, order) == "ORDER_HAS_PROCESSING"
    assert await app.status(order) == "FAILED"


async def test_an_order_that_was_to_be_processed_is_not_retried(
    app: AppHarness, rows: TenantRows
) -> None:
    """It failed before anything was read, because its process is gone: only its basket knows."""
    order = await rows.order(OrderStatus.FAILED)
    await app.rows(
        "with basket as (insert into basket (owner, order_id) values ('jane', $1) returning id)"
        " insert into dataset_selection (basket_id, dataset_urn, dataset_label, products_count,"
        " files_count, files_bytes, type_totals, process_id)"
        " select id, 'urn', 'A dataset', 1, 1, 1, '{}', gen_random_uuid() from basket",
        order,
    )

    assert await refusal(app, "retry", JANE, order) == "ORDER_HAS_PROCESSING"


async def test_an_order_whose_basket_is_gone_is_not_restarted(
    app: AppHarness, rows: TenantRows
) -> None:
    """There is nothing to make a new one of."""
    order = await rows.order(OrderStatus.DONE)

    assert await refusal(app, "restart", JANE, order) == "BASKET_NOT_FOUND"
