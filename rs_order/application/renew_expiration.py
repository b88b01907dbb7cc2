"""Renews the expiry date of an order (domain.md 4.7)."""

from datetime import datetime

from rs_order.application.steps import ExpireOrderStep
from rs_order.domain.order import Order, expiration
from rs_order.store.unit_of_work import UnitOfWork


async def renew_expiration(
    uow: UnitOfWork, order: Order, *, storage_sub_orders: int, now: datetime
) -> None:
    """Set the expiry date that the new sub-orders need; the caller saves the order."""
    settings = await uow.settings()
    order.expires_at = expiration(
        now,
        storage_sub_orders=storage_sub_orders,
        sub_order_hours=settings.user_sub_order_hours,
        max_hours=settings.expiration_max_hours,
    )
    await uow.messages.send([ExpireOrderStep(order.id).to(uow.tenant, order.expires_at)])
