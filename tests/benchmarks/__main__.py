"""Runs benchmarks.

    python -m tests.benchmarks NAME [--quick | --size N] [--json FILE]
    python -m tests.benchmarks all [--quick]
    python -m tests.benchmarks document

A benchmark measures the service and its floor in one run, on the same durable servers, in turn. ``--quick``
ends within a minute and shows only that the benchmark works. ``--size`` is the second argument of its
function ``measure``, if it has one. ``all`` runs each benchmark in a process of its own, and writes
``docs/benchmarks.md`` with its plots; ``document`` writes them again from the results in
``docs/benchmarks/*.json``.
"""

# ruff: noqa: T201 - a benchmark prints its figures

import argparse
import importlib
import subprocess
import sys
import time
from pathlib import Path

import uvloop
from pydantic import TypeAdapter

from rs_order.logs import configure_logs
from tests.benchmarks.circumstances import circumstances, load, peak_mib
from tests.benchmarks.document import RESULTS, as_text, write_documents
from tests.benchmarks.registry import BENCHMARKS, module_of
from tests.benchmarks.report import Run
from tests.benchmarks.servers import durable_servers


def main() -> int:
    arguments = _arguments()
    if arguments.name == "document":
        write_documents()
        return 0
    if arguments.name == "all":
        return _run_all(quick=arguments.quick)
    run = _run(arguments.name, quick=arguments.quick, size=arguments.size)
    print(as_text(run))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_bytes(TypeAdapter(Run).dump_json(run, indent=1) + b"\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=[*BENCHMARKS, "all", "document"])
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--size", type=int, metavar="N", help="size of a round, see its module")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to a file, too")
    return parser.parse_args()


def _run(name: str, *, quick: bool, size: int | None) -> Run:
    configure_logs("warning", "json")
    module = importlib.import_module(module_of(name))
    load_before, began = load(), time.monotonic()
    with durable_servers():
        report = uvloop.run(module.measure(quick, *([] if size is None else [size])))
    return Run(
        name=name,
        purpose=(module.__doc__ or "").strip(),
        quick=quick,
        report=report,
        seconds=time.monotonic() - began,
        peak_mib=peak_mib(),
        circumstances=circumstances(load_before),
    )


def _run_all(*, quick: bool) -> int:
    """Run every benchmark, even if one fails; a quick run leaves the documents as they are."""
    failed = []
    for name in BENCHMARKS:
        options = ["--quick"] if quick else ["--json", str(RESULTS / f"{name}.json")]
        command = [sys.executable, "-m", "tests.benchmarks", name, *options]
        if subprocess.run(command, check=False).returncode != 0:  # noqa: S603 - our own command
            failed.append(name)
    if not quick:
        write_documents()
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
