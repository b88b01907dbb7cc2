"""Databases of a Java service: an empty one, and one with the rows of a real one."""

import csv
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from tests.support.servers import fresh_database

ROOT = Path(__file__).parents[3]
REAL_ROWS = Path(
    os.environ.get("RS_ORDER_TEST_JAVA_ROWS", str(ROOT.parent / "shared/data/java-db"))
)
"""The rows of a real database, beside the project if they are there."""
SCHEMA = "order_"
_DDL = Path(__file__).with_name("java_schema.sql").read_text(encoding="utf-8")
_LARGE = Path(__file__).with_name("large_source.sql").read_text(encoding="utf-8")
_FILE_INDEXES = """
select indexname, indexdef from pg_indexes
where schemaname = $1 and tablename = 't_data_file' and indexname not like '%_pkey'
"""
_PARENTS_FIRST = (
    "t_basket",
    "t_basket_dataset",
    "t_basket_ds_item",
    "t_order",
    "t_task",
    "t_dataset_task",
    "t_files_task",
    "t_job_info",
    "t_job_parameters",
    "ta_task_job_info",
    "t_data_file",
    "t_template",
    "t_dynamic_tenant_setting",
    "shared_lock",
    "shedlock",
)


@asynccontextmanager
async def java_database(admin_url: str) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """Create a database with empty tables; yield its URL and a connection with its search path."""
    admin = await asyncpg.connect(admin_url)
    try:
        async with fresh_database(admin, admin_url) as url:
            connection = await asyncpg.connect(url)
            try:
                await connection.execute(_DDL.replace("{schema}", SCHEMA))
                yield url, connection
            finally:
                await connection.close()
    finally:
        await admin.close()


async def load_real_rows(connection: asyncpg.Connection, *, while_running: bool = False) -> None:
    """Load the rows of the real database; ``while_running``: as they were seconds before its stop."""
    for table in _PARENTS_FIRST:
        path = REAL_ROWS / "while-running" / f"{table}.csv"
        if not while_running or not path.exists():
            path = REAL_ROWS / f"{table}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            columns = next(csv.reader(file))
        await connection.copy_to_table(
            table, source=path, columns=columns, format="csv", header=True, schema_name=SCHEMA
        )
    with (REAL_ROWS / "sequences.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            await connection.execute(
                "select setval($1::text::regclass, $2)", row["sequence"], int(row["last_value"])
            )


async def load_large_source(
    connection: asyncpg.Connection, *, orders: int, files: int, sub_order_files: int
) -> None:
    """Write the rows of a large service: orders of so many files each, in sub-orders of so many files.

    The indexes of the files are made last, because keys in random order would take hours if there are many.
    """
    rows = _LARGE
    for name, value in (("orders", orders), ("files", files), ("size", sub_order_files)):
        rows = rows.replace(f"{{{name}}}", str(value))
    indexes = await connection.fetch(_FILE_INDEXES, SCHEMA)
    for index in indexes:
        await connection.execute(f"drop index {index['indexname']}")
    await connection.execute(rows)
    await connection.execute("set maintenance_work_mem = '512MB'")
    for index in indexes:
        await connection.execute(index["indexdef"])
    await connection.execute("analyze")
