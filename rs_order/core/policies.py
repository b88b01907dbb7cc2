"""Retry policies, limits and slice sizes as plain values, read once from the settings."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from rs_order.domain.retry import RetryPolicy
from rs_order.domain.scheduling import PassLimits
from rs_order.domain.shares import HALF_LIFE, NOTHING, Amount


def remote_retries(deadline: timedelta = timedelta(seconds=600)) -> RetryPolicy:
    """Return the policy for an unavailable service (decisions.md, Remote service in trouble)."""
    return RetryPolicy(
        first=timedelta(seconds=1), limit=timedelta(seconds=60), deadline=deadline, jitter=0.2
    )


def storage_retries(
    first: timedelta = timedelta(minutes=30), silence: timedelta = timedelta(hours=48)
) -> RetryPolicy:
    """Return the policy for storage that gives no answer (decisions.md, Storage silence).

    The chapter fixes the pauses, so they have no jitter.
    """
    return RetryPolicy(first=first, limit=timedelta(hours=6), deadline=silence)


def mail_retries() -> RetryPolicy:
    """Return the policy for mails; its deadline is long because a mail may come late."""
    return RetryPolicy(
        first=timedelta(seconds=30),
        limit=timedelta(hours=1),
        deadline=timedelta(hours=24),
        jitter=0.2,
    )


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """The most that may run at the same time; 0 means no limit."""

    per_user: int = 2
    """``regards.order.max.storage.files.jobs.per.user``: for sub-orders of one user that run
    or wait for the user's download."""
    service: int = 0
    """``regards.jobs.pool.size``: for sub-orders of all tenants whose files storage was
    asked for and has not settled."""
    files: int = 0
    """For the files of these sub-orders."""
    bytes: int = 0
    """For the bytes of these sub-orders."""
    half_life: timedelta = HALF_LIFE
    """The time in which recent use, by which owners share the capacity of the service, is halved."""

    @property
    def of_service(self) -> Amount:
        """Return what may be in flight at storage, of all tenants."""
        return Amount(self.service, self.files, self.bytes)

    @property
    def limited(self) -> bool:
        """True if the service has a limit."""
        return self.of_service != NOTHING


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
    announced_sub_orders: int = 1000
    """External sub-orders of an order that are announced when its files are known."""
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
