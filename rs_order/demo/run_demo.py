"""Run the whole demo: start the platform, run every case, stop everything."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from rs_order.demo.archive import Archive, read_archive
from rs_order.demo.case_runner import CaseRunner
from rs_order.demo.cases import Case, Outcome, Plan, plan_for
from rs_order.demo.console_scene import BROKEN_FILES
from rs_order.demo.demo_platform import Platform, running_platform
from rs_order.demo.report import Report
from rs_order.demo.restore_history import played_history, played_hours


@dataclass(frozen=True, slots=True)
class Options:
    archive: Path
    nearline_seconds: float = 2.0
    """The time that a file needs to come back from tape."""
    faults: Sequence[str] = ()
    """Faults of the sandbox, as ``rs-order sandbox --fault`` takes them."""
    response_timeout: float = 120.0
    """Seconds to wait for each response."""
    eodag: Path | None = None
    """A Python that has eodag; None: there is none."""

    @property
    def for_sandbox(self) -> list[str]:
        return [
            f"--nearline-seconds={self.nearline_seconds}",
            *(f"--fault={fault}" for fault in self.faults),
        ]


async def run_demo(options: Options, console: Console) -> bool:
    """Run the demo and return True if all cases pass.

    Raises:
        ServersError, DemoError: the demo can't run; the text says what to do.
        BrokerUnavailable: the connection to the broker was lost.
    """
    plan = plan_for(read_archive(options.archive), has_eodag=options.eodag is not None)
    with Report(console) as report:
        report.introduction(options.archive)
        async with running_platform(
            options.archive,
            report,
            sub_order_bytes=plan.sub_order_bytes,
            history=played_history(
                datetime.now(UTC), seconds=options.nearline_seconds, size=plan.sub_order_bytes
            ),
            sandbox_options=options.for_sandbox,
            eodag=options.eodag,
        ) as platform:
            outcomes = await platform.service.alive_during(
                _run_cases(plan, platform, report, options.response_timeout)
            )
            passed = not any(outcome.problems for outcome in outcomes)
            if not passed:
                report.warnings(platform.service.warnings)
        report.summary(outcomes, len(plan.cases) - len(outcomes))
    return passed


async def show_console(options: Options, console: Console) -> None:
    """Prepare orders in every state and dead letters, print where the console is, and run until cancelled.

    Raises:
        ServersError, DemoError: the demo can't run; the text says what to do.
        BrokerUnavailable: the connection to the broker was lost.
    """
    with Report(console) as report:
        async with prepared_console(options, report) as platform:
            report.line(CONSOLE.format(address=platform.scene.address))
            await platform.service.alive_during(asyncio.Event().wait())


@asynccontextmanager
async def prepared_console(options: Options, report: Report) -> AsyncIterator[Platform]:
    """Run a platform whose console has something to show."""
    archive = read_archive(options.archive)
    plan = plan_for(archive)
    async with running_platform(
        options.archive,
        report,
        sub_order_bytes=plan.sub_order_bytes,
        history=played_history(
            datetime.now(UTC), seconds=options.nearline_seconds, size=plan.sub_order_bytes
        ),
        hours=played_hours(datetime.now(UTC)),
        sandbox_options=options.for_sandbox,
        slots=CONSOLE_SLOTS,
    ) as platform:
        with report.stage("Orders"):
            await platform.service.alive_during(platform.scene.prepare(_broken(archive)))
            for body in UNREADABLE:
                await platform.orders.publish(body)
        yield platform


CONSOLE_SLOTS = 6
"""Some orders of the scene keep a slot until they are downloaded."""
UNREADABLE = (
    b'{"correlationId": "night-run-17", "user": "jane@example.org", "queries": "productId:EVE_01"}',
    b'{"correlationId": "night-run-18", "queries": ["productId:EVE_02"], "user": {"email": "jane"}}',
)
"""Order requests that break the contract, so that they become dead letters."""
CONSOLE = """\
The console is at {address}
  project: demo    e-mail: jane@example.org     password: orbit    a user with orders
  project: demo    e-mail: admin@example.org    password: orbit    an administrator
Ctrl-C stops everything."""


def _broken(archive: Archive) -> list[str]:
    """Return the checksums of all files of one order of the scene, and of one of another."""
    named = {
        file.name: file
        for one in archive.datasets
        for product in one.products
        for file in product.files
    }
    return [file.md5 for name, file in sorted(named.items()) if name.startswith(BROKEN_FILES)]


async def _run_cases(
    plan: Plan, platform: Platform, report: Report, response_timeout: float
) -> list[Outcome]:
    runner = CaseRunner(platform, report, response_timeout=response_timeout)
    outcomes = []
    with report.waiting("cases", total=len(plan.cases)) as advance:
        for case in plan.cases:
            if isinstance(case, Case):
                report.begin(case)
                outcomes.append(await runner.run(case))
                report.end(outcomes[-1])
            else:
                report.skipped(case)
            advance(1)
    return outcomes
