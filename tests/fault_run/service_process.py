"""Runs ``rs-order serve`` with a clock that is wrong by some seconds.

The variable ``FAULT_RUN_CLOCK_SECONDS`` says by how many.
"""

import os
from datetime import UTC, datetime, timedelta
from functools import partial

from rs_order.app import serve as serving
from rs_order.cli import app

CLOCK_VARIABLE = "FAULT_RUN_CLOCK_SECONDS"


class WrongClock:
    """Implements ``Clock``: its time differs from the machine's by some seconds."""

    def __init__(self, seconds: float) -> None:
        self._error = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._error


if __name__ == "__main__":
    clock = WrongClock(float(os.environ[CLOCK_VARIABLE]))
    serving.serve = partial(serving.serve, clock=clock)  # the command imports it when it runs
    app(["serve"], prog_name="rs-order")
