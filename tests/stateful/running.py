"""Runs random sequences of moves in a separate database."""

import asyncio
import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from types import MappingProxyType
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from rs_order.domain.shares import Amount, LimitKind
from rs_order.store.migrate import migrate_platform
from rs_order.store.pool import open_pool
from rs_order.store.tenants import Tenants
from tests.stateful.fakes import TENANT
from tests.stateful.following import follow
from tests.stateful.moves import CHECKSUMS, Move, moves
from tests.stateful.order_harness import OrderHarness, prepare_checks

MOVES = 50
"""The number of moves in a sequence."""
SEQUENCES = int(os.environ.get("RS_ORDER_TEST_SEQUENCES", "30"))
"""The number of sequences of all modules together."""
SEED = int(os.environ.get("RS_ORDER_TEST_SEED", "1"))
MODULES = 3
NO_LIMITS: Mapping[LimitKind, Amount] = MappingProxyType({})
SECONDS_TO_SHORTEN = 400
"""For the search for the moves that are needed for a failure."""
TIMEOUT = 900 + SEQUENCES
"""Seconds, for the sequences and this search."""


def run_sequences(
    database_url: str, share: int, limits: Mapping[LimitKind, Amount] = NO_LIMITS, **rules: Any
) -> None:
    """Run this module's share of the sequences; print a shortened version of one that fails."""
    with _harness(database_url, **rules) as (harness, loop):
        loop.run_until_complete(harness.limit(limits))

        @seed(SEED * MODULES + share)
        @settings(
            max_examples=max(1, SEQUENCES // MODULES),
            deadline=None,  # a busy machine is slow
            database=None,  # the seed determines the sequences
            phases=[Phase.generate],  # ``_report`` shortens sequences better
            suppress_health_check=[HealthCheck.too_slow],  # sequences are long on purpose
        )
        @given(st.lists(moves, min_size=MOVES, max_size=MOVES))
        def sequence(made: list[Move]) -> None:
            failure = loop.run_until_complete(_failure(harness, made))
            if failure is not None:
                report = loop.run_until_complete(_report(harness, made, failure))
                pytest.fail(report, pytrace=False)

        sequence()


async def _failure(harness: OrderHarness, made: Sequence[Move]) -> Exception | None:
    """Run a sequence, then do what the reasons say until all orders end; return the error or None."""
    try:
        await harness.empty()
        for move in made:
            await move.make(harness)
            await harness.check()
        await follow(harness, CHECKSUMS)
    except Exception as failure:  # noqa: BLE001 - any error of a move is a failure
        return failure
    return None


async def _report(harness: OrderHarness, made: Sequence[Move], failure: Exception) -> str:
    """Return the moves that are needed for the failure, as Python code, and its traceback.

    The search for them ends in time. A failure that doesn't come again is shown with all moves.
    """
    needed, end = list(made), time.monotonic() + SECONDS_TO_SHORTEN
    for size in (16, 8, 4, 2, 1, 1, 1):
        for start in range(len(needed) - 1, -1, -size):
            without = needed[:start] + needed[start + size :]
            again = await _failure(harness, without) if time.monotonic() < end else None
            if again is not None:
                needed, failure = without, again
    lines = "".join(f"\n    {move!r}," for move in needed)
    trace = "".join(traceback.format_exception(failure))
    return f"after {len(needed)} moves of seed {SEED}:{lines}\n{trace}"


@contextmanager
def _harness(
    database_url: str, **rules: Any
) -> Iterator[tuple[OrderHarness, asyncio.AbstractEventLoop]]:
    """Open a harness with small slices and without a log."""
    quiet = structlog.make_filtering_bound_logger("critical")
    configured = structlog.get_config()
    loop = asyncio.new_event_loop()
    drifts: list[str] = []
    structlog.configure(wrapper_class=quiet)
    stack = AsyncExitStack()
    try:
        yield loop.run_until_complete(_open(stack, database_url, drifts, **rules)), loop
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()
        structlog.configure(**configured)


async def _open(
    stack: AsyncExitStack, database_url: str, drifts: list[str], **rules: Any
) -> OrderHarness:
    pool = await stack.enter_async_context(await open_pool(database_url, size=4))
    await migrate_platform(pool)
    await Tenants(pool).add(TENANT)
    checking = await stack.enter_async_context(await open_pool(database_url, size=1))
    connection = await stack.enter_async_context(checking.acquire())
    checks = await prepare_checks(connection)
    return OrderHarness(pool, checks, drifts, batch_size=2, files_bucket_size_mb=1, **rules)
