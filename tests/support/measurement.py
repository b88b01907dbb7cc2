"""Switches off the measurement of coverage, which slows down pure Python to a half or less."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import coverage


@contextmanager
def unmeasured() -> Iterator[None]:
    """Measure no coverage in this block, which runs the same lines a million times."""
    measurement = coverage.Coverage.current()
    if measurement is None:
        yield
        return
    measurement.stop()
    try:
        yield
    finally:
        measurement.start()


def unmeasured_environment() -> dict[str, str]:
    """Return the environment for a process whose coverage isn't measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
