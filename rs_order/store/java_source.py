"""Reads the database of a Java service (domain.md 1). It is never written: every transaction is read-only."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg

from rs_order.domain.identity import SERVICE
from rs_order.store.errors import DATABASE_ERRORS
from rs_order.store.pool import Connection, Row, prepare_connection, statements

SQL = statements("java_source")

ROWS_AT_A_TIME: Final = 5000
"""Rows that are read with one call."""
_LONGEST_CALL_SECONDS: Final = 24 * 3600.0
_TABLES: Final = (
    "t_order",
    "t_task",
    "t_dataset_task",
    "t_files_task",
    "ta_task_job_info",
    "t_data_file",
    "t_basket",
    "t_basket_dataset",
    "t_basket_ds_item",
    "t_job_info",
    "t_job_parameters",
    "t_dynamic_tenant_setting",
    "t_template",
)


class SourceUnusable(Exception):
    """The database of the Java service can't be read. The text says why and what to check."""

    code = "source-unusable"


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """Something that only a running service does."""

    text: str


@dataclass(frozen=True, slots=True)
class OrderSize:
    """An order, or an id that files have as their order."""

    id: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """The database and schema of one project of a Java service."""

    url: str
    schema: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2] or "local"
        return f"{host}{parts.path} {self.schema}"

    def of(self, tenant: str) -> "SourceAddress":
        """Return the address with the name of a tenant in place of ``{tenant}``."""
        return SourceAddress(
            self.url.replace("{tenant}", tenant), self.schema.replace("{tenant}", tenant)
        )


class JavaSource:
    """The tables of one project. Each `snapshot` is one read-only transaction, which sees one state."""

    def __init__(self, connections: asyncpg.Pool, address: SourceAddress) -> None:
        self._connections = connections
        self.address = address

    @asynccontextmanager
    async def snapshot(self) -> "AsyncIterator[SourceSnapshot]":
        """Open a transaction.

        Raises:
            SourceUnusable: the database can't be read.
        """
        with_text = f"The Java service's database {self.address} can't be read"
        try:
            async with (
                self._connections.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.execute("set local statement_timeout = 0")
                await connection.execute(
                    "select set_config('search_path', quote_ident($1), true)", self.address.schema
                )
                yield SourceSnapshot(connection)
        except asyncpg.UndefinedColumnError as error:
            raise SourceUnusable(
                f"{with_text}: {error}. Bring it to the last version of the Java service first"
            ) from error
        except DATABASE_ERRORS as error:
            raise SourceUnusable(f"{with_text}: {error}. Check --from and --schema") from error

    async def check_tables(self) -> None:
        """Check that the schema has every table of an order service.

        Raises:
            SourceUnusable: one is missing, or the database can't be read.
        """
        async with self.snapshot() as snapshot:
            missing = await snapshot.names("missing_tables", list(_TABLES))
        if missing:
            raise SourceUnusable(
                f"The schema {self.address.schema} of the database has no {', '.join(missing)}: "
                "check --from and --schema"
            )

    async def signs_of_life(self) -> list[SignOfLife]:
        """Return what shows that a service works with the database now (moving-in.md M6)."""
        async with self.snapshot() as snapshot:
            jobs = await snapshot.rows("working_jobs")
            writers = await snapshot.rows("writers")
        return [
            *(
                SignOfLife(
                    f"job {row['id']} ({row['class_name'].rpartition('.')[2]}) was alive at "
                    f"{_utc(row['last_heartbeat_date'])}"
                )
                for row in jobs
            ),
            *(
                SignOfLife(
                    f"session {row['pid']} ({row['application'] or 'without a name'}) "
                    f"writes {row['relation']}"
                )
                for row in writers
            ),
        ]


class SourceSnapshot:
    """One state of the tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def rows(self, name: str, *parameters: Any) -> list[Row]:
        """Return the rows of a statement of ``java_source.sql``."""
        return await self._connection.fetch(SQL[name], *parameters)

    async def names(self, name: str, *parameters: Any) -> list[str]:
        """Return the first column of the rows."""
        return [row[0] for row in await self.rows(name, *parameters)]

    async def parts(self, name: str, *parameters: Any) -> AsyncIterator[Sequence[Row]]:
        """Yield the rows in parts, through a cursor of the server."""
        cursor = await self._connection.cursor(SQL[name], *parameters)
        while rows := await cursor.fetch(ROWS_AT_A_TIME):
            yield rows

    async def sizes(self) -> AsyncIterator[OrderSize]:
        """Yield the ids of orders with their files, ascending."""
        async for rows in self.parts("sizes"):
            for row in rows:
                yield OrderSize(row["id"], row["files"], row["bytes"])

    async def job_parameters(
        self, jobs: Sequence[Any], names: Sequence[str]
    ) -> Mapping[Any, dict[str, str]]:
        """Return the texts of parameters by job and name."""
        found: dict[Any, dict[str, str]] = {}
        if jobs:
            for row in await self.rows("job_parameters", jobs, names):
                found.setdefault(row["job_id"], {})[row["name"]] = row["value"]
        return found


@asynccontextmanager
async def opened_source(address: SourceAddress, *, connections: int) -> AsyncIterator[JavaSource]:
    """Open the database of a Java service.

    Raises:
        SourceUnusable: it doesn't answer, or has no order service's tables.
    """
    try:
        pool = await asyncpg.create_pool(
            address.url,
            min_size=1,
            max_size=connections,
            init=prepare_connection,
            command_timeout=_LONGEST_CALL_SECONDS,
            statement_cache_size=0,
            server_settings={"application_name": f"{SERVICE} import"},
        )
    except (*DATABASE_ERRORS, ValueError) as error:
        raise SourceUnusable(
            f"The Java service's database {address} doesn't answer: {error}. Check --from"
        ) from error
    async with pool:
        source = JavaSource(pool, address)
        await source.check_tables()
        yield source


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
