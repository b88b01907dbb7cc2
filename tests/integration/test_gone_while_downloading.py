"""An order goes while its files are handed out: nothing comes back, and nobody takes a part for the whole.

domain.md 21.15 suspects that the original writes a deleted file anew when its download ends.
"""

import io
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from rs_order.core.shared_steps import CompleteOrderStep
from rs_order.domain.ids import DataFileId, OrderId
from rs_order.downloads.order_zip import OrderDeleted, ZipReport, ZipRequest, zip_order
from rs_order.downloads.single_file import FileReport, FileRequest, deliver
from rs_order.ports import FetchResult
from rs_order.store.downloads import StoredDownloads
from rs_order.store.pool import Pool
from tests.integration.app_harness import ALAN, JANE, TENANT, AppHarness, one_file
from tests.rest.fake_downloads import FakeFileSources
from tests.support.rows import OWNER

FILES = ("a", "b", "c", "d")
Goes = Callable[[AppHarness, OrderId], Awaitable[None]]


async def deleted(app: AppHarness, order: OrderId) -> None:
    await app.actions.delete(JANE, order)
    await app.run()


async def cancelled(app: AppHarness, order: OrderId) -> None:
    await app.application.orders.cancel.handle(TENANT, [order])
    await app.run()


async def expired(app: AppHarness, order: OrderId) -> None:
    app.clock.move(days=10)
    await app.run()
    assert await app.status(order) == "EXPIRED"


async def removed(app: AppHarness, order: OrderId) -> None:
    """Its row is gone, too; some of its files are still there."""
    await app.actions.delete(JANE, order)
    await app.actions.remove(ALAN, order)


GOES: tuple[Goes, ...] = (deleted, cancelled, expired, removed)
going = pytest.mark.parametrize("goes", GOES, ids=lambda goes: goes.__name__)


@pytest.fixture
def downloads(pool: Pool) -> StoredDownloads:
    return StoredDownloads(pool)


async def an_order(app: AppHarness) -> OrderId:
    """Of external files, which are there at once; their content is "content"."""
    order = await app.order(products=[one_file(name, size=None, external=True) for name in FILES])
    await app.run(CompleteOrderStep)
    # What they hold is not what this is about.
    await app.rows("update data_file set checksum = null")
    assert await app.status(order) == "DONE"
    return order


async def sources_of(
    app: AppHarness, order: OrderId, first: Callable[[], Awaitable[None]]
) -> FakeFileSources:
    """Files of "content"; ``first`` happens in the middle of the first one."""
    rows = await app.rows("select id from data_file where order_id = $1 order by id", order)
    sources = FakeFileSources({row["id"]: b"content" for row in rows})

    async def in_two() -> AsyncGenerator[bytes, None]:
        yield b"con"
        await first()
        yield b"tent"

    sources.contents[rows[0]["id"]] = in_two
    return sources


async def traces_of(app: AppHarness, order: OrderId) -> dict[str, Any]:
    """All that a settlement could write."""
    return {
        "order": await app.rows("select * from orders where id = $1", order),
        "history": await app.history(order),
        "files": await app.files(order),
        "sub-orders": await app.sub_orders(order),
        "told": await app.responses_about(order),
    }


@going
async def test_a_zip_whose_files_were_all_read_is_finished_and_changes_nothing(
    goes: Goes, app: AppHarness, downloads: StoredDownloads
) -> None:
    """The user gets the rest of what was listed for him; the deleted files don't come back."""
    order = await an_order(app)
    before: dict[str, Any] = {}

    async def go() -> None:
        await goes(app, order)
        before.update(await traces_of(app, order))

    sources, report = await sources_of(app, order, go), ZipReport()
    request = ZipRequest(TENANT, order, OWNER, app.clock.now())
    content = io.BytesIO()
    await _take(zip_order(downloads, app.settle_downloads, sources, request, report), content)
    with zipfile.ZipFile(content) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == dict.fromkeys(
            FILES, b"content"
        )

    assert (report.downloaded, report.reason) == (4, None)
    assert await traces_of(app, order) == before


@going
async def test_a_zip_that_has_files_left_to_read_is_cut(
    goes: Goes,
    app: AppHarness,
    downloads: StoredDownloads,
) -> None:
    """Files that were deleted can't be told from files that never were: the archive must not look whole."""
    order = await an_order(app)
    before: dict[str, Any] = {}

    async def go() -> None:
        await goes(app, order)
        before.update(await traces_of(app, order))

    sources, report = await sources_of(app, order, go), ZipReport()
    request = ZipRequest(TENANT, order, OWNER, app.clock.now(), page=2)
    content = io.BytesIO()
    with pytest.raises(OrderDeleted):
        await _take(zip_order(downloads, app.settle_downloads, sources, request, report), content)

    assert not zipfile.is_zipfile(content)
    assert report.reason == "order-gone"
    assert sources.open_now == 0
    assert await traces_of(app, order) == before


async def test_a_zip_of_several_pages_has_all_files(
    app: AppHarness, downloads: StoredDownloads
) -> None:
    """Pages of 2 and of 3: the last one full, or not."""
    order = await an_order(app)

    async def nothing() -> None:
        pass

    for page in (2, 3):
        await app.rows("update data_file set state = 'AVAILABLE'")
        await app.rows(
            "update sub_order set state = 'WAITING', available_files = 4, downloaded_files = 0"
        )
        await app.rows(
            "update orders set available_files = 4, downloaded_files = 0, waiting_sub_orders = 1"
        )
        report = ZipReport()
        request = ZipRequest(TENANT, order, OWNER, app.clock.now(), page=page)
        sources = await sources_of(app, order, nothing)
        await _take(
            zip_order(downloads, app.settle_downloads, sources, request, report), io.BytesIO()
        )

        assert report.downloaded == len(FILES)
        assert set((await app.files(order)).values()) == {"DOWNLOADED"}


async def _take(pieces: AsyncIterator[bytes], into: io.BytesIO) -> None:
    async for piece in pieces:
        into.write(piece)


@going
@pytest.mark.parametrize("taken", [True, False], ids=["taken", "left by its client"])
async def test_a_single_file_of_an_order_that_goes_is_finished_and_changes_nothing(
    *, taken: bool, goes: Goes, app: AppHarness, downloads: StoredDownloads
) -> None:
    """The row must not come back (domain.md 21.15), nor may the end of the download fail."""
    order = await an_order(app)
    (row, *_) = await app.rows("select id from data_file order by id")
    found = await downloads.file(TENANT, DataFileId(row["id"]))
    assert found is not None
    before: dict[str, Any] = {}

    async def go() -> None:
        await goes(app, order)
        before.update(await traces_of(app, order))

    sources, report = await sources_of(app, order, go), FileReport()
    request = FileRequest(TENANT, order, found.file, OWNER)
    content = b""
    async with deliver(app.settle_downloads, sources, request, report) as delivery:
        async for piece in delivery.pieces():
            content += piece
            if not taken:
                break

    assert content == (b"content" if taken else b"con")
    assert report.result is (FetchResult.DOWNLOADED if taken else FetchResult.FAILED)
    assert await traces_of(app, order) == before
    assert await downloads.file(TENANT, DataFileId(row["id"])) is None
