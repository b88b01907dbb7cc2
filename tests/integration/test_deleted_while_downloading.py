"""An order ends during a download: no deleted row comes back, and no incomplete zip looks complete.

domain.md 21.15 suspects that the original writes a deleted file again when its download ends.
"""

import io
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from rs_order.core.shared_steps import CompleteOrderStep
from rs_order.domain.ids import DataFileId, OrderId
from rs_order.downloads.order_zip import OrderDeleted, ZipReport, ZipRequest, zip_order
from rs_order.downloads.readings import Readings
from rs_order.downloads.single_file import FileDeliveries, FileReport, FileRequest
from rs_order.ports import FetchResult
from rs_order.store.downloads import StoredDownloads
from rs_order.store.pool import Pool
from tests.integration.app_harness import ALAN, JANE, TENANT, AppHarness, one_file
from tests.rest.fake_downloads import FakeFileSources
from tests.support.rows import OWNER

FILES = ("a", "b", "c", "d")
End = Callable[[AppHarness, OrderId], Awaitable[None]]


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
    """The order's row is removed at once, before its files are deleted."""
    await app.actions.delete(JANE, order)
    await app.actions.remove(ALAN, order)


ENDS: tuple[End, ...] = (deleted, cancelled, expired, removed)
each_end = pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)


@pytest.fixture
def downloads(pool: Pool) -> StoredDownloads:
    return StoredDownloads(pool)


async def an_order(app: AppHarness) -> OrderId:
    """Create an order of external files, which are available at once."""
    order = await app.order(products=[one_file(name, size=None, external=True) for name in FILES])
    await app.run(CompleteOrderStep)
    # The content of the files has no checksum to match.
    await app.rows("update data_file set checksum = null")
    assert await app.status(order) == "DONE"
    return order


async def sources_of(
    app: AppHarness, order: OrderId, first: Callable[[], Awaitable[None]]
) -> FakeFileSources:
    """Return files with the bytes "content"; ``first`` runs in the middle of the first file."""
    rows = await app.rows("select id from data_file where order_id = $1 order by id", order)
    sources = FakeFileSources({row["id"]: b"content" for row in rows})

    async def in_two() -> AsyncGenerator[bytes, None]:
        yield b"con"
        await first()
        yield b"tent"

    sources.contents[rows[0]["id"]] = in_two
    return sources


async def traces_of(app: AppHarness, order: OrderId) -> dict[str, Any]:
    """Return all that a settlement could change."""
    return {
        "order": await app.rows("select * from orders where id = $1", order),
        "history": await app.history(order),
        "files": await app.files(order),
        "sub-orders": await app.sub_orders(order),
        "responses": await app.responses_about(order),
    }


@each_end
async def test_a_zip_whose_files_were_all_read_is_finished_and_changes_nothing(
    end: End, app: AppHarness, downloads: StoredDownloads
) -> None:
    """The user gets the rest of the listed files; the deleted rows don't come back."""
    order = await an_order(app)
    before: dict[str, Any] = {}

    async def end_order() -> None:
        await end(app, order)
        before.update(await traces_of(app, order))

    sources, report = await sources_of(app, order, end_order), ZipReport()
    request = ZipRequest(TENANT, order, OWNER, app.clock.now())
    content = io.BytesIO()
    await _take(zip_order(downloads, app.settle_downloads, sources, request, report), content)
    with zipfile.ZipFile(content) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == dict.fromkeys(
            FILES, b"content"
        )

    assert (report.downloaded, report.reason) == (4, None)
    assert await traces_of(app, order) == before


@each_end
async def test_a_zip_whose_files_are_not_all_read_is_cut_off(
    end: End,
    app: AppHarness,
    downloads: StoredDownloads,
) -> None:
    """The rest of its files can't be listed any more, so the archive must not look complete."""
    order = await an_order(app)
    before: dict[str, Any] = {}

    async def end_order() -> None:
        await end(app, order)
        before.update(await traces_of(app, order))

    sources, report = await sources_of(app, order, end_order), ZipReport()
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
    """Pages of 2 and of 3 files, so that the last page is full once, and once not."""
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


@each_end
@pytest.mark.usefixtures("one_piece_at_a_time")
@pytest.mark.parametrize("taken", [True, False], ids=["read", "abandoned by its client"])
async def test_a_file_of_an_order_that_ends_is_delivered_and_changes_nothing(
    *, taken: bool, end: End, app: AppHarness, downloads: StoredDownloads
) -> None:
    """The deleted row must not come back (domain.md 21.15), and the download must not fail."""
    order = await an_order(app)
    (row, *_) = await app.rows("select id from data_file order by id")
    found = await downloads.file(TENANT, DataFileId(row["id"]))
    assert found is not None
    before: dict[str, Any] = {}

    async def end_order() -> None:
        await end(app, order)
        before.update(await traces_of(app, order))

    sources, report = await sources_of(app, order, end_order), FileReport()
    request = FileRequest(TENANT, order, found.file, OWNER)
    content = b""
    deliveries = FileDeliveries(downloads, app.settle_downloads, Readings(sources))
    async with deliveries.open(request, report) as delivery:
        async for piece in delivery.pieces():
            content += piece
            if not taken:
                break

    assert content == (b"content" if taken else b"con")
    assert report.result is (FetchResult.DOWNLOADED if taken else FetchResult.FAILED)
    assert await traces_of(app, order) == before
    assert await downloads.file(TENANT, DataFileId(row["id"])) is None
