"""Pages of archives and of their notices as columns."""

from rs_order.domain.archives import Entry, NoticePage, Page
from rs_order.domain.ids import DataFileId
from rs_order.store.pool import Row


def page_columns(page: Page) -> tuple[object, ...]:
    entries = [[entry.file_id, entry.name, entry.size] for entry in page.entries]
    return page.number, page.start, page.record_start, entries, page.copies


def page_of(row: Row) -> Page:
    return Page(
        number=row["number"],
        start=row["start"],
        record_start=row["record_start"],
        entries=[Entry(DataFileId(id_), name, size) for id_, name, size in row["entries"]],
        copies=row["copies"],
    )


def notice_columns(page: NoticePage) -> tuple[object, ...]:
    return page.lines, [[one.name, one.code, one.reason] for one in page.failed]
