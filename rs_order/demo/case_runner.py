"""Run a case: place its order, or orders, and check that the result is the one that it must have."""

import asyncio
import time
from collections.abc import Sequence

from rs_order.contracts.order_messages import OrderResponse
from rs_order.demo.cases import ByEodag, Case, Delivery, Heard, Outcome, Rejection, Turns
from rs_order.demo.demo_platform import TENANT, Platform
from rs_order.demo.followed_order import FollowedOrder, Surroundings
from rs_order.demo.report import Report
from rs_order.demo.webhook_receiver import HeardEvent
from rs_order.demo.zip_verification import DownloadFailed

HEARD_LAST = ("order.done", "order.downloaded")
"""Events that an order has when its files are downloaded."""


class CaseRunner:
    """Runs the cases of the demo one after the other, each for a user of its own.

    Sub-orders that a user has not downloaded delay the next ones of this user, so cases must not share one.
    """

    def __init__(self, platform: Platform, report: Report, *, response_timeout: float) -> None:
        self._surroundings = Surroundings(platform, report, response_timeout)
        self._sandbox = platform.sandbox
        self._report = report

    async def run(self, case: Case) -> Outcome:
        """Run a case and return its outcome, which holds the problems found."""
        outcome = Outcome(case)
        user = f"{case.name.replace(' ', '.')}@demo.example"
        if case.user_is_known:
            await self._sandbox.add_user(user)
        try:
            match case.expected:
                case Delivery():
                    await self._check_delivery(case.expected, user, outcome)
                case Rejection():
                    await self._check_rejection(case.expected, user, outcome)
                case Heard():
                    await self._check_heard(case.expected, user, outcome)
                case Turns():
                    await self._check_turns(case.expected, user, outcome)
                case ByEodag():
                    await self._check_eodag(case.expected, user, outcome)
        except TimeoutError:
            outcome.problems.append(f"no response for {self._surroundings.response_timeout:g} s")
        except DownloadFailed as error:
            outcome.problems.append(str(error))
        return outcome

    async def _check_rejection(self, expected: Rejection, user: str, outcome: Outcome) -> None:
        order = await self._place(outcome.case.query, user, outcome)
        with self._report.waiting("waiting for the rejection"):
            async for response in order.responses():
                _compare_rejection(response, expected, outcome)

    async def _check_delivery(self, expected: Delivery, user: str, outcome: Outcome) -> None:
        earlier = len(await self._sandbox.restore_requests())
        order = await self._place(outcome.case.query, user, outcome)

        async def check_that_others_wait() -> None:
            if expected.sub_orders is not None:
                await self._check_that_others_wait(expected, outcome, earlier)

        await order.receive(expected, check_that_others_wait)

    async def _check_that_others_wait(
        self, expected: Delivery, outcome: Outcome, earlier: int
    ) -> None:
        """Check that before the first download storage has not been asked for all sub-orders."""
        requests = (await self._sandbox.restore_requests())[earlier:]
        requested = frozenset[str]().union(*requests)
        wanted = {file.md5 for file in expected.files.values()}
        before = len(wanted & requested)
        self._report.line(
            f"  rs_order has asked storage for {before} of {len(wanted)} files so far"
        )
        if before == len(wanted):
            outcome.problems.append("storage was asked for all files before the first download")

    async def _check_heard(self, expected: Heard, user: str, outcome: Outcome) -> None:
        """Show the events of an order as they come to a webhook, and check that none is missing."""
        webhooks = self._surroundings.platform.webhooks
        async with webhooks.subscribed(user, self._report.heard) as (address, receiver):
            self._report.receives(address)
            order = await self._place(outcome.case.query, user, outcome)
            await order.receive(expected.delivery)
            if outcome.problems:
                return  # an order that isn't downloaded as it must be has no last event to wait for
            with self._report.waiting("waiting for events"):
                async with asyncio.timeout(self._surroundings.response_timeout):
                    heard = await receiver.until(HEARD_LAST)
            outcome.problems += problems_of_events(heard)

    async def _check_turns(self, expected: Turns, user: str, outcome: Outcome) -> None:
        """Show why each of two users waits and when their files are expected, then let storage go on."""
        newcomer = f"newcomer.{user}"
        newcomers = Outcome(outcome.case)
        await self._sandbox.add_user(newcomer)
        async with self._sandbox.tapes_held():
            large = await self._place(outcome.case.query, user, outcome)
            large_shown = await large.progress("storage-restoring")
            small = await self._place(expected.small_query, newcomer, newcomers)
            small_shown = await small.progress("service-limit")
        large_ended, small_ended = await asyncio.gather(
            large.receive(expected.large), small.receive(expected.small)
        )
        self._report.came_true(user, large_shown, large_ended)
        self._report.came_true(newcomer, small_shown, small_ended)
        outcome.include(newcomers)
        if small_ended > large_ended:
            outcome.problems.append("the small order ended after the large one")

    async def _check_eodag(self, expected: ByEodag, user: str, outcome: Outcome) -> None:
        """Check that eodag finds, orders and downloads the product, with its own code."""
        started = time.monotonic()
        with self._report.waiting("eodag is at work"):
            found = await self._surroundings.platform.eodag.download(
                TENANT,
                user,
                expected.collection,
                expected.urn,
                self._surroundings.response_timeout,
            )
        outcome.final = time.monotonic() - started
        outcome.files, outcome.size = len(found), sum(file.size for file in expected.files.values())
        wanted = {name: file.md5 for name, file in expected.files.items()}
        self._report.line(f"  eodag has ordered and downloaded {', '.join(found)}")
        if found != wanted:
            outcome.problems.append(f"eodag downloaded {found} instead of {wanted}")

    async def _place(self, query: str, user: str, outcome: Outcome) -> FollowedOrder:
        return await FollowedOrder.place(self._surroundings, query, user, outcome)


def _compare_rejection(response: OrderResponse, expected: Rejection, outcome: Outcome) -> None:
    if (response.status, response.error_type) != (expected.status, expected.error_type):
        outcome.problems.append(
            f"the response is {response.status} {response.error_type} instead of "
            f"{expected.status} {expected.error_type}"
        )


def problems_of_events(heard: Sequence[HeardEvent]) -> list[str]:
    """Events must be signed, and come in the order of their numbers, which have no gap."""
    problems = [f"the signature of {one.name} is wrong" for one in heard if not one.is_verified]
    if [one.ordinal for one in heard] != [*range(1, len(heard) + 1)]:
        came = ", ".join(f"{one.ordinal}. {one.name}" for one in heard)
        problems.append(f"events are missing, or came in another order: {came}")
    return problems
