"""Counts wrong passwords by project and name, in all processes together (console.md 2)."""

from datetime import timedelta
from hashlib import sha256
from typing import Final

from rs_order.ports import Clock
from rs_order.store.errors import store_errors
from rs_order.store.pool import Pool, single_statement, statements

SQL = statements("wrong_passwords")
TOO_MANY: Final = 5
WINDOW: Final = timedelta(seconds=60)


class WrongPasswords:
    """The wrong passwords of the last minute. All calls raise StoreUnavailable."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def wait(self, project: str, name: str) -> float:
        """Return the seconds until the next try is allowed; 0 if it is now."""
        now = self._clock.now()
        with store_errors():
            async with single_statement(self._pool) as connection:
                oldest = await connection.fetchval(
                    SQL["wait"], _digest(project, name), now - WINDOW, TOO_MANY
                )
        return 0.0 if oldest is None else max(0.0, (oldest + WINDOW - now).total_seconds())

    async def count(self, project: str, name: str) -> None:
        now = self._clock.now()
        with store_errors():
            async with single_statement(self._pool) as connection:
                await connection.execute(SQL["count"], _digest(project, name), now, now - WINDOW)

    async def forget(self, project: str, name: str) -> None:
        """Forget them after a correct password."""
        with store_errors():
            async with single_statement(self._pool) as connection:
                await connection.execute(SQL["forget"], _digest(project, name))


def _digest(project: str, name: str) -> bytes:
    return sha256(f"{project}\n{name.lower()}".encode()).digest()
