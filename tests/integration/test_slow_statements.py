"""A statement that takes too long is tried again, but not for ever (issue 11, F32)."""

from collections.abc import Sequence

import pytest

from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Done
from rs_order.consumers.batches import TIMEOUTS_OF_ONE, isolated
from rs_order.store.errors import StoreConflict, StoreError, StoreTimeout, store_errors
from rs_order.store.pool import Pool, transaction


class _Handler:
    """Handles items; the slow one times out so many times."""

    def __init__(self, timeouts: int, error: type[StoreError] = StoreTimeout) -> None:
        self.timeouts = timeouts
        self.error = error
        self.calls: list[list[str]] = []

    async def __call__(self, items: Sequence[str]) -> None:
        self.calls.append(list(items))
        if "slow" in items and self.timeouts:
            self.timeouts -= 1
            raise self.error("says the test")


async def test_a_statement_that_takes_too_long_is_a_timeout(pool: Pool) -> None:
    """It isn't the database that is unavailable: it may be the statement."""
    with pytest.raises(StoreTimeout), store_errors():
        await _take_too_long(pool)


async def _take_too_long(pool: Pool) -> None:
    async with transaction(pool) as connection:
        await connection.execute("set local statement_timeout = 20")
        await connection.execute("select pg_sleep(60)")


async def test_a_message_that_keeps_timing_out_becomes_a_dead_letter() -> None:
    """The others of its batch are handled, and the queue goes on."""
    handler = _Handler(timeouts=100)
    first, slow, last = await isolated(handler, ["first", "slow", "last"])

    assert isinstance(slow, DeadLetter)
    assert (first, slow.reason, last) == (
        Done(),
        DeadLetterReason.UNEXPECTED_BATCH_FAILURE,
        Done(),
    )
    assert handler.calls.count(["slow"]) == TIMEOUTS_OF_ONE


async def test_a_database_that_was_slow_for_a_while_costs_no_message() -> None:
    """The last attempt succeeds."""
    handler = _Handler(timeouts=TIMEOUTS_OF_ONE - 1)

    assert await isolated(handler, ["slow"]) == [Done()]


async def test_a_message_outlasts_a_transaction_that_holds_its_rows() -> None:
    """Each attempt has ten of its own."""
    handler = _Handler(timeouts=25, error=StoreConflict)

    assert await isolated(handler, ["slow"]) == [Done()]
