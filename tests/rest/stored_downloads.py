"""The order of the download tests in PostgreSQL. Its rows are written when they are first read."""

from collections.abc import Sequence
from uuid import uuid4

from rs_order.app.clock import SystemClock
from rs_order.core.links import Links
from rs_order.core.policies import SlotLimits
from rs_order.core.settlement import Settlement
from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.domain.parts import Part
from rs_order.domain.states import FileState, OrderStatus
from rs_order.downloads.settle import SettleDownloads
from rs_order.ports import (
    ContentHashes,
    FetchResult,
    FileOfOrder,
    FileOutcome,
    FileToDownload,
    ListedFile,
    OrderToDownload,
)
from rs_order.store.archives import Archives
from rs_order.store.downloads import StoredDownloads
from rs_order.store.pool import Connection, Pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.rest.fake_downloads import DEMO, ORDER, FakeDownloads
from tests.support.rows import in_tenant

_RESULTS = {
    (FileState.DOWNLOADED, None): FetchResult.DOWNLOADED,
    (FileState.DOWNLOAD_ERROR, "download-failed"): FetchResult.FAILED,
    (FileState.DOWNLOAD_ERROR, "wrong-content"): FetchResult.WRONG_CONTENT,
    (FileState.AVAILABLE, "quota-exceeded"): FetchResult.QUOTA_EXCEEDED,
}
"""The results by state and reason code of a row (domain.md 11.1, point 8; decisions.md, Quota)."""
_NOT_TRIED = "not-tried"
"""Reason code of files that aren't available, until a download is tried."""


class StoredFakeDownloads(FakeDownloads):
    """Reads and settles through PostgreSQL. ``settled`` is read from the rows after each settlement."""

    def __init__(self, pool: Pool, tenants: Tenants) -> None:
        super().__init__()
        self._pool = pool
        self._written = False
        links = Links(None, tenants, prefix="/api/v1", fallback="http://localhost")
        self.store = Store(pool, lambda _: None)
        self._settling = SettleDownloads(self.store, Settlement(SlotLimits(), links), SystemClock())
        self._downloads = StoredDownloads(pool)
        self.archives = Archives(pool)

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderToDownload | None:
        await self._write()
        return await self._downloads.order(tenant, order_id)

    async def repeated_names(self, tenant: Tenant, order_id: OrderId) -> frozenset[str]:
        await self._write()
        return await self._downloads.repeated_names(tenant, order_id)

    async def available_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[FileToDownload]:
        await self._write()
        return await self._downloads.available_files(tenant, order_id, after=after, limit=limit)

    async def file(self, tenant: Tenant, file_id: DataFileId) -> FileOfOrder | None:
        await self._write()
        return await self._downloads.file(tenant, file_id)

    async def all_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[ListedFile]:
        await self._write()
        return await self._downloads.all_files(tenant, order_id, after=after, limit=limit)

    async def add_sent(self, tenant: Tenant, file_id: DataFileId, part: Part) -> bool:
        return await self._downloads.add_sent(tenant, file_id, part)

    async def settle(
        self, tenant: Tenant, order_id: OrderId, outcomes: Sequence[FileOutcome]
    ) -> None:
        await self._settling.handle(tenant, order_id, outcomes)
        self.settlements.append(len(outcomes))
        async with in_tenant(self._pool, DEMO) as connection:
            self.settled = await _outcomes(connection)

    async def delete(self) -> None:
        async with in_tenant(self._pool, DEMO) as connection:
            for status in (OrderStatus.PAUSED, OrderStatus.DELETED):
                await connection.execute(
                    "update orders set status = $1, waiting_sub_orders = 0", status
                )

    async def check(self) -> None:
        """Assert that the rows are equal to the settled outcomes, and the counters to the rows."""
        async with in_tenant(self._pool, DEMO) as connection:
            assert self.settled == await _outcomes(connection)
            await _check_counters(connection)

    async def _write(self) -> None:
        if self._written:
            return
        self._written = True
        async with in_tenant(self._pool, DEMO) as connection:
            await _write_order(connection, self)


async def _write_order(connection: Connection, order: FakeDownloads) -> None:
    """Write an order with one sub-order, whose state and counters match the states of its files."""
    states = [order.state_of(file.id) for file in order.files]
    available, pending = FileState.AVAILABLE in states, FileState.PENDING in states
    waiting = int(available and not pending and not order.status.deleted_or_expired)
    await connection.execute(
        "insert into orders (id, owner, role, label, correlation_id, status, expires_at,"
        " sub_order_hours, sub_orders, waiting_sub_orders)"
        " values ($1, $2, 'REGISTERED_USER', 'a', 'a', $3, $4, 2, 1, $5)",
        *(ORDER, order.owner, order.status, order.expires_at, waiting),
    )
    task = await connection.fetchval(
        "insert into dataset_task (order_id, dataset_urn, dataset_label, products_count)"
        " values ($1, 'urn', 'label', 1) returning id",
        ORDER,
    )
    sub_order = await connection.fetchval(
        "insert into sub_order (order_id, dataset_task_id, owner, kind) values ($1, $2, $3, 'STORAGE')"
        " returning id",
        *(ORDER, task, order.owner),
    )
    await connection.executemany(
        "insert into data_file (id, order_id, sub_order_id, dataset_task_id, identity, product_urn,"
        " product_id, product_version, data_type, name, url, external, online, size, checksum,"
        " checksum_algorithm, mime_type, state, reason_code, crc32, sha256, verified_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, 1, 'RAWDATA', $8, $9, $10, true, $11, $12, $13, $14, $15, $16,"
        " $17, $18, $19)",
        [
            (
                *(file.id, ORDER, sub_order, task, uuid4(), file.product, file.product_id),
                *(
                    file.name,
                    file.url,
                    file.external,
                    file.size,
                    file.checksum,
                    file.checksum_algorithm,
                ),
                *(file.mime_type, state, None if state is FileState.AVAILABLE else _NOT_TRIED),
                *(file.hashes and file.hashes.crc32, file.hashes and file.hashes.sha256),
                file.verified_at,
            )
            for file, state in zip(order.files, states, strict=True)
        ],
    )
    await _count(connection)
    if pending:
        await connection.execute("update sub_order set state = 'READY', rank = now()")
    await connection.execute(
        "update sub_order set state = $1",
        "RUNNING" if pending else "WAITING" if available else "ENDED",
    )


async def _count(connection: Connection) -> None:
    for table in ("orders", "sub_order"):
        for state in FileState:
            await connection.execute(
                f"update {table} set ({state.lower()}_files, {state.lower()}_bytes) ="  # noqa: S608 - our own names
                " (select count(*), coalesce(sum(size), 0) from data_file where state = $1)",
                state,
            )


async def _outcomes(connection: Connection) -> list[FileOutcome]:
    """Return the outcomes of the downloads from the rows of the files that were tried."""
    rows = await connection.fetch(
        "select id, state, reason_code, reason, crc32, sha256, exists (select from history"
        " where reason = 'unverifiable' and data_file_id = data_file.id) as unverifiable from data_file"
        " where reason_code is distinct from $1 and (state <> 'AVAILABLE' or reason_code is not null)"
        " order by id",
        _NOT_TRIED,
    )
    return [
        FileOutcome(
            DataFileId(row["id"]),
            _RESULTS[FileState(row["state"]), row["reason_code"]],
            row["reason"],
            row["unverifiable"],
            None if row["crc32"] is None else ContentHashes(row["crc32"], row["sha256"]),
        )
        for row in rows
    ]


async def _check_counters(connection: Connection) -> None:
    counted = {
        row["state"]: (row["files"], row["bytes"])
        for row in await connection.fetch(
            "select state, count(*) as files, coalesce(sum(size), 0) as bytes"
            " from data_file group by state"
        )
    }
    for table in ("orders", "sub_order"):
        for row in await connection.fetch(f"select * from {table}"):  # noqa: S608 - our own names
            for state in FileState:
                counters = row[f"{state.lower()}_files"], row[f"{state.lower()}_bytes"]
                assert counters == counted.get(state, (0, 0)), f"{table}, {state}"
