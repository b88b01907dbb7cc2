"""Steps make archives of many files, with the same bytes as one that is made at once (faces.md R-9)."""

from dataclasses import replace
from typing import Any

import pytest

from rs_order.core.steps import read_step
from rs_order.domain.archives import ALL_FILES, ArchiveFormat, ArchiveId, ArchiveState, Selection
from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.downloads.make_archives import MakeArchives, MakeArchiveStep, NothingAvailable
from rs_order.store.archives import Archives
from rs_order.store.downloads import StoredDownloads
from rs_order.store.pool import Pool
from tests.integration.app_harness import TENANT, AppHarness, one_file

PAGES = 1000
ZIP = ArchiveFormat.ZIP


class Makers:
    """Makes archives at once, and by steps of few files each."""

    def __init__(self, app: AppHarness, pool: Pool) -> None:
        self.app = app
        self.archives = Archives(pool)
        downloads = StoredDownloads(pool)
        self.at_once = MakeArchives(downloads, self.archives, app.store, app.clock)
        self.by_steps = MakeArchives(
            downloads, self.archives, app.store, app.clock, most_files=PAGES
        )

    async def make(self, order: OrderId, selection: Selection = ALL_FILES) -> ArchiveId:
        return await self.by_steps.make(TENANT, order, ZIP, selection, in_steps=True)

    async def steps(self) -> list[dict[str, Any]]:
        return await self.app.steps(MakeArchiveStep)

    async def take(self) -> MakeArchiveStep:
        """Take the next step from the outbox."""
        (body,) = await self.steps()
        await self.app.rows("delete from rs_order.outbox where body like '%make-archive%'")
        step = read_step(MakeArchiveStep, body)
        assert isinstance(step, MakeArchiveStep)
        return step

    async def run_one(self) -> None:
        """Run the next step, and once more as the broker may deliver it."""
        step = await self.take()
        await self.by_steps.handle(TENANT, step)
        after = await self.steps()
        await self.by_steps.handle(TENANT, step)
        assert await self.steps() == after, "a step that comes again does nothing"

    async def content(self, archive: ArchiveId) -> dict[str, Any]:
        """Return all that the bytes of an archive depend on, except the numbers of its pages."""
        found = await self.archives.find(TENANT, archive)
        assert found is not None
        pages = await self.app.rows(
            "select entries, copies from archive_page where archive_id = $1 order by number",
            archive,
        )
        notice = await self.app.rows(
            "select lines from archive_notice where archive_id = $1 order by number", archive
        )
        return {
            "archive": replace(found, id=ArchiveId(0), tag=""),
            "entries": [entry for page in pages for entry in page["entries"]],
            "copies": sorted(copy for page in pages for copy in page["copies"]),
            "notice": b"".join(page["lines"] for page in notice),
        }


@pytest.fixture
def makers(app: AppHarness, pool: Pool) -> Makers:
    return Makers(app, pool)


async def ordered(app: AppHarness, files: int, failed: int = 0) -> OrderId:
    """Return an order with so many files, some of which have the same name, and some that failed."""
    names = [f"f{number:05}" for number in range(files)]
    lost = [f"x{number:05}" for number in range(failed)]
    products = [one_file(name) for name in (*names, *lost)]
    order = await app.order(products=products)
    await app.run()
    await app.storage_answers(*names, **dict.fromkeys(lost, "tape is broken"))
    await app.rows(
        "update data_file set name = 'Same',"
        " checksum = case when right(name, 2) = '00' then 'c' else checksum end"
        " where order_id = $1 and right(name, 1) = '0' and state = 'AVAILABLE'",
        order,
    )
    return order


async def test_r9_an_archive_that_steps_make_is_like_one_made_at_once(
    app: AppHarness, makers: Makers
) -> None:
    """Names stay unique and copies are found over all steps; the notice comes last."""
    order = await ordered(app, files=3500, failed=1500)

    made = await makers.make(order)
    states = [(await makers.content(made))["archive"].state]
    again = await makers.make(order)
    while await makers.steps():
        await makers.run_one()
        states.append((await makers.content(made))["archive"].state)
    at_once = await makers.at_once.make(TENANT, order, ArchiveFormat.ZIP)

    assert again == made, "there are no two of the same files at a time"
    assert set(states[:-1]) == {ArchiveState.MAKING}
    assert states[-1] is ArchiveState.OPEN
    assert len(states) == 5
    assert at_once == made, "it has the same content, so it is found"
    await app.rows("update archive set state = 'SUPERSEDED' where id = $1", made)
    other = await makers.at_once.make(TENANT, order, ArchiveFormat.ZIP)
    await app.rows("update archive set state = 'OPEN' where id = $1", made)
    assert await makers.content(made) == await makers.content(other)
    content = await makers.content(made)
    assert content["archive"].entries == len(content["entries"])
    assert content["archive"].missing == 1500
    names = [name.lower() for _, name, _ in content["entries"]]
    assert len(set(names)) == len(names)
    assert len(content["copies"]) == 34
    assert names[-1] == "notice.txt"


async def test_h2_an_archive_that_is_begun_before_any_file_is_placed(
    app: AppHarness, makers: Makers
) -> None:
    """It has the same content as one that is made at once, so that is found."""
    order = await ordered(app, files=1500)

    begun = await makers.by_steps.begin(TENANT, order, ZIP, ALL_FILES)
    at_first = (await makers.content(begun))["archive"]
    while await makers.steps():
        await makers.run_one()

    assert (at_first.state, at_first.files) == (ArchiveState.MAKING, 0)
    assert (await makers.content(begun))["archive"].state is ArchiveState.OPEN
    assert await makers.at_once.make(TENANT, order, ZIP) == begun


async def test_h2_files_that_are_delivered_before_they_are_placed(
    app: AppHarness, makers: Makers
) -> None:
    """Nothing is left to be placed, so nothing of the archive remains, and another one isn't begun."""
    order = await ordered(app, files=1)
    begun = await makers.by_steps.begin(TENANT, order, ZIP, ALL_FILES)
    await app.downloaded(order, "Same")

    await makers.run_one()

    assert await makers.archives.find(TENANT, begun) is None
    with pytest.raises(NothingAvailable):
        await makers.by_steps.begin(TENANT, order, ZIP, ALL_FILES)


async def test_r9_of_a_selection(app: AppHarness, makers: Makers) -> None:
    """The steps go on with the files of the selection only."""
    order = await ordered(app, files=2500)
    (sub_order,) = await app.rows("select id from sub_order where order_id = $1", order)
    selection = Selection(sub_orders=[SubOrderId(sub_order["id"])])

    made = await makers.make(order, selection)
    other = await makers.make(order)
    await app.rows(
        "delete from rs_order.outbox where body like '%make-archive%' and body not like '%subOrders%'"
    )
    await makers.run_one()
    await makers.run_one()

    assert made != other
    found = await makers.archives.find(TENANT, made)
    assert found is not None
    assert (found.state, found.files) == (ArchiveState.OPEN, 2500)


async def test_r9_an_order_that_ends_meanwhile(app: AppHarness, makers: Makers) -> None:
    """The steps end, and nothing of the archive remains."""
    order = await ordered(app, files=1500)
    await makers.make(order)
    step = await makers.take()

    app.clock.move(days=30)
    await app.run()
    await makers.by_steps.handle(TENANT, step)

    assert await makers.steps() == []
    assert await app.rows("select from archive") == []
    assert await app.rows("select from archive_page") == []


async def test_r9_a_file_without_a_checksum_that_comes_meanwhile(
    app: AppHarness, makers: Makers
) -> None:
    """The archive can't be made any more, so it is deleted."""
    order = await ordered(app, files=1500)
    made = await makers.make(order)
    await app.rows(
        "update data_file set checksum = null where id = (select max(id) from data_file)"
    )

    await makers.run_one()

    assert await makers.archives.find(TENANT, made) is None
    assert await makers.steps() == []
