"""An order of the demo: it is placed, followed to its end, and its files are checked."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from uuid import uuid4

from rs_order.contracts.order_messages import OrderRequest, OrderResponse, ResponseStatus
from rs_order.demo.cases import Case, Delivery, Outcome
from rs_order.demo.demo_platform import Platform
from rs_order.demo.errors import DemoError
from rs_order.demo.order_client import PlacedOrder, TimedResponse
from rs_order.demo.progress_client import OrderProgress
from rs_order.demo.report import Report
from rs_order.demo.zip_verification import NOTICE, Entry, differences


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The platform, the report and the time limit that all orders of the demo share."""

    platform: Platform
    report: Report
    response_timeout: float
    """Seconds to wait for each response."""


class FollowedOrder:
    """An order of a user, whose outcome is noted and shown as it goes on."""

    def __init__(
        self, surroundings: Surroundings, placed: PlacedOrder, user: str, outcome: Outcome
    ) -> None:
        self._platform = surroundings.platform
        self._report = surroundings.report
        self._response_timeout = surroundings.response_timeout
        self._placed = placed
        self._user = user
        self._outcome = outcome

    @classmethod
    async def place(
        cls, surroundings: Surroundings, query: str, user: str, outcome: Outcome
    ) -> Self:
        """Place the order of the outcome's case, with a query of its own."""
        request = _request(outcome.case, query, user)
        placed = await surroundings.platform.orders.place(request)
        return cls(surroundings, placed, user, outcome)

    async def responses(self) -> AsyncIterator[OrderResponse]:
        """Yield each further response, up to the final one.

        Raises:
            TimeoutError: no response came in time.
        """
        async for timed in self._placed.responses(self._response_timeout):
            self._record(timed)
            yield timed.response

    async def progress(self, code: str) -> OrderProgress:
        """Wait until this is the reason why the order isn't further, show it, and return the progress.

        Raises:
            TimeoutError: it didn't become the reason in time.
            DemoError: the order was rejected, or the service gave no progress.
        """
        first = await anext(self.responses())
        if first.order_id is None:
            raise DemoError(f"An order without problems was rejected: {first.message}")
        async with asyncio.timeout(self._response_timeout):
            found = await self._platform.progress.until(first.order_id, self._user, code)
        self._report.progress(self._user, found)
        return found

    async def receive(
        self, expected: Delivery, when_first_ready: Callable[[], Awaitable[None]] | None = None
    ) -> datetime:
        """Download the files as they become ready, compare them, and return when the order ended.

        Args:
            expected: what the order must bring.
            when_first_ready: is called once, before the first download.

        Raises:
            TimeoutError: no response came in time.
            DownloadFailed: a zip could not be downloaded.
        """
        entries: list[Entry] = []
        sub_orders = 0
        with self._report.waiting("waiting for files", total=len(expected.files)) as advance:
            async for response in self.responses():
                if response.status is ResponseStatus.SUBORDER_DONE:
                    sub_orders += 1
                    if sub_orders == 1 and when_first_ready is not None:
                        await when_first_ready()
                if response.download_link is not None:
                    zipped = await self._download(response.download_link)
                    entries += zipped
                    advance(len(zipped))
        ended_at = datetime.now(UTC)
        self._compare_end(response, expected, sub_orders)
        self._outcome.problems.extend(differences(expected.files, entries))
        return ended_at

    async def _download(self, link: str) -> list[Entry]:
        began = time.monotonic()
        with self._report.waiting("downloading"):
            if self._outcome.case.is_cut:
                entries = await self._resume(link)
            else:
                entries = await self._platform.zips.download(link, self._user)
        seconds = time.monotonic() - began
        self._outcome.downloading += seconds
        files = [entry for entry in entries if entry.name != NOTICE]
        size = sum(entry.size for entry in files)
        self._outcome.files += len(files)
        self._outcome.size += size
        if entries:
            self._report.downloaded(len(files), size, seconds)
        return entries

    async def _resume(self, link: str) -> list[Entry]:
        """Download an archive with a cut, and compare its bytes with those of a download without one."""
        resumed = await self._platform.archives.download(link, self._user)
        if resumed is None:
            return []
        self._report.resumed(resumed)
        if resumed.sha256 != resumed.sha256_uncut:
            self._outcome.problems.append("the resumed archive has other bytes than an uncut one")
        return resumed.entries

    def _record(self, timed: TimedResponse) -> None:
        outcome = self._outcome
        self._report.response(timed)
        if outcome.first_response is None:
            outcome.first_response = timed.seconds
        if timed.response.status is ResponseStatus.SUBORDER_DONE and outcome.first_ready is None:
            outcome.first_ready = timed.seconds
        if timed.is_final:
            outcome.final = timed.seconds

    def _compare_end(self, final: OrderResponse, expected: Delivery, sub_orders: int) -> None:
        problems = self._outcome.problems
        if final.status is not ResponseStatus.DONE:
            problems.append(f"the order ended {final.status}: {final.message}")
        wanted = expected.sub_orders
        if wanted is not None and (sub_orders, final.total_sub_orders) != (wanted, wanted):
            problems.append(
                f"{sub_orders} of {final.total_sub_orders} sub-orders were done instead of {wanted}"
            )


def _request(case: Case, query: str, user: str) -> OrderRequest:
    filters = {"dataTypes": list(case.kinds), "filenameRegExp": case.name_pattern}
    return OrderRequest.model_validate(
        {
            "correlationId": f"demo-{uuid4()}",
            "user": user,
            "queries": [query],
            "filters": filters if case.kinds else None,
            "sizeLimitInBytes": case.size_limit,
        }
    )
