"""Run a case: place its order, follow it to its end, download its files, and check the result."""

import time
from collections.abc import Callable
from uuid import uuid4

from rs_order.contracts.order_messages import OrderRequest, OrderResponse, ResponseStatus
from rs_order.demo.cases import Case, Delivery, Outcome, Rejection
from rs_order.demo.demo_platform import Platform
from rs_order.demo.order_client import PlacedOrder, TimedResponse
from rs_order.demo.report import Report
from rs_order.demo.zip_verification import NOTICE, DownloadFailed, Entry, differences


class CaseRunner:
    """Runs the cases of the demo one after the other, each for a user of its own.

    Sub-orders that a user has not downloaded delay the next ones of this user, so cases must not share one.
    """

    def __init__(self, platform: Platform, report: Report, *, response_timeout: float) -> None:
        self._platform = platform
        self._report = report
        self._response_timeout = response_timeout

    async def run(self, case: Case) -> Outcome:
        """Run a case and return its outcome, which holds the problems found."""
        outcome = Outcome(case)
        user = f"{case.name.replace(' ', '.')}@demo.example"
        if case.user_is_known:
            await self._platform.sandbox.add_user(user)
        try:
            match case.expected:
                case Delivery():
                    await self._check_delivery(case.expected, user, outcome)
                case Rejection():
                    await self._check_rejection(case.expected, user, outcome)
        except TimeoutError:
            outcome.problems.append(f"no response for {self._response_timeout:g} s")
        except DownloadFailed as error:
            outcome.problems.append(str(error))
        return outcome

    async def _check_rejection(self, expected: Rejection, user: str, outcome: Outcome) -> None:
        placed = await self._platform.orders.place(_request(outcome.case, user))
        with self._report.waiting("waiting for the rejection"):
            async for timed in placed.responses(self._response_timeout):
                self._record(timed, outcome)
                _compare_rejection(timed.response, expected, outcome)

    async def _check_delivery(self, expected: Delivery, user: str, outcome: Outcome) -> None:
        earlier = len(await self._platform.sandbox.restore_requests())
        placed = await self._platform.orders.place(_request(outcome.case, user))
        with self._report.waiting("waiting for files", total=len(expected.files)) as advance:
            entries = await self._download_when_ready(placed, user, outcome, advance, earlier)
        outcome.problems.extend(differences(expected.files, entries))

    async def _download_when_ready(
        self,
        placed: PlacedOrder,
        user: str,
        outcome: Outcome,
        advance: Callable[[float], None],
        earlier: int,
    ) -> list[Entry]:
        """Download at each response that has a link: further sub-orders wait for the download."""
        entries: list[Entry] = []
        sub_orders = 0
        async for timed in placed.responses(self._response_timeout):
            self._record(timed, outcome)
            response = timed.response
            if response.status is ResponseStatus.SUBORDER_DONE:
                sub_orders += 1
                if sub_orders == 1:
                    await self._check_that_others_wait(outcome, earlier)
            if response.download_link is not None:
                zipped = await self._download(response.download_link, user, outcome)
                entries += zipped
                advance(len(zipped))
        _compare_end(response, sub_orders, outcome)
        return entries

    async def _download(self, link: str, user: str, outcome: Outcome) -> list[Entry]:
        began = time.monotonic()
        with self._report.waiting("downloading"):
            entries = await self._platform.zips.download(link, user)
        seconds = time.monotonic() - began
        outcome.downloading += seconds
        files = [entry for entry in entries if entry.name != NOTICE]
        size = sum(entry.size for entry in files)
        outcome.files += len(files)
        outcome.size += size
        if entries:
            self._report.downloaded(len(files), size, seconds)
        return entries

    async def _check_that_others_wait(self, outcome: Outcome, earlier: int) -> None:
        """Check that before the first download storage has not been asked for all sub-orders."""
        expected = outcome.case.expected
        if not isinstance(expected, Delivery) or expected.sub_orders is None:
            return
        requests = (await self._platform.sandbox.restore_requests())[earlier:]
        requested = frozenset[str]().union(*requests)
        wanted = {file.md5 for file in expected.files.values()}
        before = len(wanted & requested)
        self._report.line(
            f"  rs_order has asked storage for {before} of {len(wanted)} files so far"
        )
        if before == len(wanted):
            outcome.problems.append("storage was asked for all files before the first download")

    def _record(self, timed: TimedResponse, outcome: Outcome) -> None:
        self._report.response(timed)
        if outcome.first_response is None:
            outcome.first_response = timed.seconds
        if timed.response.status is ResponseStatus.SUBORDER_DONE and outcome.first_ready is None:
            outcome.first_ready = timed.seconds
        if timed.is_final:
            outcome.final = timed.seconds


def _request(case: Case, user: str) -> OrderRequest:
    filters = {"dataTypes": list(case.kinds), "filenameRegExp": case.name_pattern}
    return OrderRequest.model_validate(
        {
            "correlationId": f"demo-{uuid4()}",
            "user": user,
            "queries": [case.query],
            "filters": filters if case.kinds else None,
            "sizeLimitInBytes": case.size_limit,
        }
    )


def _compare_rejection(response: OrderResponse, expected: Rejection, outcome: Outcome) -> None:
    if (response.status, response.error_type) != (expected.status, expected.error_type):
        outcome.problems.append(
            f"the response is {response.status} {response.error_type} instead of "
            f"{expected.status} {expected.error_type}"
        )


def _compare_end(final: OrderResponse, sub_orders: int, outcome: Outcome) -> None:
    expected = outcome.case.expected
    if final.status is not ResponseStatus.DONE:
        outcome.problems.append(f"the order ended {final.status}: {final.message}")
    wanted = expected.sub_orders if isinstance(expected, Delivery) else None
    if wanted is not None and (sub_orders, final.total_sub_orders) != (wanted, wanted):
        outcome.problems.append(
            f"{sub_orders} of {final.total_sub_orders} sub-orders were done instead of {wanted}"
        )
