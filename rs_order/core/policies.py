"""Retry policies and limits as plain values, read once from the settings."""

from dataclasses import dataclass
from datetime import timedelta

from rs_order.domain.retry import RetryPolicy


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
    """The most sub-orders that may run at the same time; 0 means no limit."""

    per_user: int = 2
    """``regards.order.max.storage.files.jobs.per.user``: for sub-orders of one user that run
    or wait for the user's download."""
    service: int = 0
    """``regards.jobs.pool.size``: for sub-orders of all tenants whose files storage was
    asked for and has not settled."""
