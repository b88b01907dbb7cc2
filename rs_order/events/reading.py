"""Reads pages of the log for requests, which may wait for the next event (faces.md E-20)."""

import asyncio
from dataclasses import dataclass
from typing import Final

from fastapi import Response

from rs_order.contracts.event_bodies import EVENTS
from rs_order.domain.ids import Tenant
from rs_order.events.feed import EventFeed
from rs_order.rest.errors import Problem
from rs_order.rest.problems import ProblemCode
from rs_order.store.events import EventFilter, EventLog, EventPage

POSITION: Final = "rs-order-position"


@dataclass(frozen=True, slots=True)
class LogReader:
    """Reads pages of the log for one request."""

    log: EventLog
    feed: EventFeed
    tenant: Tenant
    wanted: EventFilter
    limit: int

    async def read_or_wait(
        self, after: int | None, seconds: int | None
    ) -> tuple[EventPage, int | None]:
        """Return the page behind a position, and the seconds if it was waited for.

        Args:
            after: the position; None: the oldest page.
            seconds: how long an empty page is waited for; None: not at all.

        Raises:
            Problem: the events there are deleted.
        """
        page = await self._read(after)
        if page.events or not seconds:
            return page, None
        return await self._wait(page, seconds), seconds

    async def _read(self, after: int | None) -> EventPage:
        await self.feed.number_overdue(self.tenant)
        page = await self.log.page(self.tenant, self.wanted, after or 0, self.limit)
        if after is not None and after < page.purged:
            oldest = page.purged + 1
            text = f"The events before position {oldest} are deleted. Read on after {page.purged}."
            raise Problem(ProblemCode.POSITION_GONE, text, members={"oldest": str(oldest)})
        return page

    async def _wait(self, page: EventPage, seconds: float) -> EventPage:
        """Return the first page behind an empty one that has events, or an empty one after the time."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while not page.events and (left := ends - loop.time()) > 0:
            if not await self.feed.until_beyond(self.tenant, page.position, left):
                break
            page = await self._read(page.position)
        return page


def events_answer(page: EventPage, waited: int | None) -> Response:
    """Return the response with a page, and with the position behind it."""
    body = f"[{','.join(event.body for event in page.events)}]"
    answer = Response(body, media_type=EVENTS, headers={POSITION: str(page.position)})
    if waited:
        answer.headers["Preference-Applied"] = f"wait={waited}"
    return answer
