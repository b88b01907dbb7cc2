"""Cancels orders for a command, with the same use case as a cancel request."""

from collections.abc import Sequence
from functools import partial

from rs_order.app.database import Database
from rs_order.app.slot_limits import slot_limits
from rs_order.core.links import Links
from rs_order.core.settlement import Settlement
from rs_order.domain.ids import OrderId, Tenant
from rs_order.orders.order_end import CancelOrders, OrderTeardown
from rs_order.settings import Settings
from rs_order.store.audit import AuditActor
from rs_order.store.unit_of_work import Store, retry_on_conflict


async def cancel_orders(
    settings: Settings,
    database: Database,
    tenant: Tenant,
    ids: Sequence[OrderId],
    by: AuditActor,
) -> Sequence[OrderId]:
    """Delete orders in any status, and return those that were not deleted before.

    A running service publishes the steps that this writes.
    """
    links = Links(None, database.tenants, prefix=settings.prefix_path, fallback=settings.public_url)
    teardown = OrderTeardown(Settlement(slot_limits(settings), links))
    cancel = CancelOrders(Store(database.pool, lambda _: None), teardown, database.clock)
    return await retry_on_conflict(partial(cancel.handle, tenant, ids, by))
