"""Makes archives: fixes which files each holds, and where they stand (faces.md R-8 to R-11)."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
import structlog

from rs_order.core.steps import Step
from rs_order.domain.archives import ALL_FILES, ArchiveFormat, ArchiveId, Selection
from rs_order.domain.ids import DataFileId, OrderId, SubOrderId, Tenant
from rs_order.downloads.archive_layout import LAYOUTS
from rs_order.downloads.archive_plan import ArchivePlan, CannotBeArchived
from rs_order.downloads.entry_names import EntryNames
from rs_order.ports import Clock, Downloads
from rs_order.store.archives import Archives, NewArchive
from rs_order.store.archives_at_work import AtWork
from rs_order.store.unit_of_work import Store

MOST_FILES: Final = 100_000
"""Files that are placed at once, while a client waits or in a step: so many take a few seconds."""
PAGE: Final = 1000
"""Entries of a page, at most: what is read to find a byte of the archive."""
_VERSION: Final = {ArchiveFormat.ZIP: "z1", ArchiveFormat.TAR: "t1"}
"""The layouts. Another one has other bytes for the same files, so it has another name."""


_BEFORE_ALL: Final = DataFileId(0)

log = structlog.get_logger(__name__)


class NothingAvailable(Exception):
    """The order has no file that can be downloaded now."""

    code = "nothing-available"


@dataclass(frozen=True)
class MakeArchiveStep(Step, name="make-archive"):
    """Place the next files in an archive that is too large to be made while its client waits."""

    archive_id: ArchiveId
    pages: int
    """Pages that it has. A step that finds others was done before."""
    notice_pages: int
    after_failed: DataFileId
    """The last file that was named in the notice; 0: none was."""
    after: DataFileId | None = None
    """The last file that was placed; None: all were."""
    sub_orders: tuple[SubOrderId, ...] | None = None
    files: tuple[DataFileId, ...] | None = None

    @property
    def selection(self) -> Selection:
        return Selection(self.sub_orders, self.files)


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where the next files of an archive begin."""

    after: DataFileId | None = _BEFORE_ALL
    """None: all files were placed, and those that failed follow."""
    after_failed: DataFileId = _BEFORE_ALL


class MakeArchives:
    """Makes archives of the files that are available."""

    def __init__(
        self,
        downloads: Downloads,
        archives: Archives,
        store: Store,
        clock: Clock,
        most_files: int = MOST_FILES,
    ) -> None:
        """``most_files``: that are placed at once."""
        self._downloads = downloads
        self._archives = archives
        self._store = store
        self._clock = clock
        self._most_files = most_files

    async def make(
        self,
        tenant: Tenant,
        order_id: OrderId,
        kind: ArchiveFormat,
        selection: Selection = ALL_FILES,
        *,
        in_steps: bool = False,
    ) -> ArchiveId:
        """Make an archive of the files that are available now, and return its id.

        Of a whole order, it has also those that were delivered before.

        If there is one with exactly these files, it is returned: a download of it goes on where it was. Its
        notice names the files that had failed when it was made.

        Args:
            tenant: of the order.
            order_id: the order.
            kind: the format.
            selection: which of its files.
            in_steps: an archive of more than 100,000 files is made by steps, unless it has files that were
                delivered before. It is MAKING until they are done. There are no two of the same selection
                at a time.

        Raises:
            NothingAvailable: there is none, or the order ended meanwhile.
            CannotBeArchived: there are too many, or the size or checksum of one isn't known.
        """
        now = self._clock.now()
        having = self._archives if selection.delivered else self._downloads
        names = EntryNames(await having.repeated_names(tenant, order_id))
        plan = ArchivePlan(LAYOUTS[kind](now), names)
        rest = await self._place(tenant, order_id, selection, plan, _Cursor())
        if not plan.pages:
            raise _nothing(order_id)
        if rest is None:
            return await self._create(tenant, order_id, kind, plan, now)
        if not in_steps or selection.delivered:
            raise CannotBeArchived(f"Order {order_id} has more than {self._most_files} files.")
        return await self._begin(tenant, order_id, kind, selection, plan, rest, now)

    async def begin(
        self, tenant: Tenant, order_id: OrderId, kind: ArchiveFormat, selection: Selection
    ) -> ArchiveId:
        """Let steps make an archive, and return its id before any file is placed.

        Raises:
            NothingAvailable, CannotBeArchived: as of `make`.
        """
        if not await self._archives.available(
            tenant, order_id, selection, after=_BEFORE_ALL, limit=1
        ):
            raise _nothing(order_id)
        now = self._clock.now()
        plan = ArchivePlan(LAYOUTS[kind](now), EntryNames(frozenset()))
        return await self._begin(tenant, order_id, kind, selection, plan, _Cursor(), now)

    async def handle(self, tenant: Tenant, step: MakeArchiveStep) -> None:
        """Place the next files, and open the archive after the last ones."""
        async with self._store.unit_of_work(tenant) as uow:
            made = await uow.archives.lock(step.archive_id)
        if made is None or not _is_next(step, made):
            return
        names = await self._names_in(tenant, made)
        plan = ArchivePlan.after(LAYOUTS[made.format](made.created_at), names, made)
        cursor = _Cursor(step.after, step.after_failed)
        try:
            rest = await self._place(tenant, made.order_id, step.selection, plan, cursor)
            if rest is None and not (made.pages or plan.pages):
                raise _nothing(made.order_id)
        except (CannotBeArchived, NothingAvailable) as error:
            await self._abandon(tenant, step, error)
            return
        if rest is None:
            plan.end()
        async with self._store.unit_of_work(tenant) as uow:
            still = await uow.archives.lock(step.archive_id)
            if still is None or not _is_next(step, still):
                return
            await uow.archives.grow(made.id, plan.growth, made.notice_pages)
            if rest is None:
                tag = _tag(made.format, plan, made.created_at)
                await uow.archives.finish(made.id, plan.length, tag)
            else:
                following = _step(step.selection, made.id, plan, made.notice_pages, rest)
                await uow.messages.send([following.to(tenant)])

    async def _place(
        self,
        tenant: Tenant,
        order_id: OrderId,
        selection: Selection,
        plan: ArchivePlan,
        cursor: _Cursor,
    ) -> _Cursor | None:
        """Place the next files, and note those that failed after the last one.

        Returns:
            Where to go on if there are more than may be placed at once; None if all are.
        """
        left, after, after_failed = self._most_files, cursor.after, cursor.after_failed
        while after is not None:
            if left <= 0 and await self._archives.available(
                tenant, order_id, selection, after=after, limit=1
            ):
                return _Cursor(after, after_failed)
            files = await self._archives.available(
                tenant, order_id, selection, after=after, limit=PAGE
            )
            if files:
                plan.add(files)
            left -= len(files)
            after = files[-1].id if len(files) == PAGE else None
        while failed := await self._archives.failed(
            tenant, order_id, selection, after=after_failed, limit=PAGE
        ):
            if left <= 0:
                return _Cursor(None, after_failed)
            plan.add_failed(list(failed.values()))
            left -= len(failed)
            after_failed = max(failed)
        return None

    async def _create(
        self,
        tenant: Tenant,
        order_id: OrderId,
        kind: ArchiveFormat,
        plan: ArchivePlan,
        now: datetime,
    ) -> ArchiveId:
        same = await self._archives.with_content(tenant, order_id, kind, plan.content)
        if same is not None:
            return same
        plan.end()
        made = NewArchive(order_id, kind, now, plan.length, _tag(kind, plan, now), plan.growth)
        created = await self._archives.create(tenant, made)
        if created is None:
            raise _nothing(order_id)
        return created

    async def _begin(  # noqa: PLR0917 - one call
        self,
        tenant: Tenant,
        order_id: OrderId,
        kind: ArchiveFormat,
        selection: Selection,
        plan: ArchivePlan,
        rest: _Cursor,
        now: datetime,
    ) -> ArchiveId:
        """Store the first pages, and let steps place the other files."""
        if await self._archives.has_unplaceable(tenant, order_id, selection):
            raise CannotBeArchived("The catalog has no size or no checksum of a file.")
        selected = _name_of(selection)
        async with self._store.unit_of_work(tenant) as uow:
            at_work = await uow.archives.find(order_id, kind, selected)
            if at_work is not None:
                return at_work
            begun = await uow.archives.begin(order_id, kind, now, selected)
            if begun is None:
                raise _nothing(order_id)
            await uow.archives.grow(begun, plan.growth, 0)
            await uow.messages.send([_step(selection, begun, plan, 0, rest).to(tenant)])
        return begun

    async def _names_in(self, tenant: Tenant, made: AtWork) -> EntryNames:
        """Return the names that the pages of an archive have already."""
        repeated = await self._downloads.repeated_names(tenant, made.order_id)
        names = EntryNames(repeated)
        for number in range(made.pages):
            page = await self._archives.page(tenant, made.id, number)
            ids = []
            for entry in page.entries if page else ():
                names.take(entry.name)
                ids.append(entry.file_id)
            if repeated:
                files = await self._archives.files(tenant, made, ids)
                for file in files.values():
                    names.stored(file)
        return names

    async def _abandon(self, tenant: Tenant, step: MakeArchiveStep, error: Exception) -> None:
        """Delete an archive that can't be made, because of what became of the files meanwhile."""
        log.warning(
            "archive-abandoned", tenant=tenant, archive=f"a{step.archive_id}", cause=str(error)
        )
        async with self._store.unit_of_work(tenant) as uow:
            await uow.archives.abandon(step.archive_id)


def _nothing(order_id: OrderId) -> NothingAvailable:
    return NothingAvailable(f"Order {order_id} has no such file that can be downloaded now.")


def _is_next(step: MakeArchiveStep, made: AtWork) -> bool:
    return (step.pages, step.notice_pages) == (made.pages, made.notice_pages)


def _step(
    selection: Selection, made: ArchiveId, plan: ArchivePlan, notice_pages: int, rest: _Cursor
) -> MakeArchiveStep:
    """Return the step that goes on behind a plan. ``notice_pages``: those before it."""
    sub_orders, files = selection.sub_orders, selection.files
    return MakeArchiveStep(
        made,
        plan.first_page + len(plan.pages),
        notice_pages + len(plan.notice),
        rest.after_failed,
        rest.after,
        None if sub_orders is None else tuple(sub_orders),
        None if files is None else tuple(files),
    )


def _tag(kind: ArchiveFormat, plan: ArchivePlan, created_at: datetime) -> str:
    noted = "" if plan.notice_crc is None else f"-{plan.notice_crc:08x}"
    return f'"{_VERSION[kind]}-{plan.content}-{int(created_at.timestamp())}{noted}"'


def _name_of(selection: Selection) -> str:
    """Return a name that equal selections have."""
    return hashlib.sha256(orjson.dumps([selection.sub_orders, selection.files])).hexdigest()
