"""Measures operations on a large order, and their effect on another user of the tenant.

    python -m tests.benchmarks.large_deletion [--files N] [--sub-orders N] [--only NAME …]

The order is written by SQL. It is deleted, expires, is paused, resumed and cancelled, or has all its files
retried. Meanwhile another user orders one file after the other over AMQP, and lists the own orders over HTTP.
The times of this user are compared with those from just before.
"""

# ruff: noqa: T201 - a measurement prints its figures

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from rs_order.sandbox.products import Location
from rs_order.sandbox.synthetic import SyntheticDataset
from rs_order.sandbox.user_directory import User
from tests.acceptance.peer import CANCELS
from tests.benchmarks.deployment import TENANT, Deployment, running_deployment
from tests.benchmarks.large_orders import OWNER, large_order, watched_locks

OTHER = "other@example.org"
BEFORE_SECONDS = 20
_EXPIRE = """
insert into rs_order.outbox (partition, kind, tenant, body, message_id, due_at)
select 0, 'STEP', '{tenant}', json_build_object('step', 'expire-order', 'orderId', {order})::text,
       gen_random_uuid(), now()
"""
LONGEST_SECONDS = 1800


@dataclass
class Times:
    """Waiting times of the other user in milliseconds."""

    ordered: list[float] = field(default_factory=list)
    """From the request to DONE."""
    listed: list[float] = field(default_factory=list)
    """``GET /user/orders``."""

    def compared_with(self, before: "Times") -> str:
        return (
            f"    order to DONE:    {_figures(self.ordered, before.ordered)}\n"
            f"    GET /user/orders: {_figures(self.listed, before.listed)}"
        )


def _figures(during: list[float], before: list[float]) -> str:
    def three(values: list[float]) -> tuple[float, float, float]:
        return statistics.median(values), statistics.quantiles(values, n=20)[18], max(values)

    names = ("p50", "p95", "max")
    described = [
        f"{name} {one:.0f} ms (before {other:.0f}, x{one / other:.1f})"
        for name, one, other in zip(names, three(during), three(before), strict=True)
    ]
    return f"{', '.join(described)}, {len(during)} times"


class OtherUser:
    """Orders and lists orders in a loop; the files are external, so that only the service takes time."""

    def __init__(self, deployment: Deployment, client: httpx.AsyncClient) -> None:
        self._deployment = deployment
        self._client = client
        self.times = Times()

    async def order(self) -> None:
        while True:
            began = time.monotonic()
            correlation_id = await self._deployment.peer.order(
                'providerId:"SYN_SMALL_0000001"', user=OTHER
            )
            final = await self._deployment.peer.until_final(correlation_id, seconds=600)
            self.times.ordered.append(1000 * (final.at - began))
            await asyncio.sleep(0.05)

    async def list_orders(self) -> None:
        while True:
            began = time.monotonic()
            (await self._client.get("/user/orders?page=0&size=20")).raise_for_status()
            self.times.listed.append(1000 * (time.monotonic() - began))
            await asyncio.sleep(0.05)


@dataclass
class Measurement:
    """A deployment with the other user at work."""

    deployment: Deployment
    owner: httpx.AsyncClient
    other: OtherUser
    files: int
    sub_orders: int

    async def large(self, status: OrderStatus, sub_orders: SubOrderState, files: FileState) -> int:
        order = await large_order(
            self.deployment, status, sub_orders, files, files=self.files, sub_orders=self.sub_orders
        )
        self.other.times = Times()
        await asyncio.sleep(BEFORE_SECONDS)
        return order

    async def act(
        self, what: str, begin: Callable[[], Awaitable[None]], end: str, step: str
    ) -> None:
        """Start an operation, wait until a query is true, and print the figures."""
        before, self.other.times = self.other.times, Times()
        self.deployment.log.clear()
        async with watched_locks(self.deployment) as locks:
            began = time.monotonic()
            await begin()
            called = time.monotonic()
            async with asyncio.timeout(LONGEST_SECONDS):
                while not await self.deployment.execute(end):  # noqa: ASYNC110 - another process does it
                    await asyncio.sleep(0.1)
            ended = time.monotonic()
            if ended - began < BEFORE_SECONDS:
                await asyncio.sleep(1)
        print(
            f"{what}: the call took {1000 * (called - began):.0f} ms, all of it {ended - began:.1f} s\n"
            f"    {locks}\n    {self._steps(step)}\n{self.other.times.compared_with(before)}",
            flush=True,
        )
        self.other.times = before

    def _steps(self, name: str) -> str:
        """Describe the duration of the steps with a name, from the log of the service."""
        lines = [json.loads(line) for line in self.deployment.log if line.startswith(b"{")]
        took = [line["ms"] for line in lines if line.get("step") == name and "ms" in line]
        if not took:
            return f"no step {name}"
        return f"{len(took)} steps {name}, {statistics.mean(took):.0f} ms each, {max(took):.0f} at most"

    async def call(self, verb: str, path: str) -> None:
        (await self.owner.request(verb, path)).raise_for_status()


async def deletion(at: Measurement) -> None:
    order = await at.large(OrderStatus.DONE, SubOrderState.WAITING, FileState.AVAILABLE)
    await at.act(
        "deleted over HTTP",
        lambda: at.call("DELETE", f"/user/orders/{order}"),
        _deleted(order),
        "delete-files",
    )


async def expiry(at: Measurement) -> None:
    """Let the expiry step of the order fall due."""
    order = await at.large(OrderStatus.DONE, SubOrderState.WAITING, FileState.AVAILABLE)

    async def expire() -> None:
        await at.deployment.execute(
            f"update orders set expires_at = now() where id = {order} returning 1",  # noqa: S608 - a number
            _EXPIRE.format(tenant=TENANT, order=order),
        )

    await at.act("expired", expire, _deleted(order), "delete-files")


async def pause_and_cancel(at: Measurement) -> None:
    """Storage never answers, so that the order keeps running until it is cancelled."""
    at.deployment.sandbox.faults.silence = True
    order = await at.large(OrderStatus.RUNNING, SubOrderState.RUNNING, FileState.PENDING)

    def running(count: str) -> str:
        return (
            f"select count(*) {count} from sub_order"  # noqa: S608 - a number
            f" where order_id = {order} and state = 'RUNNING'"
        )

    await at.act(
        "paused", lambda: at.call("PUT", f"/user/orders/pause/{order}"), running("= 0"), "schedule"
    )
    await at.act(
        "resumed",
        lambda: at.call("PUT", f"/user/orders/resume/{order}"),
        running(f"= {at.sub_orders}"),
        "schedule",
    )
    body = json.dumps({"orderId": order, "correlationId": "cancel"}).encode()
    await at.act(
        "cancelled over AMQP",
        lambda: at.deployment.peer.send(CANCELS, body),
        _deleted(order),
        "delete-files",
    )
    at.deployment.sandbox.faults.silence = False


async def retry(at: Measurement) -> None:
    at.deployment.sandbox.faults.silence = True
    order = await at.large(OrderStatus.FAILED, SubOrderState.ENDED, FileState.ERROR)
    await at.act(
        "retried",
        lambda: at.call("PUT", f"/user/orders/{order}/retry"),
        f"select not exists (select from retry where order_id = {order})",  # noqa: S608 - a number
        "retry-order",
    )


VARIANTS = {
    "deletion": deletion,
    "expiry": expiry,
    "pause": pause_and_cancel,
    "retry": retry,
}


def _deleted(order: int) -> str:
    return (
        f"select not exists (select from data_file where order_id = {order})"  # noqa: S608 - a number
        f" and not exists (select from sub_order where order_id = {order})"
        f" and exists (select from orders where id = {order} and status in ('DELETED', 'EXPIRED'))"
    )


async def measure(files: int, sub_orders: int, names: list[str]) -> None:
    small = SyntheticDataset(name="SMALL", products=1, location=Location.EXTERNAL)
    async with (
        running_deployment(
            small, max_storage_files_jobs_per_user=0, log_level="info"
        ) as deployment,
        deployment.client(OWNER) as owner,
        deployment.client(OTHER) as client,
    ):
        deployment.sandbox.directory.put(User(email=OTHER))
        async with _at_work(OtherUser(deployment, client)) as other:
            for name in names:
                await VARIANTS[name](Measurement(deployment, owner, other, files, sub_orders))
        print(f"resident: {deployment.highest_resident_mib():.0f} MiB at most")
        deployment.log.clear()


@asynccontextmanager
async def _at_work(other: OtherUser) -> AsyncIterator[OtherUser]:
    """Let the other user work during the block; an error of that work fails the measurement."""
    async with asyncio.TaskGroup() as tasks:
        busy = [tasks.create_task(other.order()), tasks.create_task(other.list_orders())]
        yield other
        for task in busy:
            task.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--sub-orders", type=int, default=200)
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.files, arguments.sub_orders, arguments.only))
