"""Orders with rows to download, all of whose files are the file of ``zip_storage``."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rs_order.domain.archives import ArchiveId
from rs_order.domain.ids import OrderId
from rs_order.downloads.archive_layout import LAYOUTS, entry_length
from rs_order.store.archives import Archives
from rs_order.store.migrate import migrate_platform
from rs_order.store.pool import Pool, open_pool
from rs_order.store.tenants import Tenants
from tests.benchmarks.zip_storage import content
from tests.rest.fake_downloads import DEMO, OWNER
from tests.support.large_orders import write_large_order
from tests.support.rows import in_tenant


class DownloadableOrders:
    """The rows of orders to download, in a database of their own."""

    def __init__(self, pool: Pool, size: int) -> None:
        self._pool = pool
        self._size = size
        self._checksum = hashlib.md5(usedforsecurity=False)
        for block in content(size):
            self._checksum.update(block)

    async def add(self, files: int) -> OrderId:
        """Add an order of so many files."""
        async with in_tenant(self._pool, DEMO) as connection:
            order = await write_large_order(
                connection,
                size=self._size,
                owner=OWNER,
                status="DONE",
                sub_order_state="WAITING",
                state="available",
                sub_orders=1,
                each=files,
            )
            await connection.execute(
                "update data_file set checksum = $1 where order_id = $2",
                *(self._checksum.hexdigest(), order),
                timeout=600,
            )
        return OrderId(order)

    async def forget_hashes(self) -> None:
        """Let no byte have been proven, as before the first download."""
        async with in_tenant(self._pool, DEMO) as connection:
            await connection.execute(
                "update data_file set crc32 = null, sha256 = null, verified_at = null"
                " where verified_at is not null"
            )

    async def last_entry(self, archive_id: ArchiveId) -> int:
        """Return where the last entry of an archive begins."""
        archives = Archives(self._pool)
        archive = await archives.find(DEMO, archive_id)
        if archive is None:
            raise RuntimeError(f"there is no archive {archive_id}")
        layout = LAYOUTS[archive.format](archive.created_at)
        page = await archives.page_at(DEMO, archive_id, archive.directory - 1)
        return page.start + sum(entry_length(layout, entry) for entry in page.entries[:-1])


@asynccontextmanager
async def orders_to_download(database_url: str, size: int) -> AsyncIterator[DownloadableOrders]:
    """Migrate a database, in which orders of files of this size can be written."""
    async with await open_pool(database_url, size=2) as pool:
        await migrate_platform(pool)
        await Tenants(pool).add(DEMO)
        yield DownloadableOrders(pool, size)
