"""Archives of orders: which files they hold, where each stands, and what of them was sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rs_order.domain.archives import (
    ALL_FILES,
    FIRST_BYTE,
    Archive,
    ArchiveFormat,
    ArchiveId,
    ArchiveState,
    Checkpoint,
    Failed,
    NoticePage,
    Page,
    Selection,
)
from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.domain.parts import Part
from rs_order.domain.states import FileState
from rs_order.ports import FileToDownload, ListedFile
from rs_order.store.archive_rows import notice_columns, page_columns, page_of
from rs_order.store.archives_at_work import AtWork, Growth
from rs_order.store.downloads import file_of
from rs_order.store.errors import store_errors
from rs_order.store.pool import Pool, Row, reading, statements, transaction

SQL = statements("archives")


@dataclass(frozen=True, slots=True)
class NewArchive:
    """An archive to write; its members are those of `Archive`."""

    order_id: OrderId
    format: ArchiveFormat
    created_at: datetime
    length: int
    tag: str
    growth: Growth


@dataclass(frozen=True, slots=True)
class GivenArchive:
    """The archive that a caller was last given at the address of an order's zip."""

    archive: Archive
    failed: bool
    """True if storage didn't deliver a file of it when they last downloaded it whole."""


class Archives:
    """The archives of all tenants; no connection is held between two calls."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, tenant: Tenant, archive: NewArchive) -> ArchiveId | None:
        """Write an archive with its pages and its notice, in one transaction.

        Returns:
            None, and nothing is written, if the order was deleted or has expired.
        """
        with store_errors():
            async with transaction(self._pool, tenant) as connection:
                growth = archive.growth
                archive_id = await connection.fetchval(
                    SQL["create"],
                    archive.order_id,
                    archive.format,
                    archive.created_at,
                    archive.length,
                    growth.directory,
                    growth.entries,
                    growth.files,
                    growth.bytes,
                    growth.content,
                    archive.tag,
                    growth.missing,
                    growth.notice_crc,
                )
                if archive_id is None:
                    return None
                await connection.executemany(
                    SQL["add_page"], [(archive_id, *page_columns(page)) for page in growth.pages]
                )
                await connection.executemany(
                    SQL["add_notice"],
                    [
                        (archive_id, number, *notice_columns(page))
                        for number, page in enumerate(growth.notice)
                    ],
                )
        return ArchiveId(archive_id)

    async def with_content(
        self, tenant: Tenant, order_id: OrderId, kind: ArchiveFormat, content: str
    ) -> ArchiveId | None:
        """Return an archive of an order that has this content and can be downloaded."""
        for row in await self._fetch(tenant, "with_content", order_id, kind, content):
            return ArchiveId(row["id"])
        return None

    async def find(self, tenant: Tenant, archive_id: ArchiveId) -> Archive | None:
        """Return an archive. None if it doesn't exist, or its order is deleted or expired."""
        for row in await self._fetch(tenant, "find", archive_id):
            return _archive_of(row)
        return None

    async def of_order(self, tenant: Tenant, order_id: OrderId, limit: int) -> Sequence[Archive]:
        """Return the archives of an order, the newest first."""
        rows = await self._fetch(tenant, "of_order", order_id, limit)
        return [_archive_of(row) for row in rows]

    async def with_tag(
        self, tenant: Tenant, order_id: OrderId, tags: Sequence[str]
    ) -> Archive | None:
        """Return an archive of an order that can be downloaded and has one of these tags."""
        for row in await self._fetch(tenant, "with_tag", order_id, tags):
            return _archive_of(row)
        return None

    async def give(
        self, tenant: Tenant, order_id: OrderId, email: str, archive_id: ArchiveId
    ) -> None:
        """Remember that a caller was given this archive for the zip of the order, if it still exists."""
        await self._execute(tenant, "give", order_id, email, archive_id)

    async def given(
        self, tenant: Tenant, order_id: OrderId, email: str, sent_after: datetime
    ) -> GivenArchive | None:
        """Return the archive that a caller was last given, if it can still be downloaded.

        ``sent_after``: one that was sent as a whole counts only if it was made after this time.
        """
        for row in await self._fetch(tenant, "given", order_id, email, sent_after):
            return GivenArchive(_archive_of(row), row["failed"])
        return None

    async def note_failed(
        self, tenant: Tenant, archive: Archive, email: str, *, failed: bool
    ) -> None:
        """Note whether storage failed to deliver a file of an archive to the caller whom it was given to."""
        await self._execute(tenant, "note_failed", archive.order_id, email, archive.id, failed)

    async def page_at(self, tenant: Tenant, archive_id: ArchiveId, position: int) -> Page:
        """Return the page with the entry in which a byte before the directory stands."""
        (row,) = await self._fetch(tenant, "page_at", archive_id, position)
        return page_of(row)

    async def page_of_record(self, tenant: Tenant, archive_id: ArchiveId, position: int) -> Page:
        """Return the page with the entry whose record has a byte, counted from where the directory begins."""
        (row,) = await self._fetch(tenant, "page_of_record", archive_id, position)
        return page_of(row)

    async def page(self, tenant: Tenant, archive_id: ArchiveId, number: int) -> Page | None:
        """Return the page with this number, or None behind the last."""
        for row in await self._fetch(tenant, "page", archive_id, number):
            return page_of(row)
        return None

    async def files(
        self, tenant: Tenant, archive: Archive | AtWork, ids: Sequence[DataFileId]
    ) -> Mapping[DataFileId, FileToDownload]:
        """Return those of the files of an archive that exist."""
        rows = await self._fetch(tenant, "files", archive.order_id, ids, archive.id)
        return {DataFileId(row["id"]): _file_in_archive(row) for row in rows}

    async def listed(
        self, tenant: Tenant, archive: Archive, ids: Sequence[DataFileId]
    ) -> Mapping[DataFileId, ListedFile]:
        """Return those of the files of an archive that exist, with their states."""
        rows = await self._fetch(tenant, "files", archive.order_id, ids, archive.id)
        return {
            DataFileId(row["id"]): ListedFile(_file_in_archive(row), FileState(row["state"]))
            for row in rows
        }

    async def checkpoint(
        self, tenant: Tenant, archive_id: ArchiveId, file: FileToDownload, at: int
    ) -> Checkpoint:
        """Return the last checkpoint at or before a byte of a file, behind which the file goes on."""
        last = at if file.size is None else min(at, file.size - 1)
        for row in await self._fetch(tenant, "checkpoint", archive_id, file.id, last):
            return Checkpoint(row["position"], row["crc32"])
        return FIRST_BYTE

    async def available(
        self,
        tenant: Tenant,
        order_id: OrderId,
        selection: Selection = ALL_FILES,
        *,
        after: DataFileId,
        limit: int,
    ) -> Sequence[FileToDownload]:
        """Return the next AVAILABLE files of a selection by ascending id, or also those delivered before."""
        if selection.delivered:
            rows = await self._fetch(tenant, "delivered", order_id, after, limit)
        else:
            rows = await self._fetch(
                tenant, "available", order_id, after, limit, selection.sub_orders, selection.files
            )
        return [file_of(row) for row in rows]

    async def repeated_names(self, tenant: Tenant, order_id: OrderId) -> frozenset[str]:
        """Return the names that more than one file has of those that are available or were delivered."""
        rows = await self._fetch(tenant, "repeated_names", order_id)
        return frozenset(row["name"] for row in rows)

    async def failed(
        self,
        tenant: Tenant,
        order_id: OrderId,
        selection: Selection = ALL_FILES,
        *,
        after: DataFileId,
        limit: int,
    ) -> Mapping[DataFileId, Failed]:
        """Return the next files of a selection that failed, by ascending id."""
        rows = await self._fetch(
            tenant, "failed", order_id, after, limit, selection.sub_orders, selection.files
        )
        return {
            DataFileId(row["id"]): Failed(row["name"], row["reason_code"], row["reason"])
            for row in rows
        }

    async def notice(self, tenant: Tenant, archive_id: ArchiveId, number: int) -> NoticePage | None:
        """Return the lines of the notice with this number, or None behind the last."""
        for row in await self._fetch(tenant, "notice", archive_id, number):
            return NoticePage(row["lines"], [Failed(*one) for one in row["failed"]])
        return None

    async def has_unplaceable(
        self, tenant: Tenant, order_id: OrderId, selection: Selection
    ) -> bool:
        """True if an available file of a selection has no size or no checksum."""
        (row,) = await self._fetch(
            tenant, "has_unplaceable", order_id, selection.sub_orders, selection.files
        )
        return bool(row["found"])

    async def known_crcs(self, tenant: Tenant, archive_id: ArchiveId) -> int:
        """Return of how many entries the CRC-32 is known. It reads them all."""
        (row,) = await self._fetch(tenant, "known_crcs", archive_id)
        return int(row["known"])

    async def add_sent(self, tenant: Tenant, archive_id: ArchiveId, part: Part) -> bool:
        """Add a part to what was sent of an archive. Return True once all of it was."""
        with store_errors():
            async with transaction(self._pool, tenant) as connection:
                sent = await connection.fetchval(SQL["add_sent"], archive_id, part.start, part.end)
                return bool(sent)

    async def keep_hashes(
        self, tenant: Tenant, files: Sequence[FileToDownload], now: datetime
    ) -> None:
        """Keep the hashes of files that were delivered; ``verified_at`` says whether they were proven."""
        known = sorted(
            (file.id, file.hashes, file.verified_at is not None) for file in files if file.hashes
        )
        with store_errors():
            async with transaction(self._pool, tenant) as connection:
                await connection.execute(
                    SQL["keep_hashes"],
                    [id_ for id_, _, _ in known],
                    [hashes.crc32 for _, hashes, _ in known],
                    [hashes.sha256 for _, hashes, _ in known],
                    [verified for _, _, verified in known],
                    now,
                )

    async def keep_checkpoints(
        self,
        tenant: Tenant,
        archive_id: ArchiveId,
        checkpoints: Sequence[tuple[DataFileId, Checkpoint]],
    ) -> None:
        """Keep checkpoints of files. Of two at the same place, the later one counts."""
        last = sorted({(file_id, one.position): one.crc32 for file_id, one in checkpoints}.items())
        await self._execute(
            tenant,
            "keep_checkpoints",
            archive_id,
            [file_id for (file_id, _), _ in last],
            [position for (_, position), _ in last],
            [crc32 for _, crc32 in last],
        )

    async def forget_checkpoints(
        self, tenant: Tenant, archive_id: ArchiveId, file_id: DataFileId
    ) -> None:
        """Forget the checkpoints of a file, so that it is read as a whole."""
        await self._execute(tenant, "forget_checkpoints", archive_id, file_id)

    async def count_short_read(
        self, tenant: Tenant, archive_id: ArchiveId, file_id: DataFileId
    ) -> int:
        """Count that a file had too few bytes; return how often it did since another one had."""
        with store_errors():
            async with transaction(self._pool, tenant) as connection:
                times = await connection.fetchval(SQL["count_short_read"], archive_id, file_id)
        return int(times or 0)

    async def supersede(self, tenant: Tenant, archive_id: ArchiveId) -> None:
        """End an archive whose bytes turned out to be wrong."""
        await self._execute(tenant, "supersede", archive_id)

    async def _execute(self, tenant: Tenant, statement: str, *parameters: object) -> None:
        with store_errors():
            async with transaction(self._pool, tenant) as connection:
                await connection.execute(SQL[statement], *parameters)

    async def set_successor(
        self, tenant: Tenant, archive_id: ArchiveId, successor: ArchiveId
    ) -> None:
        """Record which archive was made instead of a superseded one."""
        with store_errors():
            async with transaction(self._pool, tenant) as connection:
                await connection.execute(SQL["set_successor"], archive_id, successor)

    async def _fetch(self, tenant: Tenant, statement: str, *parameters: object) -> Sequence[Row]:
        async with reading(self._pool, tenant) as connection:
            return await connection.fetch(SQL[statement], *parameters)


def _file_in_archive(row: Row) -> FileToDownload:
    file, assembled = file_of(row), row["assembled_crc32"]
    return file if assembled is None else replace(file, assembled_crc32=assembled)


def _archive_of(row: Row) -> Archive:
    return Archive(
        id=ArchiveId(row["id"]),
        order_id=OrderId(row["order_id"]),
        owner=row["owner"],
        format=ArchiveFormat(row["format"]),
        created_at=row["created_at"],
        state=ArchiveState.MAKING if row["length"] == 0 else ArchiveState(row["state"]),
        length=row["length"],
        directory=row["directory"],
        entries=row["entries"],
        files=row["files"],
        bytes=row["bytes"],
        tag=row["tag"],
        order_files=row["order_files"],
        missing=row["missing"],
        notice_crc=row["notice_crc32"],
        sent=sum(part.upper - part.lower for part in row["sent"]),
        successor=row["successor"],
    )
