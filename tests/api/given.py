"""Helpers that write orders in any status directly into the tenant's schema."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from rs_order.domain.states import FileState
from tests.acceptance.platform import Platform

CREATED = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def given_order(
    here: Platform, owner: str, status: str = "DONE", *, files: str = "", **columns: Any
) -> int:
    """Insert an order and return its number.

    ``files`` sets its counters: one letter of ``_LETTERS`` for each file, 10 bytes each.
    """
    values: dict[str, Any] = {
        "owner": owner,
        "role": "REGISTERED_USER",
        "label": uuid4().hex,
        "correlation_id": uuid4().hex,
        "status": status,
        "sub_order_hours": 2,
        "created_at": CREATED,
        "status_at": CREATED,
    }
    for letter, state in _LETTERS.items():
        values[f"{state.lower()}_files"] = files.count(letter)
        values[f"{state.lower()}_bytes"] = 10 * files.count(letter)
    values |= columns
    (row,) = await here.rows(
        f"insert into orders ({', '.join(values)})"  # noqa: S608 - columns of ours
        f" values ({', '.join(f'${number}' for number in range(1, len(values) + 1))}) returning id",
        *values.values(),
    )
    return int(row["id"])


async def given_task(here: Platform, order_id: int, label: str = "A", **columns: Any) -> int:
    """Insert a dataset task of an order and return its id."""
    values = {
        "order_id": order_id,
        "dataset_urn": f"URN:AIP:DATASET:project1:{uuid4()}:V1",
        "dataset_label": label,
        "products_count": 1,
        **columns,
    }
    (row,) = await here.rows(
        f"insert into dataset_task ({', '.join(values)})"  # noqa: S608 - columns of ours
        f" values ({', '.join(f'${number}' for number in range(1, len(values) + 1))}) returning id",
        *values.values(),
    )
    return int(row["id"])


async def given_files(
    here: Platform, order_id: int, task: int, files: str, *, kind: str = "STORAGE"
) -> tuple[int, list[int]]:
    """Insert a sub-order with files, update all counters, and return its id and the file ids in order."""
    (sub_order,) = await here.rows(
        "insert into sub_order (order_id, dataset_task_id, owner, kind)"
        " select id, $2, owner, $3 from orders where id = $1 returning id",
        order_id,
        task,
        kind,
    )
    states = [_LETTERS[letter] for letter in files]
    rows = await here.rows(
        "insert into data_file (order_id, sub_order_id, dataset_task_id, identity, product_urn,"
        " product_id, product_version, data_type, name, url, external, online, size, checksum,"
        " checksum_algorithm, mime_type, state)"
        " select $1, $2, $3, gen_random_uuid(), 'URN:AIP:DATA:project1:1:V1', 'P' || 1000 - n, 1,"
        " 'RAWDATA', 'f' || n, 'http://x/' || n, $5, false, 10, md5(n::text), 'MD5', 'text/plain', state"
        " from unnest($4::text[]) with ordinality as file (state, n) returning id",
        order_id,
        sub_order["id"],
        task,
        states,
        kind == "EXTERNAL",
    )
    for state in set(states):
        column, count = state.lower(), states.count(state)
        for table, id_ in (("orders", order_id), ("sub_order", sub_order["id"])):
            await here.rows(
                f"update {table} set {column}_files = {column}_files + $2,"  # noqa: S608 - names of ours
                f" {column}_bytes = {column}_bytes + $2 * 10 where id = $1",
                id_,
                count,
            )
    await here.rows(
        "update dataset_task set files_count = files_count + $2, files_bytes = files_bytes + $2 * 10"
        " where id = $1",
        task,
        len(files),
    )
    return int(sub_order["id"]), sorted(int(row["id"]) for row in rows)


_LETTERS = {
    "p": FileState.PENDING,
    "a": FileState.AVAILABLE,
    "d": FileState.DOWNLOADED,
    "x": FileState.DOWNLOAD_ERROR,
    "e": FileState.ERROR,
    "q": FileState.PROCESSING_ERROR,
}
