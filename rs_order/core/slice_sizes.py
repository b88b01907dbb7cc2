"""The sizes of the slices that steps work on, which keep every transaction short."""

from dataclasses import dataclass
from typing import Final

from rs_order.domain.scheduling import PassLimits


@dataclass(frozen=True, slots=True)
class SliceSizes:
    """The most items in one step, or in one message. Tests use smaller sizes."""

    started: PassLimits = PassLimits()  # noqa: RUF009 - a frozen value
    """The limits of one pass of the scheduler."""
    requested_checksums: int = 1000
    """Checksums in one restore request (amqp.md 3.2)."""
    stopped_sub_orders: int = 1000
    """Running sub-orders of a paused order that are stopped."""
    released_sub_orders: int = 1000
    """Sub-orders of a deleted or expired order that release their slots."""
    deleted_rows: int = 5000
    """Files, or sub-orders without a slot, of a deleted or expired order."""
    retried_files: int = 1000
    """Files in error that move to new sub-orders."""
    reminded_owners: int = 500
    """Owners that are checked for a reminder."""
    reminded_orders: int = 5000
    """Orders whose wait begins anew once their owner was reminded."""
    recounted_orders: int = 50
    recounted_sub_orders: int = 100
    recounted_files: int = 5000
    """A slice of sub-orders ends with the one that reaches so many files."""
    checked_orders: int = 500
    """Orders that are checked for rows that a removal left behind."""


SLICE_SIZES: Final = SliceSizes()
"""The sizes that the service uses."""
