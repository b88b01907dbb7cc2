"""Measures coverage in the processes of the tests alone, because it slows down pure Python to a half.

What the processes that tests start execute is measured in other tests; the minimum in pyproject.toml holds
without them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import coverage
import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Keep the measurement of this worker process from the processes that it starts."""
    measurement = coverage.Coverage.current()
    if measurement is not None and hasattr(config, "workerinput"):
        measurement.set_option("run:patch", [])
        for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS_")]:
            del os.environ[name]


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
