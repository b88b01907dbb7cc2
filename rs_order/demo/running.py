"""The demo from its first line to its last."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from rs_order.demo.archive import read_archive
from rs_order.demo.cases import Case, Plan, plan_for
from rs_order.demo.following import Follower
from rs_order.demo.outcome import Outcome
from rs_order.demo.platform import Platform, running_platform
from rs_order.demo.report import Report


@dataclass(frozen=True, slots=True)
class Options:
    archive: Path
    nearline_seconds: float = 2.0
    """How long a file takes to come back from tape."""
    faults: Sequence[str] = ()
    """What goes wrong, as ``rs-order sandbox --fault`` takes it."""
    patience_seconds: float = 120.0
    """How long to wait for each response."""

    @property
    def for_sandbox(self) -> list[str]:
        return [
            f"--nearline-seconds={self.nearline_seconds}",
            *(f"--fault={fault}" for fault in self.faults),
        ]


async def run_demo(options: Options, console: Console) -> bool:
    """Start everything, do every case, end everything; whether all of it held.

    Raises:
        ServersError, DemoError: the demo can't be given; the text says what to do.
        BrokerAway: the broker went away.
    """
    plan = plan_for(read_archive(options.archive))
    with Report(console) as report:
        report.line(f"Archive: {options.archive}")
        async with running_platform(
            options.archive,
            report,
            bucket_bytes=plan.bucket_bytes,
            sandbox_options=options.for_sandbox,
        ) as platform:
            outcomes = await platform.service.alive_during(
                _do_cases(plan, platform, report, options.patience_seconds)
            )
            held = not any(outcome.problems for outcome in outcomes)
            if not held:
                _tell_complaints(platform, report)
        report.summary(outcomes, len(plan.cases) - len(outcomes))
    return held


async def _do_cases(
    plan: Plan, platform: Platform, report: Report, patience_seconds: float
) -> list[Outcome]:
    follower = Follower(
        platform.peer,
        platform.zips,
        platform.sandbox,
        report,
        patience_seconds=patience_seconds,
    )
    outcomes = []
    with report.waiting("cases", total=len(plan.cases)) as advance:
        for case in plan.cases:
            if isinstance(case, Case):
                report.begin(case)
                outcomes.append(await follower.follow(case))
                report.end(outcomes[-1])
            else:
                report.skipped(case)
            advance(1)
    return outcomes


def _tell_complaints(platform: Platform, report: Report) -> None:
    if platform.service.complaints:
        report.line("\nThe service's last warnings:")
    for line in platform.service.complaints:
        report.line(f"  {line}", "dim")
