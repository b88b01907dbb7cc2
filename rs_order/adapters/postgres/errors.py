"""The driver's errors in the words of the port."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from rs_order.ports.store import StoreConflict, StoreUnavailable

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


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what the driver raises into StoreConflict or StoreUnavailable; a fault of ours passes."""
    try:
        yield
    except _CONFLICT as error:
        raise StoreConflict(str(error)) from error
    except _UNAVAILABLE as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
