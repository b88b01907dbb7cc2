"""Reads the limits of what runs at the same time from the settings."""

from datetime import timedelta

from rs_order.core.policies import SlotLimits
from rs_order.settings import Settings


def slot_limits(settings: Settings) -> SlotLimits:
    """Return the limits of what runs at the same time, and how owners share what is limited."""
    return SlotLimits(
        settings.max_storage_files_jobs_per_user,
        settings.jobs_pool_size,
        settings.max_files_at_storage,
        settings.max_bytes_at_storage,
        half_life=timedelta(hours=settings.share_half_life_hours),
    )
