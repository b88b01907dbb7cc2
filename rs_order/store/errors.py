"""Errors of the store, and what they are made of: the errors of PostgreSQL's driver.

StoreError
├── StoreUnavailable   the database can't be used now
├── StoreTimeout       a statement took too long
└── StoreConflict      another unit of work was faster
"""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

import asyncpg

DATABASE_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""Everything that the driver raises while a process opens the database and brings it up to date."""
_UNAVAILABLE = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Errors without a SQLSTATE: the connection broke, or the server can't be reached or doesn't answer."""
_UNAVAILABLE_STATES: Final = (
    "08",  # connection exception
    "25006",  # read only: a standby, or a primary whose disk is full
    "25P03",  # the server ended a session that was idle in its transaction
    "28",  # the login is refused: nologin, another password, pg_hba.conf
    "3D000",  # the database doesn't exist, for example while a backup is restored
    "53",  # insufficient resources: connections, memory, disk
    "55000",  # the database accepts no connections
    "57",  # operator intervention: starting up, shutting down, a session ended
    "58",  # a system error outside of PostgreSQL
    "F0",  # its configuration can't be read
)
"""The SQLSTATEs, and classes of them, that describe the server or the session, never the statement.

The same work succeeds once the cause has passed. Every other SQLSTATE describes the statement or its data, so
the same message would fail again.
"""
_TIMEOUT = (asyncpg.QueryCanceledError, asyncpg.TransactionTimeoutError)
"""The database is slow, or the statement of this message is. Only another attempt can show which."""
_CONFLICT = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.UniqueViolationError,
    asyncpg.InvalidCachedStatementError,  # a schema changed; prepared again, the statement works
)


class StoreError(Exception):
    """A unit of work failed in the store. Nothing of it is kept."""

    code = "store-error"


class StoreUnavailable(StoreError):
    """The database can't be used now. The same work can be tried again later."""

    code = "store-unavailable"

    @classmethod
    def because(cls, error: Exception) -> "StoreUnavailable":
        """Return the error whose text names the driver's error."""
        return cls(f"{type(error).__name__}: {error}")


class StoreTimeout(StoreError):
    """A statement took longer than the server allows. The same work can be tried again, but not for ever."""

    code = "store-timeout"


class StoreConflict(StoreError):
    """Another unit of work was faster. The same work can start again at once."""

    code = "store-conflict"


class _StoreErrors:
    """A context without state. It is no generator, because each statement of a request has one."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            found = _store_error(error)
            if found is not None:
                raise found from error


_STORE_ERRORS: Final = _StoreErrors()


def store_errors() -> AbstractContextManager[None]:
    """Turn the driver's errors into those of the store. Our own defects pass unchanged."""
    return _STORE_ERRORS


def _store_error(error: Exception) -> StoreError | None:
    """Return the error of the store that an error of the driver becomes, or None if it is another."""
    if isinstance(error, _CONFLICT):
        return StoreConflict(str(error))
    if isinstance(error, _TIMEOUT):
        return StoreTimeout(str(error))
    if isinstance(error, _UNAVAILABLE) or (
        isinstance(error, asyncpg.PostgresError) and _is_unavailable(error)
    ):
        return StoreUnavailable.because(error)
    return None


def _is_unavailable(error: asyncpg.PostgresError) -> bool:
    return error.sqlstate.startswith(_UNAVAILABLE_STATES)
