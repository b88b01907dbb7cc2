"""Records the statements that code under test runs."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from rs_order.store.pool import Pool


class CountedStatements:
    """Collects the statements of a connection while ``counting``."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self._counting = False

    def note(self, record: asyncpg.connection.LoggedQuery) -> None:
        if self._counting:
            self.queries.append(record.query)

    @contextmanager
    def counting(self) -> Iterator[list[str]]:
        self.queries = []
        self._counting = True
        try:
            yield self.queries
        finally:
            self._counting = False


@asynccontextmanager
async def counted(pool: Pool) -> AsyncIterator[list[str]]:
    """Collect the statements of this block.

    Args:
        pool: has one connection, so that its logger sees every statement.
    """
    counter = CountedStatements()
    async with pool.acquire() as connection:
        connection.add_query_logger(counter.note)
    with counter.counting() as queries:
        yield queries
