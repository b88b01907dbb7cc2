"""How patient the service is: plain values, read once from the settings."""

from dataclasses import dataclass
from datetime import datetime, timedelta


def _doubled(first: timedelta, times: int, longest: timedelta) -> timedelta:
    doublings: int = 2 ** min(times, 16)
    return min(first * doublings, longest)


@dataclass(frozen=True, slots=True)
class RemotePatience:
    """How long a remote service in trouble is asked again (decisions.md, Remote service in trouble)."""

    deadline: timedelta = timedelta(seconds=600)
    first_pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(seconds=60)

    def pause(self, attempts: int) -> timedelta:
        """Pause before the next attempt, doubling; ``attempts`` have been made in vain before."""
        return _doubled(self.first_pause, attempts, self.longest_pause)

    def exhausted(self, since: datetime, now: datetime) -> bool:
        return now - since >= self.deadline


@dataclass(frozen=True, slots=True)
class MailPatience:
    """How long it is tried to send a mail; longer than others, since nobody waits for it by the minute."""

    claim: timedelta = timedelta(minutes=5)
    """For so long a mail belongs to who sends it; more than sending can take."""
    first_pause: timedelta = timedelta(seconds=30)
    longest_pause: timedelta = timedelta(hours=1)
    deadline: timedelta = timedelta(hours=24)

    def pause(self, attempts: int) -> timedelta:
        """Pause after so many attempts in vain, doubling."""
        return _doubled(self.first_pause, attempts - 1, self.longest_pause)

    def exhausted(self, since: datetime, now: datetime) -> bool:
        return now - since >= self.deadline


@dataclass(frozen=True, slots=True)
class StoragePatience:
    """How storage's silence is met (decisions.md, Storage silence)."""

    first_pause: timedelta = timedelta(minutes=30)
    longest_pause: timedelta = timedelta(hours=6)
    silence: timedelta = timedelta(hours=48)

    def next_ask(self, asked_at: datetime, asks: int, now: datetime) -> datetime:
        """When to ask again after ``asks`` requests; never later than the end of patience."""
        pause = _doubled(self.first_pause, asks - 1, self.longest_pause)
        return min(now + pause, asked_at + self.silence)

    def exhausted(self, asked_at: datetime, now: datetime) -> bool:
        return now - asked_at >= self.silence


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """How many sub-orders may run; 0 = no limit."""

    per_user: int = 2
    """``regards.order.max.storage.files.jobs.per.user``: running or waiting for the user's download."""
    service: int = 0
    """``regards.jobs.pool.size``: asked of storage and not settled, over all tenants."""
