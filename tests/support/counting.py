"""Which statements a piece of work runs."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from rs_order.store.pool import Pool


class CountedStatements:
    """Statements that a pool's connections ran while it counted."""

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
    """The statements of this block; of a pool of one connection, so that its logger sees everything."""
    counter = CountedStatements()
    async with pool.acquire() as connection:
        connection.add_query_logger(counter.note)
    with counter.counting() as queries:
        yield queries
