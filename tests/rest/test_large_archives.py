"""Archives of many files: a byte is found without what is before it (faces.md, acceptance R)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

import pytest

from rs_order.domain.archives import ALL_FILES, Archive, ArchiveFormat, ArchiveId, Page, Selection
from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.domain.parts import Part
from rs_order.downloads.archive_plan import CannotBeArchived
from rs_order.downloads.archive_reader import ArchiveReader, ArchiveRequest
from rs_order.downloads.make_archives import MOST_FILES, MakeArchives
from rs_order.downloads.range_places import RangePlaces
from rs_order.downloads.readings import Readings
from rs_order.ports import ContentHashes, FileToDownload
from rs_order.store.archives import Archives
from rs_order.store.archives_at_work import AtWork
from rs_order.store.pool import Pool
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import Store
from tests.rest.conftest import NOW
from tests.rest.fake_downloads import DEMO, ORDER, OWNER
from tests.rest.memory_probe import GeneratedFiles
from tests.rest.stored_downloads import StoredFakeDownloads
from tests.support.clock import ManualClock
from tests.support.stores import MigratedDatabases

SIZE = 100_000


class CountingArchives(Archives):
    """Archives in PostgreSQL of generated files, which counts the pages that are read."""

    def __init__(self, pool: Pool, generated: GeneratedFiles) -> None:
        super().__init__(pool)
        self._generated = generated
        self.read = 0

    async def files(
        self, tenant: Tenant, archive: Archive | AtWork, ids: Sequence[DataFileId]
    ) -> Mapping[DataFileId, FileToDownload]:
        self.read += 1
        order_id, after = archive.order_id, DataFileId(ids[0] - 1)
        files = await self._generated.available_files(tenant, order_id, after=after, limit=len(ids))
        return {file.id: replace(file, hashes=ContentHashes(7, bytes(32))) for file in files}

    async def available(
        self,
        tenant: Tenant,
        order_id: OrderId,
        selection: Selection = ALL_FILES,  # noqa: ARG002 - all are generated
        *,
        after: DataFileId,
        limit: int,
    ) -> Sequence[FileToDownload]:
        return await self._generated.available_files(tenant, order_id, after=after, limit=limit)


@pytest.fixture
async def database(
    migrated_databases: MigratedDatabases,
) -> AsyncIterator[tuple[Pool, Tenants]]:
    async with migrated_databases.pool(DEMO) as found:
        pool, tenants = found
        await StoredFakeDownloads(pool, tenants).order(DEMO, ORDER)
        yield found


def making(pool: Pool, archives: Archives, most_files: int = MOST_FILES) -> MakeArchives:
    store = Store(pool, lambda _: None)
    return MakeArchives(
        GeneratedFiles(0, SIZE), archives, store, ManualClock(NOW), most_files=most_files
    )


async def large_archive(pool: Pool, archives: Archives) -> Archive:
    made = await making(pool, archives).make(DEMO, ORDER, ArchiveFormat.ZIP)
    found = await archives.find(DEMO, made)
    assert found is not None
    return found


async def test_the_last_entry_of_100000_files(database: tuple[Pool, Tenants]) -> None:
    """One page is read for it, and one for the end of the directory."""
    generated = GeneratedFiles(MOST_FILES, SIZE)
    archives = CountingArchives(database[0], generated)
    archive = await large_archive(database[0], archives)
    last: Page | None = await archives.page(DEMO, ArchiveId(archive.id), MOST_FILES // 1000 - 1)
    assert last is not None
    assert last.entries[-1].file_id == MOST_FILES
    part = Part(archive.directory - SIZE // 2, archive.directory)

    request = ArchiveRequest(DEMO, archive, OWNER, part)
    reader = ArchiveReader(archives, Readings(generated), RangePlaces(), ManualClock(NOW), request)
    content = b"".join([piece async for piece in reader.pieces()])
    read_for_content = archives.read
    end = ArchiveRequest(DEMO, archive, OWNER, Part(archive.length - 200, archive.length))
    reader = ArchiveReader(archives, Readings(generated), RangePlaces(), ManualClock(NOW), end)
    tail = b"".join([piece async for piece in reader.pieces()])

    assert (len(content), read_for_content) == (SIZE // 2, 1)
    assert (len(tail), archives.read) == (200, 2)
    assert tail[-98:-94] == b"PK\6\6", "more than 65,535 entries take 64 bits"


async def test_too_many_files(database: tuple[Pool, Tenants]) -> None:
    """They are refused before anything is written, if steps may not make it."""
    archives = CountingArchives(database[0], GeneratedFiles(MOST_FILES + 1, SIZE))

    with pytest.raises(CannotBeArchived):
        await large_archive(database[0], archives)

    assert await archives.of_order(DEMO, ORDER, 10) == []
