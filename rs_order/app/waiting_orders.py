"""Builds what says why orders wait, for the service and for commands."""

from datetime import timedelta

from rs_order.app.slot_limits import slot_limits
from rs_order.core.forecasts import Forecasts
from rs_order.core.order_watch import OrderWatch
from rs_order.core.waiting_orders import WaitingOrders
from rs_order.ports import Clock
from rs_order.settings import Settings
from rs_order.store.pool import Pool
from rs_order.store.progress import Progress


def waiting_orders(
    settings: Settings, pool: Pool, clock: Clock, forecasts: Forecasts
) -> WaitingOrders:
    """Return what reads why orders wait."""
    progress = Progress(
        pool,
        slots_per_user=slot_limits(settings).per_user,
        silent_after=timedelta(minutes=settings.storage_reask_minutes),
    )
    return WaitingOrders(progress, OrderWatch(progress, clock), forecasts, clock)
