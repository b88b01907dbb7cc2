"""While a database rejects connections, all messages wait: none is defective (issue 11, F5)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from rs_order.consumers.batches import isolated
from rs_order.store.errors import StoreConflict, StoreUnavailable, store_errors
from rs_order.store.pool import open_pool
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import TENANT
from tests.support.servers import fresh_role

WAITING_STATES = (
    *("08000", "08001", "08003", "08004", "08006", "08P01"),
    *("25006", "25P03", "28000", "28P01", "3D000"),
    *("53000", "53100", "53200", "53300", "53400", "55000"),
    *("57000", "57P01", "57P02", "57P03", "57P04", "57P05"),
    *("58000", "58030", "58P01", "F0000", "F0001"),
)
CONFLICT_STATES = ("23505", "40001", "40P01", "55P03")
STATES_OF_THE_MESSAGE = ("22P02", "22021", "23502", "23503", "23514", "42P01", "42703", "P0001")


def error_of(state: str) -> asyncpg.PostgresError:
    """Return the driver's error of a SQLSTATE."""
    error: asyncpg.PostgresError = asyncpg.PostgresError.new({"C": state, "M": "for the test"})
    return error


@pytest.mark.parametrize("state", WAITING_STATES)
def test_an_error_of_the_server_makes_the_message_wait(state: str) -> None:
    """The same work is tried again until the server accepts it."""
    with pytest.raises(StoreUnavailable), store_errors():
        raise error_of(state)


@pytest.mark.parametrize("state", CONFLICT_STATES)
def test_an_error_of_another_transaction_is_a_conflict(state: str) -> None:
    """The same work starts again at once."""
    with pytest.raises(StoreConflict), store_errors():
        raise error_of(state)


@pytest.mark.parametrize("state", STATES_OF_THE_MESSAGE)
def test_an_error_of_the_statement_passes_unchanged(state: str) -> None:
    """Waiting wouldn't help: the same message would fail again."""
    with pytest.raises(asyncpg.PostgresError) as raised, store_errors():
        raise error_of(state)

    assert raised.value.sqlstate == state


@dataclass(frozen=True)
class _Rejection:
    """Two statements: one makes the database reject connections, the other ends that."""

    begin: str
    end: str


REJECTIONS = {
    "allow_connections": _Rejection(
        "alter database {database} allow_connections false",
        "alter database {database} allow_connections true",
    ),
    "nologin": _Rejection("alter role {role} nologin", "alter role {role} login"),
    "connection limit": _Rejection(
        "alter role {role} connection limit 0", "alter role {role} connection limit -1"
    ),
    "connect revoked": _Rejection(
        "revoke connect on database {database} from public",
        "grant connect on database {database} to public",
    ),
}


@dataclass(frozen=True)
class _Guest:
    """A store of a role that owns nothing, and the names in the statements of a superuser."""

    store: Store
    admin: asyncpg.Connection
    names: dict[str, str]


@pytest.fixture
async def guest(database_url: str, _database_admin: asyncpg.Connection) -> AsyncIterator[_Guest]:
    """Open a store with a role that isn't a superuser, since superusers may always connect."""
    url = urlsplit(database_url)
    async with fresh_role(_database_admin) as role:
        address = urlunsplit(url._replace(netloc=f"{role}:secret@{url.hostname}:{url.port}"))
        async with await open_pool(address, size=2) as opened:
            names = {"database": url.path.lstrip("/"), "role": role}
            yield _Guest(Store(opened, lambda _: None), _database_admin, names)


@pytest.mark.parametrize("rejection", REJECTIONS.values(), ids=REJECTIONS)
async def test_messages_wait_while_the_database_rejects_connections(
    rejection: _Rejection, guest: _Guest
) -> None:
    """No message becomes a dead letter, and the same pool works once the database accepts connections."""

    async def handle(_: object) -> None:
        async with guest.store.unit_of_work(TENANT):
            pass

    await guest.admin.execute(rejection.begin.format_map(guest.names))
    await _end_sessions(guest.admin, guest.names["role"])
    try:
        with pytest.raises(StoreUnavailable):
            await isolated(handle, ["a message"])
    finally:
        await guest.admin.execute(rejection.end.format_map(guest.names))

    await handle("the same message")


async def _end_sessions(admin: asyncpg.Connection, role: str) -> None:
    """End all sessions of a role, so that its next statement needs a new connection."""
    await admin.fetch(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = $1", role
    )
