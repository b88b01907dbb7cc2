"""Settings that each tenant has for itself (domain.md 14.1)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """Hours, with the defaults a tenant starts with."""

    user_sub_order_hours: int = 240
    """``user_order_parameters.subOrderDuration``: how long storage keeps files of a user's order."""
    user_notification_delay_hours: int = 72
    """``user_order_parameters.delayBeforeEmailNotification``."""
    app_sub_order_hours: int = 2
    """``app_sub_order_duration``: the same for automatic orders."""
    expiration_max_hours: int = 168
    """``expiration_max_duration_in_hours``."""
