"""Places one order, follows it to its end, fetches its files, and judges what came of it."""

import time
from collections.abc import Callable
from uuid import uuid4

from rs_order.contracts.order_request import OrderRequest
from rs_order.contracts.order_response import OrderResponse, ResponseStatus
from rs_order.demo.cases import Case, Delivery, Refusal
from rs_order.demo.outcome import Outcome
from rs_order.demo.peer import Heard, Peer, Placed
from rs_order.demo.report import Report
from rs_order.demo.sandbox_control import SandboxControl
from rs_order.demo.zips import NOTICE, DownloadFailed, Entry, Zips, differences


class Follower:
    """Does the cases of the demo, one at a time, each for a user of its own.

    A user's unfetched sub-orders hold back the next ones, so cases must not share a user.
    """

    def __init__(
        self,
        peer: Peer,
        zips: Zips,
        sandbox: SandboxControl,
        report: Report,
        *,
        patience_seconds: float,
    ) -> None:
        self._peer = peer
        self._zips = zips
        self._sandbox = sandbox
        self._report = report
        self._patience = patience_seconds

    async def follow(self, case: Case) -> Outcome:
        """Do a case; what doesn't hold is in the outcome."""
        outcome = Outcome(case)
        user = f"{case.name.replace(' ', '.')}@demo.example"
        if case.user_is_known:
            await self._sandbox.add_user(user)
        try:
            match case.expected:
                case Delivery():
                    await self._delivery(case.expected, user, outcome)
                case Refusal():
                    await self._refusal(case.expected, user, outcome)
        except TimeoutError:
            outcome.problems.append(f"no response for {self._patience:g} s")
        except DownloadFailed as error:
            outcome.problems.append(str(error))
        return outcome

    async def _refusal(self, expected: Refusal, user: str, outcome: Outcome) -> None:
        placed = await self._peer.order(_request(outcome.case, user))
        with self._report.waiting("waiting for the refusal"):
            async for heard in placed.responses(self._patience):
                self._note(heard, outcome)
                _judge_refusal(heard.response, expected, outcome)

    async def _delivery(self, expected: Delivery, user: str, outcome: Outcome) -> None:
        earlier = len(await self._sandbox.restore_requests())
        placed = await self._peer.order(_request(outcome.case, user))
        with self._report.waiting("waiting for files", total=len(expected.files)) as advance:
            entries = await self._fetch_as_told(placed, user, outcome, advance, earlier)
        outcome.problems.extend(differences(expected.files, entries))

    async def _fetch_as_told(
        self,
        placed: Placed,
        user: str,
        outcome: Outcome,
        advance: Callable[[float], None],
        earlier: int,
    ) -> list[Entry]:
        """Fetch what is ready whenever a response says so; the order doesn't go on before."""
        entries: list[Entry] = []
        sub_orders = 0
        async for heard in placed.responses(self._patience):
            self._note(heard, outcome)
            response = heard.response
            if response.status is ResponseStatus.SUBORDER_DONE:
                sub_orders += 1
                if sub_orders == 1:
                    await self._judge_gate(outcome, earlier)
            if response.download_link is not None:
                zipped = await self._download(response.download_link, user, outcome)
                entries += zipped
                advance(len(zipped))
        _judge_end(response, sub_orders, outcome)
        return entries

    async def _download(self, link: str, user: str, outcome: Outcome) -> list[Entry]:
        began = time.monotonic()
        with self._report.waiting("downloading"):
            entries = await self._zips.download(link, user)
        seconds = time.monotonic() - began
        outcome.downloading += seconds
        files = [entry for entry in entries if entry.name != NOTICE]
        size = sum(entry.size for entry in files)
        outcome.files += len(files)
        outcome.size += size
        if entries:
            self._report.downloaded(len(files), size, seconds)
        return entries

    async def _judge_gate(self, outcome: Outcome, earlier: int) -> None:
        """Before the first download storage must not have been asked for all sub-orders."""
        expected = outcome.case.expected
        if not isinstance(expected, Delivery) or expected.sub_orders is None:
            return
        requests = (await self._sandbox.restore_requests())[earlier:]
        asked = frozenset[str]().union(*requests)
        wanted = {file.md5 for file in expected.files.values()}
        before = len(wanted & asked)
        self._report.line(f"  {before} of {len(wanted)} files asked of storage so far")
        if before == len(wanted):
            outcome.problems.append("all files were asked of storage before the first download")

    def _note(self, heard: Heard, outcome: Outcome) -> None:
        self._report.response(heard)
        if outcome.first_answer is None:
            outcome.first_answer = heard.seconds
        if heard.response.status is ResponseStatus.SUBORDER_DONE and outcome.first_ready is None:
            outcome.first_ready = heard.seconds
        if heard.is_final:
            outcome.final = heard.seconds


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


def _judge_refusal(response: OrderResponse, expected: Refusal, outcome: Outcome) -> None:
    if (response.status, response.error_type) != (expected.status, expected.error_type):
        outcome.problems.append(
            f"{response.status} {response.error_type} instead of {expected.status} "
            f"{expected.error_type}"
        )


def _judge_end(final: OrderResponse, sub_orders: int, outcome: Outcome) -> None:
    expected = outcome.case.expected
    if final.status is not ResponseStatus.DONE:
        outcome.problems.append(f"it ended {final.status}: {final.message}")
    wanted = expected.sub_orders if isinstance(expected, Delivery) else None
    if wanted is not None and (sub_orders, final.total_sub_orders) != (wanted, wanted):
        outcome.problems.append(
            f"{sub_orders} sub-orders of {final.total_sub_orders}, where there must be {wanted}"
        )
