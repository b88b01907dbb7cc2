"""Holds the results of a run, and writes them as text."""

from collections import Counter
from dataclasses import dataclass, field

from tests.fault_run.plan import Plan


@dataclass(frozen=True)
class Injected:
    """A fault as it really was."""

    kind: str
    instance: int
    began: float
    """Seconds after the first order, as ``ended``."""
    ended: float


@dataclass
class Report:
    plan: Plan
    injected: list[Injected] = field(default_factory=list)
    done: list[tuple[float, int]] = field(default_factory=list)
    """The number of orders that were done, by the seconds after the start."""
    seconds: float = 0.0
    """Until everything was final and checked."""
    starts: list[int] = field(default_factory=list)
    """The number of starts of each instance."""
    repeated: int = 0
    """Responses that came more than once, with the same message id."""
    differences: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    """Warnings and errors of the instances."""

    @property
    def kinds(self) -> dict[str, int]:
        return dict(Counter(one.kind for one in self.injected))


def summary(report: Report, seconds: float) -> str:
    kinds = ", ".join(
        f"{kind} x{count}" if count > 1 else kind for kind, count in sorted(report.kinds.items())
    )
    lines = [
        f"| Seed | {report.plan.seed} |",
        f"| Result | {'FAILED' if report.differences else 'passed'} |",
        f"| Orders done | {report.done[-1][1]} of {len(report.plan.orders)} |",
        f"| Everything final after | {report.seconds:.0f} s ({seconds:.0f} s with the servers) |",
        f"| Starts of the instances | {', '.join(map(str, report.starts))} |",
        f"| Responses received again | {report.repeated} |",
        f"| Injected | {kinds} |",
    ]
    if report.differences:
        lines += [failure(report)]
    return "\n".join(lines)


def failure(report: Report) -> str:
    """Return all that is needed to understand a failed run."""
    return "\n".join(
        [
            f"seed {report.plan.seed} failed. It injected:",
            *(
                f"  {one.began:6.1f} s to {one.ended:6.1f} s  {one.kind} (instance {one.instance})"
                for one in sorted(report.injected, key=lambda one: one.began)
            ),
            "What differs:",
            *(f"  {one}" for one in report.differences),
            "Warnings and errors of the instances:",
            *(f"  {line[:600]}" for line in report.logs[-200:]),
        ]
    )
