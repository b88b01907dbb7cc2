"""Events that come with time: an order waits, files failed, its expiry is near (faces.md E-1).

No change of the order makes them true, so each order has a time at which it is checked next; one that has
nothing more to tell has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rs_order.domain.order import Order
from rs_order.domain.reasons import WaitingReason

STANDS: Final = timedelta(minutes=15)
"""A reason that has stood for so long is an event."""
LONGEST_PAUSE: Final = timedelta(hours=1)
"""Between two checks of an order that waits: its reason may change without a change of the order."""
LAST_WARNING: Final = timedelta(hours=24)
"""Before the expiry."""


@dataclass(frozen=True, slots=True)
class LastCheck:
    """What is stored of the last check of an order."""

    at: datetime
    """If it was never checked: its creation."""
    reason: str | None = None
    """The code; an instance of a later version may have stored one that this one doesn't know."""
    since: datetime | None = None
    """When the reason began, or was seen first."""
    told: bool = False
    """True if the reason is an event."""
    failures: int = 0
    """The files in error that events have counted."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check."""

    last: LastCheck
    """For the next one."""
    due_at: datetime | None
    """The time of the next one; None: there is nothing more to tell."""
    waits: bool
    """True if its reason becomes an event."""
    failed: int
    """The files that failed since the last event about that."""
    expires: bool
    """True if its expiry becomes an event."""


def check(
    order: Order, reason: WaitingReason | None, last: LastCheck, now: datetime, warned: timedelta
) -> Check:
    """Return what has become due of an order.

    Args:
        order: that is checked.
        reason: why it waits; None: it has ended, or changed just now.
        last: what is stored of the check before.
        now: the time of the check.
        warned: the time before its expiry at which the first warning is due.
    """
    seen = _seen(order, reason, last, now)
    stood = now - seen.since if seen.since is not None else timedelta()
    waits = reason is not None and stood >= STANDS and not seen.told
    return Check(
        last=replace(seen, at=now, told=seen.told or waits, failures=order.counters.errors),
        due_at=min(_due(order, stood, now, warned), default=None),
        waits=waits,
        failed=max(0, order.counters.errors - last.failures),
        expires=any(last.at < at <= now for at in _warnings(order, warned)),
    )


def _seen(order: Order, reason: WaitingReason | None, last: LastCheck, now: datetime) -> LastCheck:
    """Return the last check with the reason of now, which stands as long as is known or was seen."""
    if reason is None:
        return last if order.status.unfinished else LastCheck(last.at)
    if reason.code != last.reason:
        return LastCheck(last.at, reason.code, reason.since or now)
    return replace(last, since=min(at for at in (reason.since, last.since, now) if at is not None))


def _warnings(order: Order, warned: timedelta) -> tuple[datetime, ...]:
    """Return when the expiry of an order is an event: never, if it has no file to download."""
    if order.expires_at is None or order.status.deleted_or_expired or not order.counters.available:
        return ()
    return order.expires_at - warned, order.expires_at - LAST_WARNING


def _due(order: Order, stood: timedelta, now: datetime, warned: timedelta) -> Iterator[datetime]:
    """Yield the times of the next checks. Who has waited for long is checked less often."""
    if order.status.unfinished:
        yield now + (STANDS - stood if stood < STANDS else min(stood, LONGEST_PAUSE))
    yield from (at for at in _warnings(order, warned) if at > now)
