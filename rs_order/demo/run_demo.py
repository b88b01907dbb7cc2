"""Run the whole demo: start the platform, run every case, stop everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from rs_order.demo.archive import read_archive
from rs_order.demo.case_runner import CaseRunner
from rs_order.demo.cases import Case, Outcome, Plan, plan_for
from rs_order.demo.demo_platform import Platform, running_platform
from rs_order.demo.report import Report
from rs_order.demo.restore_history import played_history


@dataclass(frozen=True, slots=True)
class Options:
    archive: Path
    nearline_seconds: float = 2.0
    """The time that a file needs to come back from tape."""
    faults: Sequence[str] = ()
    """Faults of the sandbox, as ``rs-order sandbox --fault`` takes them."""
    response_timeout: float = 120.0
    """Seconds to wait for each response."""

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
    plan = plan_for(read_archive(options.archive))
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
        ) as platform:
            outcomes = await platform.service.alive_during(
                _run_cases(plan, platform, report, options.response_timeout)
            )
            passed = not any(outcome.problems for outcome in outcomes)
            if not passed:
                report.warnings(platform.service.warnings)
        report.summary(outcomes, len(plan.cases) - len(outcomes))
    return passed


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
