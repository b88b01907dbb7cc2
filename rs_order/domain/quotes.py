"""Quotes: what an order would be, without ordering anything (faces.md 9)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

from rs_order.domain.estimates import Range, Silence, rounded_down, rounded_up
from rs_order.domain.expectations import LONGEST_TIME, Outlook
from rs_order.domain.figures import Figures
from rs_order.domain.selection import DatasetSelection
from rs_order.domain.tallies import FileTotals, Place

QuoteId = NewType("QuoteId", int)

VALID: Final = timedelta(hours=1)
"""A quote can be ordered for so long. One that isn't ready by then has failed."""
KEPT: Final = timedelta(hours=24)
MOST_PER_HOUR: Final = 30
"""Quotes of a user."""
MOST_AT_WORK: Final = 3
"""Quotes of a tenant."""
TOLERANCE: Final = 0.01
"""The share of files or bytes by which a selection may change before its quote no longer holds."""

_FIRST_INSTANT: Final = datetime(1970, 1, 1, tzinfo=UTC)


class QuoteState(StrEnum):
    """How far a quote has come."""

    AT_WORK = "at-work"
    READY = "ready"
    FAILED = "failed"


class QuoteFailure(StrEnum):
    """Why a quote couldn't be made."""

    SEARCH_REJECTED = "search-rejected"
    CATALOG_UNREACHABLE = "catalog-unreachable"
    NOT_MADE = "quote-not-made"
    """It wasn't ready in time."""


def differs(before: FileTotals, now: FileTotals) -> bool:
    """True if files or bytes differ by more than 1 % (faces.md Q-6)."""
    return any(
        abs(after - quoted) > TOLERANCE * quoted
        for quoted, after in ((before.files, now.files), (before.bytes, now.bytes))
    )


def total_of(selections: Iterable[DatasetSelection]) -> FileTotals:
    """Return the files and bytes that the catalog counts in selections, before their filters."""
    known = list(selections)
    return FileTotals(sum(one.files for one in known), sum(one.bytes for one in known))


@dataclass(frozen=True, slots=True)
class OwnerSituation:
    """What keeps an owner's next sub-orders waiting now."""

    slots_taken: int = 0
    slots_waiting: int = 0
    """Slots of sub-orders that wait for their download."""
    queued_bytes: int = 0
    """Bytes of the owner's sub-orders that storage wasn't asked for yet."""
    held: bool = False
    maintenance: bool = False

    def needs_download(self, slots: int) -> bool:
        """True if all slots are taken, at least one by a sub-order that the owner may download."""
        return 0 < slots <= self.slots_taken and self.slots_waiting > 0


def expected_time(
    outlook: Outlook, figures: Figures, owner: OwnerSituation, slots: int
) -> Range | Silence:
    """Return when storage has brought all files back, in seconds, or why nobody can say (faces.md Q-4).

    The bytes that storage was asked for come first, then those that the owner has in their queue. Files that
    storage is bringing back already aren't asked for again.
    """
    if owner.maintenance:
        return Silence.MAINTENANCE
    if owner.held:
        return Silence.HELD
    if owner.needs_download(slots):
        return Silence.DOWNLOAD_NEEDED
    if figures.processed:
        return Silence.PROCESS_RUNNING
    size = owner.queued_bytes + max(0, figures.places[Place.NEARLINE].bytes - figures.awaited.bytes)
    guess = outlook.experience.guess(outlook.awaited_bytes, size)
    found = outlook.experience.answer(guess, late=outlook.late)
    if isinstance(found, Range) and found.latest > LONGEST_TIME.total_seconds():
        return Silence.BEYOND_EXPERIENCE
    return found


def rounded_time(found: Range) -> tuple[timedelta, timedelta]:
    """Return the ends of a range as they are shown, rounded outward like expected instants (faces.md Y-8)."""
    shortest = rounded_down(_FIRST_INSTANT + timedelta(seconds=found.earliest), _FIRST_INSTANT)
    longest = rounded_up(_FIRST_INSTANT + timedelta(seconds=found.latest), _FIRST_INSTANT)
    return shortest - _FIRST_INSTANT, longest - _FIRST_INSTANT
