"""Composes an import for a command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from rs_order.app.database import Database
from rs_order.app.slot_limits import slot_limits
from rs_order.core.links import Links
from rs_order.core.settlement import Settlement
from rs_order.domain.ids import Tenant
from rs_order.moving_in.run import Target
from rs_order.orders.order_end import CancelOrders, OrderTeardown
from rs_order.requests.accept import AcceptRequests
from rs_order.settings import Settings
from rs_order.store.audit import AuditActor
from rs_order.store.moved_orders import opened_target
from rs_order.store.unit_of_work import Store


@asynccontextmanager
async def opened_import(
    settings: Settings, database: Database, tenant: Tenant, by: AuditActor, *, workers: int
) -> AsyncIterator[Target]:
    """Open this side of an import. A running service publishes the steps that it writes."""
    store = Store(database.pool, lambda _: None)
    links = Links(None, database.tenants, prefix=settings.prefix_path, fallback=settings.public_url)
    settlement = Settlement(slot_limits(settings), links)
    async with opened_target(
        settings.database_url.get_secret_value(),
        tenant,
        connections=workers + 1,
        statement_cache=settings.database_statement_cache,
    ) as moved:
        yield Target(
            tenant=tenant,
            moved=moved,
            store=store,
            settlement=settlement,
            accept=AcceptRequests(store, database.clock),
            cancel=CancelOrders(store, OrderTeardown(settlement), database.clock),
            clock=database.clock,
            by=by,
            deactivate=partial(database.tenants.disable, tenant, by),
            activate=partial(database.add_tenant, tenant, None, by),
        )
