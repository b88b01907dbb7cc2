"""Views of files: a page and a total, whose cost doesn't depend on the size of the order."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rs_order.domain.ids import DataFileId, DatasetTaskId, OrderId, SubOrderId, Tenant
from rs_order.domain.states import FileState
from rs_order.store.lists import Listed, SortBy, sorted_statement
from rs_order.store.pool import Pool, Row, statements
from rs_order.store.tenant_reads import read_rows

SQL = statements("file_views")
_DEFAULT_ORDER: Final = "order by file.id"


class FileProperty(StrEnum):
    """The properties that files can be sorted by, with their names in REST (rest.md 3.4)."""

    ID = "id"
    STATE = "state"
    ORDER_ID = "orderId"
    FILES_TASK_ID = "filesTaskId"
    IP_ID = "ipId"
    PRODUCT_ID = "productId"
    VERSION = "version"
    DATA_TYPE = "dataType"
    REFERENCE = "reference"
    URI = "uri"
    MIME_TYPE = "mimeType"
    ONLINE = "online"
    CHECKSUM = "checksum"
    DIGEST_ALGORITHM = "digestAlgorithm"
    FILESIZE = "filesize"
    FILENAME = "filename"


@dataclass(slots=True)  # a frozen one takes three times as long to create
class FileView:
    """A file of an order (rest.md 5.7)."""

    id: DataFileId
    state: FileState
    reason: str | None
    """The cause of the state, if there is more to know."""
    order_id: OrderId
    sub_order_id: SubOrderId
    product_urn: str
    product_id: str | None
    product_version: int
    data_type: str
    name: str
    url: str
    external: bool
    online: bool
    size: int | None
    checksum: str | None
    checksum_algorithm: str | None
    mime_type: str | None


@dataclass(frozen=True, slots=True)
class FilesOfDataset:
    """A page of the files of one dataset of an order."""

    owner: str
    """The owner of the order."""
    files: Listed[FileView] | None
    """None if the order has no such dataset task."""


_COLUMNS: Final = {
    FileProperty.ID: "file.id",
    FileProperty.FILES_TASK_ID: "file.sub_order_id",
    FileProperty.IP_ID: "file.product_urn",
    FileProperty.PRODUCT_ID: "file.product_id",
    FileProperty.VERSION: "file.product_version",
    FileProperty.DATA_TYPE: "file.data_type",
    FileProperty.REFERENCE: "file.external",
    FileProperty.URI: "file.url",
    FileProperty.MIME_TYPE: "file.mime_type",
    FileProperty.ONLINE: "file.online",
    FileProperty.CHECKSUM: "file.checksum",
    FileProperty.DIGEST_ALGORITHM: "file.checksum_algorithm",
    FileProperty.FILESIZE: "file.size",
    FileProperty.FILENAME: "file.name",
}
"""Without the properties that are the same for all available files of an order."""


class FileViews:
    """Views of files. Totals are counters. All calls raise StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of_dataset(
        self, tenant: Tenant, order_id: OrderId, task: DatasetTaskId, *, limit: int, offset: int
    ) -> FilesOfDataset | None:
        """Return files in any state by ascending id. None if there is no such order."""
        rows = await read_rows(self._pool, tenant, SQL["of_dataset"], order_id, task, limit, offset)
        if not rows:
            return None
        owner, total = rows[0]["owner"], rows[0]["total"]
        if total is None:
            return FilesOfDataset(owner, None)
        files = [_view_of(row) for row in rows if row["id"] is not None]
        return FilesOfDataset(owner, Listed(total, files))

    async def available(
        self,
        tenant: Tenant,
        order_id: OrderId,
        sub_order_id: SubOrderId | None,
        sort: Sequence[SortBy[FileProperty]],
        *,
        limit: int,
        offset: int,
    ) -> Listed[FileView]:
        """Return AVAILABLE files of an order, or of one of its sub-orders. An unknown one has none."""
        of_what: tuple[int, ...] = (order_id,)
        suffix = ""
        if sub_order_id is not None:
            of_what, suffix = (order_id, sub_order_id), "_of_sub_order"
        meaningful = [one for one in sort if one.property in _COLUMNS]
        statement = sorted_statement(
            SQL[f"available{suffix}"], _DEFAULT_ORDER, _COLUMNS, meaningful, last="file.id"
        )
        counted = await read_rows(self._pool, tenant, SQL[f"count_available{suffix}"], *of_what)
        if not counted or not counted[0]["files"]:
            return Listed(0, ())
        rows = await read_rows(self._pool, tenant, statement, *of_what, limit, offset)
        return Listed(counted[0]["files"], [_view_of(row) for row in rows])


def _view_of(row: Row) -> FileView:
    return FileView(
        id=DataFileId(row["id"]),
        state=FileState(row["state"]),
        reason=row["reason"],
        order_id=OrderId(row["order_id"]),
        sub_order_id=SubOrderId(row["sub_order_id"]),
        product_urn=row["product_urn"],
        product_id=row["product_id"],
        product_version=row["product_version"],
        data_type=row["data_type"],
        name=row["name"],
        url=row["url"],
        external=row["external"],
        online=row["online"],
        size=row["size"],
        checksum=row["checksum"],
        checksum_algorithm=row["checksum_algorithm"],
        mime_type=row["mime_type"],
    )
