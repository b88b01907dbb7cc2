"""An order ends while an archive of it is made: nothing fails, and no archive is left behind."""

from collections.abc import Awaitable, Callable

import pytest

from rs_order.domain.archives import ALL_FILES, ArchiveFormat, ArchiveId, Selection
from rs_order.domain.ids import OrderId, Tenant
from rs_order.downloads.make_archives import MakeArchives, NothingAvailable
from rs_order.store.archives import Archives
from rs_order.store.downloads import StoredDownloads
from rs_order.store.pool import Pool
from tests.integration.app_harness import JANE, TENANT, AppHarness
from tests.integration.test_deleted_while_downloading import (
    End,
    an_order,
    each_end,
    removed,
)

ZIP = ArchiveFormat.ZIP


async def nothing() -> None:
    """Interrupt nothing."""


class InterruptedArchives(Archives):
    """Runs ``interrupt`` after the files of an archive were read, before the archive is written."""

    interrupt: Callable[[], Awaitable[None]] = staticmethod(nothing)

    async def with_content(
        self, tenant: Tenant, order_id: OrderId, kind: ArchiveFormat, content: str
    ) -> ArchiveId | None:
        await self.interrupt()
        return await super().with_content(tenant, order_id, kind, content)

    async def has_unplaceable(
        self, tenant: Tenant, order_id: OrderId, selection: Selection
    ) -> bool:
        await self.interrupt()
        return await super().has_unplaceable(tenant, order_id, selection)


@pytest.fixture
def archives(pool: Pool) -> InterruptedArchives:
    return InterruptedArchives(pool)


@pytest.fixture
def make(app: AppHarness, archives: InterruptedArchives, pool: Pool) -> MakeArchives:
    return MakeArchives(StoredDownloads(pool), archives, app.store, app.clock)


@pytest.fixture
async def order(app: AppHarness) -> OrderId:
    """An order whose files can be in an archive."""
    order = await an_order(app)
    await app.rows("update data_file set size = 7, checksum = md5('content')")
    return order


async def archive_rows(app: AppHarness) -> int:
    (row,) = await app.rows("select count(*) as archives from archive")
    count: int = row["archives"]
    return count


@each_end
@pytest.mark.parametrize("in_steps", [False, True], ids=["at once", "by steps"])
async def test_no_archive_is_made_of_an_order_that_ends_meanwhile(
    *,
    in_steps: bool,
    end: End,
    app: AppHarness,
    make: MakeArchives,
    archives: InterruptedArchives,
    order: OrderId,
) -> None:
    """It would stay for ever: the step that deletes archives is over."""

    async def interrupt() -> None:
        await end(app, order)

    archives.interrupt = interrupt

    with pytest.raises(NothingAvailable):
        await (
            make.begin(TENANT, order, ZIP, ALL_FILES) if in_steps else make.make(TENANT, order, ZIP)
        )

    await app.run()
    assert await archive_rows(app) == 0


@each_end
async def test_an_archive_that_is_deleted_meanwhile_is_not_given(
    end: End, app: AppHarness, make: MakeArchives, archives: InterruptedArchives, order: OrderId
) -> None:
    """The zip of an order is made, and then noted as given: the order may end in between."""
    made = await make.make(TENANT, order, ZIP)
    await end(app, order)
    await app.run()

    await archives.give(TENANT, order, JANE.email, made)

    assert await archives.find(TENANT, made) is None
    assert await archives.given(TENANT, order, JANE.email, app.clock.now()) is None
    assert await archive_rows(app) == 0


async def test_an_order_is_removed_before_its_archives(
    app: AppHarness, make: MakeArchives, archives: InterruptedArchives, order: OrderId
) -> None:
    """A step deletes them, as it deletes the files."""
    made = await make.make(TENANT, order, ZIP)

    await removed(app, order)

    assert await app.rows("select from orders where id = $1", order) == []
    assert await archives.find(TENANT, made) is None
    await app.run()
    assert await archive_rows(app) == 0
