"""An order goes while its files are handed out: nothing comes back, and nobody takes a part for the whole.

domain.md 21.15 suspects that the original writes a deleted file anew when its download ends.
"""

import io
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from rs_order.application.download import (
    FileReport,
    FileRequest,
    OrderGone,
    ZipReport,
    ZipRequest,
    deliver,
    order_zip,
    zip_order,
)
from rs_order.application.steps import CompleteOrderStep
from rs_order.domain.ids import DataFileId, OrderId
from rs_order.ports.downloads import FetchResult
from rs_order.store.downloads import StoredDownloads
from rs_order.store.pool import Pool
from tests.integration.workshop import ALAN, JANE, TENANT, Workshop, one_file
from tests.rest.stock import Shelf
from tests.support.rows import OWNER

FILES = ("a", "b", "c", "d")
Goes = Callable[[Workshop, OrderId], Awaitable[None]]


async def deleted(shop: Workshop, order: OrderId) -> None:
    await shop.actions.delete(JANE, order)
    await shop.run()


async def cancelled(shop: Workshop, order: OrderId) -> None:
    await shop.application.cancel.handle(TENANT, [order])
    await shop.run()


async def expired(shop: Workshop, order: OrderId) -> None:
    shop.clock.move(days=10)
    await shop.run()
    assert await shop.status(order) == "EXPIRED"


async def removed(shop: Workshop, order: OrderId) -> None:
    """Its row is gone, too; some of its files are still there."""
    await shop.actions.delete(JANE, order)
    await shop.actions.remove(ALAN, order)


GOES: tuple[Goes, ...] = (deleted, cancelled, expired, removed)
going = pytest.mark.parametrize("goes", GOES, ids=lambda goes: goes.__name__)


@pytest.fixture
def downloads(pool: Pool) -> StoredDownloads:
    return StoredDownloads(pool)


async def an_order(workshop: Workshop) -> OrderId:
    """Of external files, which are there at once; their content is "content"."""
    order = await workshop.order(
        products=[one_file(name, size=None, external=True) for name in FILES]
    )
    await workshop.run(CompleteOrderStep)
    # What they hold is not what this is about.
    await workshop.rows("update data_file set checksum = null")
    assert await workshop.status(order) == "DONE"
    return order


async def shelf_of(
    workshop: Workshop, order: OrderId, first: Callable[[], Awaitable[None]]
) -> Shelf:
    """Files of "content"; ``first`` happens in the middle of the first one."""
    rows = await workshop.rows("select id from data_file where order_id = $1 order by id", order)
    shelf = Shelf({row["id"]: b"content" for row in rows})

    async def in_two() -> AsyncGenerator[bytes, None]:
        yield b"con"
        await first()
        yield b"tent"

    shelf.contents[rows[0]["id"]] = in_two
    return shelf


async def traces_of(workshop: Workshop, order: OrderId) -> dict[str, Any]:
    """All that a settlement could write."""
    return {
        "order": await workshop.rows("select * from orders where id = $1", order),
        "history": await workshop.history(order),
        "files": await workshop.files(order),
        "sub-orders": await workshop.sub_orders(order),
        "told": await workshop.told(order),
    }


@going
async def test_a_zip_whose_files_were_all_read_is_finished_and_changes_nothing(
    goes: Goes, workshop: Workshop, downloads: StoredDownloads
) -> None:
    """The user gets the rest of what was listed for him; the deleted files don't come back."""
    order = await an_order(workshop)
    before: dict[str, Any] = {}

    async def go() -> None:
        await goes(workshop, order)
        before.update(await traces_of(workshop, order))

    shelf, report = await shelf_of(workshop, order, go), ZipReport()
    request = ZipRequest(TENANT, order, OWNER, workshop.clock.now())
    content = io.BytesIO()
    await _take(zip_order(downloads, workshop.settle_downloads, shelf, request, report), content)
    with zipfile.ZipFile(content) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == dict.fromkeys(
            FILES, b"content"
        )

    assert (report.downloaded, report.reason) == (4, None)
    assert await traces_of(workshop, order) == before


@going
async def test_a_zip_that_has_files_left_to_read_is_cut(
    goes: Goes,
    workshop: Workshop,
    downloads: StoredDownloads,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Files that were deleted can't be told from files that never were: the archive must not look whole."""
    monkeypatch.setattr(order_zip, "PAGE", 2)
    order = await an_order(workshop)
    before: dict[str, Any] = {}

    async def go() -> None:
        await goes(workshop, order)
        before.update(await traces_of(workshop, order))

    shelf, report = await shelf_of(workshop, order, go), ZipReport()
    request = ZipRequest(TENANT, order, OWNER, workshop.clock.now())
    content = io.BytesIO()
    with pytest.raises(OrderGone):
        await _take(
            zip_order(downloads, workshop.settle_downloads, shelf, request, report), content
        )

    assert not zipfile.is_zipfile(content)
    assert report.reason == "order-gone"
    assert shelf.open_now == 0
    assert await traces_of(workshop, order) == before


async def test_a_zip_of_several_pages_has_all_files(
    workshop: Workshop, downloads: StoredDownloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of 2 and of 3: the last one full, or not."""
    order = await an_order(workshop)

    async def nothing() -> None:
        pass

    for page in (2, 3):
        monkeypatch.setattr(order_zip, "PAGE", page)
        await workshop.rows("update data_file set state = 'AVAILABLE'")
        await workshop.rows(
            "update sub_order set state = 'WAITING', available_files = 4, downloaded_files = 0"
        )
        await workshop.rows(
            "update orders set available_files = 4, downloaded_files = 0, waiting_sub_orders = 1"
        )
        report = ZipReport()
        request = ZipRequest(TENANT, order, OWNER, workshop.clock.now())
        shelf = await shelf_of(workshop, order, nothing)
        await _take(
            zip_order(downloads, workshop.settle_downloads, shelf, request, report), io.BytesIO()
        )

        assert report.downloaded == len(FILES)
        assert set((await workshop.files(order)).values()) == {"DOWNLOADED"}


async def _take(pieces: AsyncIterator[bytes], into: io.BytesIO) -> None:
    async for piece in pieces:
        into.write(piece)


@going
@pytest.mark.parametrize("taken", [True, False], ids=["taken", "left by its client"])
async def test_a_single_file_of_an_order_that_goes_is_finished_and_changes_nothing(
    *, taken: bool, goes: Goes, workshop: Workshop, downloads: StoredDownloads
) -> None:
    """The row must not come back (domain.md 21.15), nor may the end of the download fail."""
    order = await an_order(workshop)
    (row, *_) = await workshop.rows("select id from data_file order by id")
    found = await downloads.file(TENANT, DataFileId(row["id"]))
    assert found is not None
    before: dict[str, Any] = {}

    async def go() -> None:
        await goes(workshop, order)
        before.update(await traces_of(workshop, order))

    shelf, report = await shelf_of(workshop, order, go), FileReport()
    request = FileRequest(TENANT, order, found.file, OWNER)
    content = b""
    async with deliver(workshop.settle_downloads, shelf, request, report) as delivery:
        async for piece in delivery.pieces():
            content += piece
            if not taken:
                break

    assert content == (b"content" if taken else b"con")
    assert report.result is (FetchResult.DOWNLOADED if taken else FetchResult.FAILED)
    assert await traces_of(workshop, order) == before
    assert await downloads.file(TENANT, DataFileId(row["id"])) is None
