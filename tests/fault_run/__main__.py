"""The command ``scripts/fault-run``: a fault run of a seed, or of several seeds one after the other."""

# ruff: noqa: T201 - a command prints its progress

import argparse
import asyncio
import logging
import random
import signal
import sys
import time
from pathlib import Path

from tests.fault_run.deployment import MIXED
from tests.fault_run.injections import possible_kinds
from tests.fault_run.picture import picture
from tests.fault_run.plan import Plan, Size, draw
from tests.fault_run.report import Report, summary
from tests.fault_run.run import fault_run


def main() -> None:
    logging.basicConfig(level=logging.CRITICAL)  # lost connections are what a run is about
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the servers, unmounts the disk
    arguments = _arguments()
    size = Size(
        minutes=arguments.minutes,
        orders=arguments.orders,
        files=arguments.files,
        instances=arguments.instances,
    )
    first = random.SystemRandom().randrange(100_000) if arguments.seed is None else arguments.seed
    failed = []
    for seed in range(first, first + arguments.runs):
        report = _run(draw(seed, size, possible_kinds()), arguments.queues)
        if report.differences:
            failed.append(seed)
        if arguments.picture is not None:
            arguments.picture.write_text(picture(report), encoding="utf-8")
    if failed:
        sys.exit(f"failed: seed {', '.join(map(str, failed))}")


def _run(plan: Plan, queues: str) -> Report:
    print(
        f"seed {plan.seed}: {len(plan.orders)} orders of {plan.orders[0].files} files,"
        f" {len(plan.injections)} injections in {plan.seconds:.0f} s"
    )
    began = time.monotonic()
    report = asyncio.run(
        fault_run(plan, lambda line: print(f"  {line}", flush=True), queues=queues)
    )
    print(summary(report, time.monotonic() - began))
    return report


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fault-run", description=__doc__)
    parser.add_argument("--seed", type=int, help="the first seed; by default a random one")
    parser.add_argument("--runs", type=int, default=1, help="seeds in a row (default: 1)")
    parser.add_argument("--minutes", type=float, default=3, help="time with faults (default: 3)")
    parser.add_argument("--instances", type=int, default=3, help="default: 3")
    parser.add_argument("--orders", type=int, default=40, help="default: 40")
    parser.add_argument("--files", type=int, default=500, help="files of an order (default: 500)")
    parser.add_argument(
        "--queues",
        choices=("compatible", "quorum", MIXED),
        default="compatible",
        help="mixed: every second instance uses quorum, so that each start moves the queues",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write an SVG of the run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
