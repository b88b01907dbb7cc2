"""Builds what numbers events and what reads them."""

from collections.abc import Callable
from dataclasses import dataclass

from rs_order.core.links import Links
from rs_order.events.feed import EventFeed
from rs_order.events.numbering import EventNumbering
from rs_order.ports import Clock, Written
from rs_order.settings import Settings
from rs_order.store.events import EventLog
from rs_order.store.pool import Pool


@dataclass(frozen=True, slots=True)
class EventParts:
    """The log of events, what numbers it, and what waits for it."""

    log: EventLog
    numbering: EventNumbering
    feed: EventFeed

    @classmethod
    def of(
        cls,
        settings: Settings,
        pool: Pool,
        links: Links,
        clock: Clock,
        committed: Callable[[Written], None] = lambda _: None,
    ) -> "EventParts":
        """Build the parts. ``committed``: called after each commit that wrote to the outbox."""
        log = EventLog(pool, committed, published=settings.events_amqp)
        numbering = EventNumbering(log, links, prefix=settings.events_type_prefix)
        feed = EventFeed(log, numbering.number, clock)
        numbering.watch(feed.numbered)
        return cls(log, numbering, feed)
