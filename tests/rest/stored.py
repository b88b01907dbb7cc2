"""The order of the zip tests in a real store: its files are written down when they are first read."""

from collections.abc import Sequence
from uuid import uuid4

from rs_order.adapters.postgres.downloads import PostgresDownloads
from rs_order.adapters.postgres.driver import Connection, Pool
from rs_order.adapters.postgres.tenants import PostgresTenants
from rs_order.adapters.postgres.unit_of_work import PostgresStore
from rs_order.adapters.system_clock import SystemClock
from rs_order.application.links import Links
from rs_order.application.policies import SlotLimits
from rs_order.application.settle_downloads import SettleDownloads
from rs_order.application.settlement import Settlement
from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.domain.states import FileState
from rs_order.ports.downloads import FetchResult, FileOutcome, FileToDownload, OrderToDownload
from tests.rest.stock import DEMO, ORDER, StockedOrder
from tests.support.rows import in_tenant

_RESULTS = {
    (FileState.DOWNLOADED, None): FetchResult.DOWNLOADED,
    (FileState.DOWNLOAD_ERROR, "download-failed"): FetchResult.FAILED,
    (FileState.AVAILABLE, "quota-exceeded"): FetchResult.QUOTA_EXCEEDED,
}
"""By state and reason code of a row (domain.md 11.1, point 8; decisions.md, Quota)."""


class StoredOrder(StockedOrder):
    """Reads and settles through PostgreSQL; ``settled`` is what the rows say afterwards."""

    def __init__(self, pool: Pool, tenants: PostgresTenants) -> None:
        super().__init__()
        self._pool = pool
        self._written = False
        links = Links(None, tenants, prefix="/api/v1", fallback="http://localhost")
        store = PostgresStore(pool, lambda: None)
        settle = SettleDownloads(store, Settlement(SlotLimits()), links, SystemClock())
        self._downloads = PostgresDownloads(pool, settle.handle)

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

    async def settle(
        self, tenant: Tenant, order_id: OrderId, outcomes: Sequence[FileOutcome]
    ) -> None:
        await self._downloads.settle(tenant, order_id, outcomes)
        self.settlements.append(len(outcomes))
        async with in_tenant(self._pool, DEMO) as connection:
            self.settled = await _outcomes(connection)

    async def check(self) -> None:
        """Fail when the rows differ from what was settled, or the counters from the rows."""
        async with in_tenant(self._pool, DEMO) as connection:
            assert self.settled == await _outcomes(connection)
            await _check_counters(connection)

    async def _write(self) -> None:
        if self._written:
            return
        self._written = True
        async with in_tenant(self._pool, DEMO) as connection:
            await _write_order(connection, self.owner, self.files)


async def _write_order(connection: Connection, owner: str, files: Sequence[FileToDownload]) -> None:
    """An order whose only sub-order waits for its user, with counters that agree."""
    waiting, total = bool(files), sum(file.size or 0 for file in files)
    await connection.execute(
        "insert into orders (id, owner, role, label, correlation_id, status, sub_order_hours,"
        " sub_orders, waiting_sub_orders, available_files, available_bytes)"
        " values ($1, $2, 'REGISTERED_USER', 'a', 'a', 'RUNNING', 2, 1, $3, $4, $5)",
        *(ORDER, owner, int(waiting), len(files), total),
    )
    task = await connection.fetchval(
        "insert into dataset_task (order_id, dataset_urn, dataset_label, products_count)"
        " values ($1, 'urn', 'label', 1) returning id",
        ORDER,
    )
    sub_order = await connection.fetchval(
        "insert into sub_order (order_id, dataset_task_id, owner, kind, state, available_files,"
        " available_bytes) values ($1, $2, $3, 'STORAGE', $4, $5, $6) returning id",
        *(ORDER, task, owner, "WAITING" if waiting else "ENDED", len(files), total),
    )
    await connection.executemany(
        "insert into data_file (id, order_id, sub_order_id, dataset_task_id, identity, product_urn,"
        " product_version, data_type, name, url, external, online, size, checksum,"
        " checksum_algorithm, state)"
        " values ($1, $2, $3, $4, $5, $6, 1, 'RAWDATA', $7, $8, $9, true, $10, $11, $12, 'AVAILABLE')",
        [
            (
                *(file.id, ORDER, sub_order, task, uuid4(), file.product, file.name, file.url),
                *(file.external, file.size, file.checksum, file.checksum_algorithm),
            )
            for file in files
        ],
    )


async def _outcomes(connection: Connection) -> list[FileOutcome]:
    """How the downloads of the files ended, by their rows; nothing of a file that wasn't tried."""
    rows = await connection.fetch(
        "select id, state, reason_code, reason from data_file"
        " where state <> 'AVAILABLE' or reason_code is not null order by id"
    )
    return [
        FileOutcome(
            DataFileId(row["id"]),
            _RESULTS[FileState(row["state"]), row["reason_code"]],
            row["reason"],
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
                kept = row[f"{state.lower()}_files"], row[f"{state.lower()}_bytes"]
                assert kept == counted.get(state, (0, 0)), f"{table}, {state}"
