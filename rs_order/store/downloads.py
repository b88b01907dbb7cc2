"""Reads orders and files for downloads, and keeps which parts of a file were sent."""

from collections.abc import Sequence

from rs_order.domain.ids import Checksum, DataFileId, OrderId, Tenant, Urn
from rs_order.domain.parts import Part
from rs_order.domain.states import FileState, OrderStatus
from rs_order.ports import ContentHashes, FileOfOrder, FileToDownload, ListedFile, OrderToDownload
from rs_order.store.errors import store_errors
from rs_order.store.pool import Pool, Row, statements, transaction
from rs_order.store.tenant_reads import read_rows

SQL = statements("files")


class StoredDownloads:
    """Reads orders and files for downloads; no connection is held between two calls."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def order(self, tenant: Tenant, order_id: OrderId) -> OrderToDownload | None:
        for row in await self._fetch(tenant, "order_to_download", order_id):
            return OrderToDownload(
                OrderId(row["id"]),
                row["owner"],
                row["role"],
                OrderStatus(row["status"]),
                row["expires_at"],
                has_files=row["has_files"],
                has_available_files=row["has_available_files"],
            )
        return None

    async def file(self, tenant: Tenant, file_id: DataFileId) -> FileOfOrder | None:
        """Return one file. None if its order is deleted or expired."""
        for row in await self._fetch(tenant, "file_to_download", file_id):
            return FileOfOrder(
                file_of(row), OrderId(row["order_id"]), row["owner"], FileState(row["state"])
            )
        return None

    async def all_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[ListedFile]:
        """Return the next files of the order in any state, by ascending id."""
        rows = await self._fetch(tenant, "files_of_order", order_id, after, limit)
        return [
            ListedFile(file_of(row), FileState(row["state"]), row["reason_code"], row["reason"])
            for row in rows
        ]

    async def repeated_names(self, tenant: Tenant, order_id: OrderId) -> frozenset[str]:
        """Return the names that more than one AVAILABLE file of the order has."""
        rows = await self._fetch(tenant, "repeated_names", order_id)
        return frozenset(row["name"] for row in rows)

    async def available_files(
        self, tenant: Tenant, order_id: OrderId, *, after: DataFileId, limit: int
    ) -> Sequence[FileToDownload]:
        """Return the next AVAILABLE files by ascending id."""
        rows = await self._fetch(tenant, "available_files", order_id, after, limit)
        return [file_of(row) for row in rows]

    async def add_sent(self, tenant: Tenant, file_id: DataFileId, part: Part) -> bool:
        """Add a part to what was sent of a file. Return True once all of it was."""
        with store_errors():
            async with transaction(self._pool, tenant) as connection:
                return bool(
                    await connection.fetchval(SQL["add_sent"], file_id, part.start, part.end)
                )

    async def _fetch(self, tenant: Tenant, statement: str, *parameters: object) -> Sequence[Row]:
        return await read_rows(self._pool, tenant, SQL[statement], *parameters)


def file_of(row: Row) -> FileToDownload:
    return FileToDownload(
        id=DataFileId(row["id"]),
        product=Urn(row["product_urn"]),
        name=row["name"],
        url=row["url"],
        external=row["external"],
        size=row["size"],
        checksum=Checksum(row["checksum"]) if row["checksum"] is not None else None,
        checksum_algorithm=row["checksum_algorithm"],
        mime_type=row["mime_type"],
        product_id=row["product_id"],
        hashes=_hashes_of(row),
        verified_at=row["verified_at"],
    )


def _hashes_of(row: Row) -> ContentHashes | None:
    if row["crc32"] is None:
        return None
    return ContentHashes(row["crc32"], row["sha256"])
