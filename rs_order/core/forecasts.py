"""Forecasts of the times of sub-orders, one for each tenant, read again after a minute (Y-13)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rs_order.domain.estimates import Experience, Hindsight, Range, learn, storage_is_late
from rs_order.domain.expectations import Outlook
from rs_order.domain.ids import Tenant
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import Clock
from rs_order.store.estimates import Estimates

MAX_AGE: Final = timedelta(minutes=1)


@dataclass(slots=True)
class Forecast:
    """The experience from the samples of a tenant, and the requests that storage has not settled."""

    at: datetime
    experience: Experience
    hindsight: Hindsight
    awaited_bytes: int
    """Grows with each sub-order that this process asks for; what was settled meanwhile still counts."""
    late: bool
    """True if storage has changed its pace: no range is given (Y-7)."""

    @property
    def outlook(self) -> Outlook:
        """Return what is known of storage now."""
        return Outlook(self.experience, self.awaited_bytes, self.late)

    def expect(self, sub_order: SubOrder, size: int) -> None:
        """Set when a sub-order is expected whose bytes storage is asked for now."""
        experience = self.experience
        sub_order.guess = experience.guess(self.awaited_bytes, size)
        found = experience.range(sub_order.guess)
        sub_order.expected = found if isinstance(found, Range) and not self.late else None
        self.awaited_bytes += size


class Forecasts:
    """Keeps the forecast of each tenant for a minute."""

    def __init__(self, estimates: Estimates, clock: Clock) -> None:
        self._estimates = estimates
        self._clock = clock
        self._known: dict[Tenant, Forecast] = {}

    async def of(self, tenant: Tenant) -> Forecast:
        """Return the forecast of a tenant. Don't call it within a unit of work: it may read.

        Raises:
            StoreUnavailable: the database can't be reached.
        """
        known = self._known.get(tenant)
        if known is not None and self._clock.now() - known.at < MAX_AGE:
            return known
        read = await self._read(tenant)
        self._known[tenant] = read
        return read

    async def _read(self, tenant: Tenant) -> Forecast:
        now = self._clock.now()
        samples = await self._estimates.samples(tenant)
        awaited = await self._estimates.awaited(tenant, now)
        return Forecast(
            at=now,
            experience=learn(samples),
            hindsight=Hindsight(samples),
            awaited_bytes=awaited.bytes,
            late=storage_is_late(late=awaited.late, awaited=awaited.with_range),
        )
