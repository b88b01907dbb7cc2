"""Errors of the store, and what they are made of: the errors of PostgreSQL's driver.

StoreError
├── StoreUnavailable   the database can't be reached
└── StoreConflict      another unit of work was faster
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

DATABASE_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""Everything that the driver raises while a process opens the database and brings it up to date."""
_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or a primary whose disk is full
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,
)
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
    """The database can't be reached or shuts down. The same work can be tried again later."""

    code = "store-unavailable"


class StoreConflict(StoreError):
    """Another unit of work was faster. The same work can start again at once."""

    code = "store-conflict"


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the driver's errors into StoreConflict or StoreUnavailable. Our own defects pass unchanged."""
    try:
        yield
    except _CONFLICT as error:
        raise StoreConflict(str(error)) from error
    except _UNAVAILABLE as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
