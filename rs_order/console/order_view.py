"""The page of one order: a pure function from what was read to what is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from rs_order.console import looks
from rs_order.console.order_rows import OrderRow, SubOrderRow, sub_order_row
from rs_order.console.paging import Neighbours
from rs_order.console.texts import Texts
from rs_order.console.timeline import Timeline, timeline_of
from rs_order.contracts.progress_bodies import ProgressDto
from rs_order.domain.expectations import Expectations
from rs_order.domain.ids import DatasetTaskId, SubOrderId
from rs_order.domain.reasons import OrderFacts
from rs_order.domain.states import FileState, SubOrderState
from rs_order.ports import Resource
from rs_order.progress.document import sub_order_document
from rs_order.rest.resources import (
    DOWNLOAD_FILE,
    DOWNLOAD_ORDER,
    GET_ARCHIVE_OF_ORDER,
    GET_FILE_LIST,
    GET_METALINK,
)
from rs_order.store.order_pages import DELIVERABLE, Move, ShownDataset, ShownFile, ShownOrder
from rs_order.store.progress import SubOrderProgress

SUB_ORDERS: Final = 50
FILES: Final = 50
MOVES: Final = 4000
"""The most moves that a timeline is drawn from."""
TABLE_MOVES: Final = 200
"""The most moves that are listed in words, the last ones."""
_DOWNLOADS: Final = (
    ("zip", "zip", DOWNLOAD_ORDER),
    ("archive", "archive.zip", GET_ARCHIVE_OF_ORDER),
    ("tar", "archive.tar", GET_ARCHIVE_OF_ORDER),
    ("metalink", "metalink", GET_METALINK),
    ("txt", "files.txt", GET_FILE_LIST),
    ("aria2", "files.aria2", GET_FILE_LIST),
    ("curl", "files.curl", GET_FILE_LIST),
    ("csv", "files.csv", GET_FILE_LIST),
    ("sha256", "files.sha256", GET_FILE_LIST),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filters and positions in the address of the page."""

    sub: SubOrderState | None = None
    before: SubOrderId | None = None
    state: FileState | None = None
    dataset: DatasetTaskId | None = None
    name: str = ""
    after: int = 0

    def query(self, **changed: object) -> str:
        """Return the query of an address with these filters, some of them changed."""
        values = {one.name: getattr(self, one.name) for one in fields(self)} | changed
        return urlencode({name: value for name, value in values.items() if value})


@dataclass(frozen=True, slots=True)
class OrderContent:
    """An order as it was read. If there are more sub-orders or files than fit, one more than fit was read."""

    order: ShownOrder
    row: OrderRow
    facts: OrderFacts
    document: ProgressDto
    expectations: Expectations
    moves: Sequence[Move]
    sub_orders: Sequence[SubOrderProgress]
    datasets: Sequence[ShownDataset]
    files: Sequence[ShownFile]


@dataclass(frozen=True, slots=True)
class MoveRow:
    at: datetime
    of: str
    text: str
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class FileRow:
    name: str
    state: FileState
    reason: str | None
    size: str
    dataset: str
    link: str | None
    """The path of its download, below the console; None: it can't be downloaded."""


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Download:
    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class SubOrderList:
    rows: Sequence[SubOrderRow]
    states: Sequence[SubOrderState]
    total: str
    pages: Neighbours


@dataclass(frozen=True, slots=True)
class FileList:
    rows: Sequence[FileRow]
    states: Sequence[FileState]
    datasets: Sequence[ShownDataset]
    pages: Neighbours


def order_model(  # noqa: PLR0917 - one call, beside what it gives
    content: OrderContent,
    wanted: Wanted,
    texts: Texts,
    now: datetime,
    root: str,
    may: Callable[[Resource], bool],
) -> dict[str, Any]:
    """Return the values of the template.

    Args:
        content: what was read.
        wanted: the filters of the page.
        texts: the language of the visitor.
        now: the time.
        root: the path of the console.
        may: whether the visitor's role may use an endpoint.
    """
    order, document = content.order, content.document
    moves, kept = content.moves[:MOVES], not order.status.deleted_or_expired
    return {
        "order": order,
        "row": content.row,
        "figures": figures_of(order, texts),
        "also": [one.text for one in document.also],
        "ahead": _ahead(document, texts),
        "attempts": _attempts(document, texts),
        "timeline": _timeline(order, moves, now, texts),
        "moves": [_move_row(one, texts) for one in reversed(moves[-TABLE_MOVES:])],
        "moves_cut": texts("timeline.cut", number=TABLE_MOVES) if len(moves) > TABLE_MOVES else "",
        "sub_orders": sub_orders_of(content, wanted, texts, root)
        if kept and order.sub_orders
        else None,
        "files": files_of(content, wanted, texts, root, may)
        if kept and order.files.total_files
        else None,
        "downloads": downloads_of(content.row, may),
        "looks": looks,
    }


def _timeline(
    order: ShownOrder, moves: Sequence[Move], now: datetime, texts: Texts
) -> Timeline | None:
    return timeline_of(moves, order.status, now, texts)


def figures_of(order: ShownOrder, texts: Texts) -> list[Figure]:
    """Return the numbers of files and bytes by state, those that aren't zero."""
    counters = order.files
    return [
        Figure(
            texts(f"files.{state}"),
            f"{texts.number(counters.files[state])} · {texts.size(counters.bytes[state])}",
        )
        for state in FileState
        if counters.files[state]
    ]


def _ahead(document: ProgressDto, texts: Texts) -> str:
    ahead = document.ahead
    if ahead is None or not ahead.sub_orders:
        return ""
    return texts(
        "why.ahead-of",
        sub_orders=texts.count("sub-order", ahead.sub_orders),
        files=texts.count("file", ahead.files),
        size=texts.size(ahead.bytes),
    )


def _attempts(document: ProgressDto, texts: Texts) -> str:
    attempts = document.attempts
    if attempts.asks < 2:  # noqa: PLR2004 - the first request is no news
        return ""
    return texts.count("time", attempts.asks)


def _move_row(move: Move, texts: Texts) -> MoveRow:
    kind = "status" if move.sub_order_id is None else "sub-order"
    after = texts(f"{kind}.{move.after}")
    text = f"{texts(f'{kind}.{move.before}')} → {after}" if move.before else after
    of = texts("timeline.order") if move.sub_order_id is None else f"#{move.sub_order_id}"
    reason = f"move.{move.reason}"
    return MoveRow(
        move.at, of, text, texts(reason) if texts.has(reason) else move.reason, move.actor
    )


def sub_orders_of(content: OrderContent, wanted: Wanted, texts: Texts, root: str) -> SubOrderList:
    shown = content.sub_orders[:SUB_ORDERS] if content.facts.files_known else []
    moved_at = _moved_at(content.moves)
    rows = [
        sub_order_row(
            sub_order_document(content.facts, one, content.expectations, texts.language),
            texts,
            texts.size(one.counters.total_bytes),
            moved_at.get(one.id),
        )
        for one in shown
    ]

    def address(**changed: object) -> str:
        return f"{root}/orders/{content.order.id}?{wanted.query(**changed)}#sub-orders"

    more = len(content.sub_orders) > SUB_ORDERS
    pages = Neighbours(
        address(before=None) if wanted.before else None,
        address(before=shown[-1].id) if more else None,
    )
    total = texts.number(content.order.sub_orders)
    return SubOrderList(rows, list(SubOrderState), total, pages)


def _moved_at(moves: Sequence[Move]) -> dict[SubOrderId, datetime]:
    """Return when each sub-order came to its state; nothing if there are too many moves to know it."""
    if len(moves) > MOVES:
        return {}
    return {one.sub_order_id: one.at for one in moves if one.sub_order_id is not None}


def files_of(
    content: OrderContent,
    wanted: Wanted,
    texts: Texts,
    root: str,
    may: Callable[[Resource], bool],
) -> FileList:
    labels = {one.id: one.label for one in content.datasets}
    shown = content.files[:FILES]
    fetchable = content.row.fetchable and may(DOWNLOAD_FILE)
    rows = [
        FileRow(
            name=one.name,
            state=one.state,
            reason=one.reason or (one.reason_code if one.state.failed else None),
            size=texts.size(one.size) if one.size is not None else "?",
            dataset=labels.get(one.dataset_task_id, ""),
            link=f"orders/{content.order.id}/files/{one.id}"
            if fetchable and one.state in DELIVERABLE
            else None,
        )
        for one in shown
    ]

    def address(**changed: object) -> str:
        return f"{root}/orders/{content.order.id}?{wanted.query(**changed)}#files"

    more = len(content.files) > FILES
    pages = Neighbours(
        address(after=None) if wanted.after else None,
        address(after=shown[-1].id) if more else None,
    )
    return FileList(rows, list(FileState), content.datasets, pages)


def downloads_of(row: OrderRow, may: Callable[[Resource], bool]) -> list[Download]:
    """Return the ways to have the files. The zip that is made while it is sent has only new ones."""
    if not row.fetchable:
        return []
    offered = _DOWNLOADS if row.may.download else _DOWNLOADS[1:]
    return [Download(kind, path) for kind, path, resource in offered if may(resource)]
