"""Carries out a plan: orders and faults at their times, then the wait for the end, then the checks."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import httpx

from rs_order.demo.servers.lifecycle import VHOSTS
from tests.fault_run.deployment import Deployment, running_deployment
from tests.fault_run.injections import INJECTIONS
from tests.fault_run.load import REQUEST_SECONDS, Customer
from tests.fault_run.peer import DurablePeer
from tests.fault_run.plan import Plan, PlannedInjection
from tests.fault_run.report import Injected, Report
from tests.fault_run.verify import differences, unfinished

CALM_SECONDS: Final = 300.0
"""The time after the last fault in which everything must become final, besides the work that is left."""
_SECONDS_OF_FILE: Final = 0.05
"""The longest time for a file on a busy machine: its restore, its event and its download."""
_SAMPLE_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.5

Say = Callable[[str], None]


class Run:
    """A run on a deployment."""

    def __init__(self, plan: Plan, deployment: Deployment, say: Say) -> None:
        self._plan = plan
        self._deployment = deployment
        self._say = say
        self._peer = DurablePeer(deployment.servers.amqp_url, VHOSTS[0])
        self._client = httpx.AsyncClient(timeout=REQUEST_SECONDS, trust_env=False)
        self._customers = [
            Customer(order, deployment, self._peer, self._client) for order in plan.orders
        ]
        self._customer_tasks: list[asyncio.Task[None]] = []
        self._targets: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._began = time.monotonic()
        self.report = Report(plan)

    async def run(self) -> Report:
        faults = self._deployment.sandbox.faults
        for customer in self._customers:
            faults.storage_errors |= {
                file.checksum: f"the tape of {file.filename} is broken"
                for file in customer.lost_files
            }
        self._began = time.monotonic()
        async with self._client, self._peer.connected(), asyncio.TaskGroup() as background:
            sampling = background.create_task(self._sample())
            self._customer_tasks = [background.create_task(one.run()) for one in self._customers]
            await self._inject_all()
            self._say(f"{self._now():6.1f} s  the last fault is lifted, waiting for the end")
            self.report.differences = await self._after_the_faults()
            sampling.cancel()
        self._complete_report()
        return self.report

    async def _inject_all(self) -> None:
        async with asyncio.TaskGroup() as injecting:
            for planned in self._plan.injections:
                injecting.create_task(self._inject(planned))

    async def _inject(self, planned: PlannedInjection) -> None:
        await asyncio.sleep(planned.at - self._now())
        injection = INJECTIONS[planned.kind]
        instance = self._deployment.instances[planned.instance]
        fault = injection.make(self._deployment, instance)
        async with self._targets[injection.kind.target]:  # one that began late may still be on
            self._say(f"{self._now():6.1f} s  {planned.kind} ({planned.seconds} s)")
            began = self._now()
            await fault.begin()
            await asyncio.sleep(planned.seconds)
            await fault.end()
        self.report.injected.append(Injected(planned.kind, planned.instance, began, self._now()))

    async def _after_the_faults(self) -> list[str]:
        """Wait until everything is final, and check it; return the differences."""
        files = sum(order.files for order in self._plan.orders)
        try:
            async with asyncio.timeout(CALM_SECONDS + files * _SECONDS_OF_FILE):
                await asyncio.gather(*self._customer_tasks)
                await self._download_failures()
                while await unfinished(self._deployment):  # noqa: ASYNC110 - other processes
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            stuck = [
                f"{one.plan}, number {one.order_id}: still {one.doing} {one.refusals[-1:]}"
                for one in self._customers
                if not one.is_done
            ]
            return [*stuck, *await unfinished(self._deployment)]
        return await differences(self._deployment, self._customers)

    async def _download_failures(self) -> None:
        """Download the files again whose download failed because of a fault."""
        for customer in self._customers:
            async with self._deployment.connection(customer.plan.tenant) as connection:
                files = await connection.fetch(
                    "select id from data_file where order_id = $1 and state = 'DOWNLOAD_ERROR'",
                    customer.order_id,
                )
            for file in files:
                await customer.fetch_file(file["id"])

    async def _sample(self) -> None:
        while True:
            done = sum(one.is_done for one in self._customers)
            self.report.done.append((self._now(), done))
            await asyncio.sleep(_SAMPLE_SECONDS)

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _complete_report(self) -> None:
        self.report.seconds = self._now()
        self.report.done.append((self._now(), sum(one.is_done for one in self._customers)))
        self.report.starts = [one.starts for one in self._deployment.instances]
        responses = [one for some in self._peer.responses.values() for one in some]
        self.report.repeated = len(responses) - len({one.message_id for one in responses})
        self.report.logs = [
            f"instance {one.number}: {line}"
            for one in self._deployment.instances
            for line in one.lines
            if '"level":"warning"' in line or '"level":"error"' in line or '"level"' not in line
        ]


async def fault_run(plan: Plan, say: Say, **settings: Any) -> Report:
    """Carry out a plan on servers of its own, and return what happened.

    Args:
        plan: what to do.
        say: receives lines about the progress.
        settings: of the service, besides the usual ones of a run.
    """
    async with running_deployment(plan, **settings) as deployment:
        say(f"{len(deployment.instances)} instances are ready")
        return await Run(plan, deployment, say).run()
