"""When an order expires (domain.md 4.7)."""

from datetime import datetime, timedelta


def expiration(
    now: datetime, *, storage_sub_orders: int, sub_order_hours: int, max_hours: int
) -> datetime:
    """Return the expiry date: the hours of each sub-order and of two more, at most the tenant's maximum."""
    hours = (
        sub_order_hours if storage_sub_orders == 0 else (storage_sub_orders + 2) * sub_order_hours
    )
    return now + timedelta(hours=min(hours, max_hours))
