"""Downloads store their results (domain.md 11, decisions.md Wrong bytes)."""

from datetime import timedelta
from typing import Any

import pytest

from rs_order.domain.ids import DataFileId, OrderId
from rs_order.domain.states import FileState, OrderStatus, SubOrderState
from rs_order.ports import ContentHashes, FetchResult, FileOutcome
from rs_order.store.pool import Pool
from rs_order.store.unit_of_work import Store
from tests.integration.conftest import TENANT
from tests.support.clock import NOW
from tests.support.rows import OWNER, TenantRows, in_tenant

WRONG, FAILED, DONE = FetchResult.WRONG_CONTENT, FetchResult.FAILED, FetchResult.DOWNLOADED


async def record(store: Store, order: OrderId, *outcomes: tuple[int, FetchResult]) -> list[Any]:
    """Record how downloads of files ended; return the moves."""
    async with store.unit_of_work(TENANT) as uow:
        return list(
            await uow.files.record_downloads(
                order,
                [
                    FileOutcome(DataFileId(id_), result, None if result is DONE else "because")
                    for id_, result in outcomes
                ],
                actor=OWNER,
                at=NOW,
            )
        )


async def rows(pool: Pool, query: str) -> list[dict[str, Any]]:
    async with in_tenant(pool, TENANT) as connection:
        return [dict(row) for row in await connection.fetch(query)]


async def test_wrong_content_is_recorded_once_until_a_download_ends_otherwise(
    store: Store, pool: Pool
) -> None:
    """Repeated downloads with the same result don't add to the history."""
    tenant = TenantRows(pool, TENANT)
    order = await tenant.order(OrderStatus.RUNNING)
    files = {"a": FileState.AVAILABLE, "b": FileState.AVAILABLE}
    sub_order = await tenant.sub_order(order, files, state=SubOrderState.WAITING)
    (first, second) = [
        row["id"] for row in await rows(pool, "select id from data_file order by id")
    ]

    for result in (WRONG, WRONG, FAILED, WRONG, DONE, WRONG, WRONG):
        await record(store, order, (first, result), (second, FAILED))

    history = await rows(pool, "select * from history where data_file_id is not null order by id")
    assert [(line["before"], line["after"]) for line in history] == [
        ("AVAILABLE", "DOWNLOAD_ERROR"),
        ("DOWNLOAD_ERROR", "DOWNLOAD_ERROR"),
        ("DOWNLOADED", "DOWNLOAD_ERROR"),
    ]
    assert {
        (
            line["order_id"],
            line["sub_order_id"],
            line["data_file_id"],
            line["reason"],
            line["actor"],
        )
        for line in history
    } == {(order, sub_order, first, "wrong-content", OWNER)}


async def test_f22d_unverifiable_content_is_in_the_history(store: Store, pool: Pool) -> None:
    """A file has one line, however often it is downloaded, and a verified file has none."""
    tenant = TenantRows(pool, TENANT)
    order = await tenant.order(OrderStatus.RUNNING)
    files = {"a": FileState.AVAILABLE, "b": FileState.AVAILABLE}
    sub_order = await tenant.sub_order(order, files, state=SubOrderState.WAITING)
    ids = [
        DataFileId(row["id"]) for row in await rows(pool, "select id from data_file order by id")
    ]
    outcomes = [FileOutcome(ids[0], DONE, unverifiable=True), FileOutcome(ids[1], DONE)]

    for _ in range(2):
        async with store.unit_of_work(TENANT) as uow:
            await uow.files.record_downloads(order, outcomes, actor=OWNER, at=NOW)

    assert await rows(
        pool,
        "select order_id, sub_order_id, data_file_id, before, after, reason, actor from history"
        " where data_file_id is not null",
    ) == [
        {
            "order_id": order,
            "sub_order_id": sub_order,
            "data_file_id": ids[0],
            "before": "AVAILABLE",
            "after": "DOWNLOADED",
            "reason": "unverifiable",
            "actor": OWNER,
        }
    ]


async def test_hashes_of_downloaded_bytes_are_kept(store: Store, pool: Pool) -> None:
    """Proven are those whose checksum was checked. A later failure, or a copy's download, keeps them."""
    tenant = TenantRows(pool, TENANT)
    order = await tenant.order(OrderStatus.RUNNING)
    names = ("checked", "unverifiable", "without checksum", "copy")
    files = dict.fromkeys(names, FileState.AVAILABLE)
    await tenant.sub_order(order, files, state=SubOrderState.WAITING)
    ids = {
        row["name"]: DataFileId(row["id"]) for row in await rows(pool, "select * from data_file")
    }
    await rows(pool, "update data_file set checksum = null where name = 'without checksum'")
    hashes = ContentHashes(2**32 - 1, bytes(range(32)))
    downloaded = [
        FileOutcome(ids["checked"], DONE, hashes=hashes),
        FileOutcome(ids["unverifiable"], DONE, unverifiable=True, hashes=hashes),
        FileOutcome(ids["without checksum"], DONE, hashes=hashes),
        FileOutcome(ids["copy"], DONE),
    ]
    failed = [FileOutcome(ids["checked"], FAILED, "because")]

    for outcomes, at in (downloaded, NOW), (failed, NOW + timedelta(hours=1)):
        async with store.unit_of_work(TENANT) as uow:
            await uow.files.record_downloads(order, outcomes, actor=OWNER, at=at)

    found = await rows(pool, "select name, crc32, sha256, verified_at from data_file order by id")
    assert [tuple(row.values()) for row in found] == [
        ("checked", hashes.crc32, hashes.sha256, NOW),
        ("unverifiable", hashes.crc32, hashes.sha256, None),
        ("without checksum", hashes.crc32, hashes.sha256, None),
        ("copy", None, None, None),
    ]


@pytest.mark.parametrize("result", [DONE, FAILED, WRONG])
@pytest.mark.parametrize("state", [FileState.PENDING, FileState.ERROR, FileState.PROCESSING_ERROR])
async def test_files_that_no_download_can_change(
    store: Store, pool: Pool, state: FileState, result: FetchResult
) -> None:
    """Pending files and files in error stay so, and the history gets no line."""
    tenant = TenantRows(pool, TENANT)
    order = await tenant.order(OrderStatus.RUNNING)
    pending = state is FileState.PENDING
    await tenant.sub_order(
        order, {"a": state}, state=SubOrderState.RUNNING if pending else SubOrderState.ENDED
    )
    (file,) = await rows(pool, "select id from data_file")

    moves = await record(store, order, (file["id"], result))

    assert moves == []
    assert await rows(pool, "select state, reason from data_file") == [
        {"state": state, "reason": None}
    ]
    assert await rows(pool, "select 1 from history where data_file_id is not null") == []
