"""Writes what an import brings, by COPY, and keeps its place: one commit for each slice."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

import asyncpg
import orjson

from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import OrderId, Tenant
from rs_order.domain.states import FileCounters, FileState
from rs_order.store.errors import store_errors
from rs_order.store.pool import Connection, Pool, Row, statements, tenant_schema, transaction

SQL = statements("moving_in")

_LONGEST_CALL_SECONDS: Final = 24 * 3600.0
COUNTERS: Final = tuple(
    f"{state.lower()}_{what}" for state in FileState for what in ("files", "bytes")
)
"""The columns of counters, of orders and sub-orders."""
FILES: Final = (
    "id",
    "order_id",
    "sub_order_id",
    "dataset_task_id",
    "identity",
    "product_urn",
    "product_id",
    "product_version",
    "data_type",
    "name",
    "url",
    "external",
    "online",
    "size",
    "checksum",
    "checksum_algorithm",
    "mime_type",
    "state",
    "reason_code",
    "reason",
    "output_key",
)
"""The columns of files that are copied."""


class SliceKind(StrEnum):
    """What a slice copies."""

    ORDERS = "orders"
    """Orders with everything below them."""
    BASKETS = "baskets"


@dataclass(frozen=True, slots=True)
class Slice:
    """A range of ids that is copied in one commit. The ranges of a kind cover all ids."""

    kind: SliceKind
    number: int
    first: int
    last: int
    files: int = 0
    bytes: int = 0
    copied: bool = False


@dataclass(frozen=True, slots=True)
class BegunImport:
    """An import that was begun."""

    source: str
    sliced: bool
    copied_at: datetime | None
    ended_at: datetime | None
    last_order_id: int | None
    report: Any


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An order that goes on by a step."""

    id: OrderId
    expires_at: datetime | None
    creating: bool
    over: bool
    """Nothing of it is pending, so it ends."""
    expires: bool


@dataclass(frozen=True, slots=True)
class ChangedOrder:
    """An order that was made, changed or removed here since the import."""

    id: int
    what: str
    owner: str
    label: str
    status: str
    created_at: datetime | None
    status_at: datetime


class Rows(Protocol):
    """Where the rows of a slice are written to."""

    async def copy(
        self, table: str, columns: Sequence[str], records: Sequence[Sequence[Any]]
    ) -> None:
        """Add rows to a table."""
        ...


class MovedRows:
    """Rows of one slice, within its commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def copy(
        self, table: str, columns: Sequence[str], records: Sequence[Sequence[Any]]
    ) -> None:
        """Add rows to a table."""
        if records:
            await self._connection.copy_records_to_table(table, columns=columns, records=records)

    async def end(self, one: Slice, tally: Mapping[str, Any]) -> None:
        """Save the tally of the slice, which marks it as copied."""
        await self._connection.execute(SQL["end_slice"], one.kind, one.number, tally)


class MovedOrders:
    """The tables of a tenant that an import fills, and its place."""

    def __init__(self, connections: asyncpg.Pool, tenant: Tenant) -> None:
        self._connections = connections
        self._schema = tenant_schema(tenant)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        with store_errors():
            async with self._connections.acquire() as connection, connection.transaction():
                # A commit that a crash of the server loses takes its slice along: it is copied again.
                await connection.execute(
                    f"set local search_path = {self._schema}; set local statement_timeout = 0; "
                    "set local idle_in_transaction_session_timeout = 0; "
                    "set local synchronous_commit = off"
                )
                yield connection

    async def begun(self) -> BegunImport | None:
        """Return the import that was begun for this tenant, if there is one."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(SQL["begun"])
        if row is None:
            return None
        return BegunImport(
            source=row["source"],
            sliced=row["sliced"],
            copied_at=row["copied_at"],
            ended_at=row["ended_at"],
            last_order_id=row["last_order_id"],
            report=row["report"],
        )

    async def is_used(self) -> bool:
        """True if the tenant has orders, requests or baskets of its own."""
        async with self._transaction() as connection:
            return bool(await connection.fetchval(SQL["is_used"]))

    async def may_raise_sequences(self) -> bool:
        """True if the role of this service's database may do what `begin` does."""
        async with self._transaction() as connection:
            return bool(await connection.fetchval(SQL["may_raise_sequences"]))

    async def begin(self, source: str, now: datetime, highest: Mapping[str, int | None]) -> None:
        """Begin an import. New ids come after the highest of the source."""
        async with self._transaction() as connection:
            await connection.execute(SQL["begin"], source, now)
            for table, id_ in highest.items():
                if id_ is not None:
                    await connection.fetchval(SQL["raise_sequence"], table, id_)

    async def plan(self, slices: Sequence[Slice]) -> None:
        """Save all slices of the import."""
        async with self._transaction() as connection:
            await connection.copy_records_to_table(
                "moving_in_slice",
                columns=("kind", "number", "first_id", "last_id", "files", "bytes"),
                records=[
                    (one.kind, one.number, one.first, one.last, one.files, one.bytes)
                    for one in slices
                ],
            )
            await connection.execute(SQL["sliced"])

    async def slices(self, kind: SliceKind) -> list[Slice]:
        """Return the slices of a kind."""
        async with self._transaction() as connection:
            rows = await connection.fetch(SQL["slices"], kind)
        return [
            Slice(
                SliceKind(row["kind"]),
                row["number"],
                row["first_id"],
                row["last_id"],
                row["files"],
                row["bytes"],
                row["copied"],
            )
            for row in rows
        ]

    @asynccontextmanager
    async def slice(self, one: Slice) -> AsyncIterator[MovedRows | None]:
        """Open the commit of a slice. None: another process has copied it."""
        async with self._transaction() as connection:
            if await connection.fetchval(SQL["lock_slice"], one.kind, one.number) is None:
                yield None
                return
            rows = MovedRows(connection)
            yield rows

    async def tallies(self, kind: SliceKind) -> AsyncIterator[Any]:
        """Yield the tallies of the slices that were copied."""
        async with self._transaction() as connection:
            async for row in connection.cursor(SQL["tallies"], kind):
                yield row["tally"]

    async def count(self) -> list[Row]:
        """Return rows and bytes of every table by state."""
        async with self._transaction() as connection:
            return await connection.fetch(SQL["count"])

    async def copied(self, now: datetime, report: Mapping[str, Any]) -> None:
        """Note that everything was copied and agrees with the source."""
        async with self._transaction() as connection:
            await connection.execute(SQL["copied"], now, report)

    async def ended(self, now: datetime, report: Mapping[str, Any]) -> None:
        """Note that the orders under way can go on."""
        async with self._transaction() as connection:
            await connection.execute("set local synchronous_commit = on")
            await connection.execute(SQL["ended"], now, report)

    async def under_way(self, after: OrderId, limit: int, *, up_to: int) -> list[UnderWay]:
        """Return the next orders that go on by a step."""
        async with self._transaction() as connection:
            rows = await connection.fetch(SQL["under_way"], after, limit, up_to)
        return [
            UnderWay(
                OrderId(row["id"]), row["expires_at"], row["creating"], row["over"], row["expires"]
            )
            for row in rows
        ]


@asynccontextmanager
async def opened_target(
    url: str, tenant: Tenant, *, connections: int, statement_cache: bool
) -> AsyncIterator[MovedOrders]:
    """Open the database of this service for an import. Its statements may take any time."""
    pool = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=connections,
        init=_prepare,
        command_timeout=_LONGEST_CALL_SECONDS,
        statement_cache_size=100 if statement_cache else 0,
        server_settings={"application_name": SERVICE},
    )
    async with pool:
        yield MovedOrders(pool, tenant)


async def _prepare(connection: Connection) -> None:
    """Let a connection read, write and COPY JSON as Python objects."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
    )


def counter_values(counters: FileCounters) -> list[int]:
    """Return the values of ``COUNTERS``."""
    return [
        amount for state in FileState for amount in (counters.files[state], counters.bytes[state])
    ]


async def changed_since(
    pool: Pool, tenant: Tenant, *, after: int, limit: int
) -> list[ChangedOrder]:
    """Return the next orders that were made, changed or removed here since the import."""
    return [
        ChangedOrder(
            row["id"],
            row["what"],
            row["owner"],
            row["label"],
            row["status"],
            row["created_at"],
            row["status_at"],
        )
        for row in await _rows(pool, tenant, SQL["changed_since"], after, limit)
    ]


async def _rows(pool: Pool, tenant: Tenant, statement: str, *parameters: Any) -> list[Row]:
    with store_errors():
        async with transaction(pool, tenant, readonly=True) as connection:
            return await connection.fetch(statement, *parameters)
