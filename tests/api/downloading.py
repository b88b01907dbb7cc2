"""Helpers that order files from the complete service and follow their states."""

from typing import Any

import asyncpg

from tests.acceptance.platform import Platform
from tests.support.polling import eventually


async def ordered(here: Platform, user: str, *queries: str) -> int:
    """Place an order, wait until it is final and return its number."""
    final = await here.peer.until_final(await here.peer.order(*queries, user=user))
    return int(final.body["orderId"])


async def files_of(here: Platform, order_id: int) -> list[asyncpg.Record]:
    return await here.rows("select * from data_file where order_id = $1 order by id", order_id)


async def only_file(here: Platform, order_id: int) -> asyncpg.Record:
    (file,) = await files_of(here, order_id)
    return file


async def until_state(here: Platform, file_id: int, state: str) -> asyncpg.Record:
    """Wait until a file is in a state and return its row.

    The service records the result of a download after its last byte.
    """

    async def reached() -> Any:
        rows = await here.rows(
            "select * from data_file where id = $1 and state = $2", file_id, state
        )
        return rows[0] if rows else None

    row: asyncpg.Record = await eventually(reached, f"file {file_id} {state}")
    return row
