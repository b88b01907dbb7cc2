"""The moves of orders and sub-orders as data: from, to, reasons, and who may cause them.

The database holds the same pairs (``order_move``, ``sub_order_move``) and rejects any other move. The
reasons are the codes of the history. ``docs/states.md`` is generated from this module.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from rs_order.domain.errors import MoveNotAllowedError
from rs_order.domain.states import OrderStatus, SubOrderState


class Party(StrEnum):
    """The parties that may cause a move."""

    OWNER = "the owner"
    ADMINISTRATOR = "an administrator"
    PEER = "a service (`amqp`)"
    STORAGE = "`storage`"
    PROCESSING = "`rs-processing`"
    SERVICE = "`rs-order`"


class Reason(StrEnum):
    """Why a status or state changed."""

    CANCEL_REQUEST = "cancel-request"
    """A service asked for the order to be cancelled."""
    COMPLETION_FAILED = "completion-failed"
    """The files of the order couldn't be read from the catalog."""
    DELETED = "deleted"
    """The owner or an administrator deleted the order."""
    DOWNLOAD_ERRORS = "download-errors"
    """Downloads failed, and nothing is left to download."""
    DOWNLOADED = "downloaded"
    """Its last available file was downloaded, or its download failed."""
    EXPIRED = "expired"
    """The order passed its expiry date."""
    FILES_READ = "files-read"
    """Every file was read from the catalog, and what is complete at once was announced."""
    NOTHING_TO_ORDER = "nothing-to-order"
    """The catalog has no file, or none that passes the filter."""
    NOTHING_TO_ASK = "nothing-to-ask"
    """Storage has no pending input of its process."""
    ORDER_PAUSED = "order-paused"
    """Its order was paused."""
    PAUSED = "paused"
    """The owner or an administrator paused the order."""
    PROCESS_ENDED = "process-ended"
    """rs-processing sent the result of the last execution, or a late result."""
    PROCESS_NOT_STARTED = "process-not-started"
    """rs-processing rejected the batch, or no input was available."""
    PROCESS_SILENT = "process-silent"
    """rs-processing sent no result before the deadline."""
    RECOUNTED = "recounted"
    """The counters were wrong; the state follows the corrected ones."""
    REMOVED = "removed"
    """An administrator removed the deleted order: the last line of its history."""
    RESUMED = "resumed"
    """The owner or an administrator resumed the order."""
    RETRIED = "retried"
    """The owner or an administrator retried the files in error."""
    RETRY_ENDED = "retry-ended"
    """Every file in error was retried and none is pending; an order without files gets back its status."""
    STORAGE_ANSWERED = "storage-answered"
    """Storage settled the last requested file, or sent a late answer."""
    STORAGE_ASKED = "storage-asked"
    """A slot was free, and storage was asked for its files."""
    STORAGE_SILENT = "storage-silent"
    """Storage gave no answer before the deadline."""


CAUSED_BY: Mapping[Reason, tuple[Party, ...]] = {
    Reason.CANCEL_REQUEST: (Party.PEER,),
    Reason.COMPLETION_FAILED: (Party.SERVICE,),
    Reason.DELETED: (Party.OWNER, Party.ADMINISTRATOR),
    Reason.DOWNLOAD_ERRORS: (Party.OWNER,),
    Reason.DOWNLOADED: (Party.OWNER,),
    Reason.EXPIRED: (Party.SERVICE,),
    Reason.FILES_READ: (Party.SERVICE,),
    Reason.NOTHING_TO_ORDER: (Party.SERVICE,),
    Reason.NOTHING_TO_ASK: (Party.SERVICE,),
    Reason.ORDER_PAUSED: (Party.OWNER, Party.ADMINISTRATOR, Party.SERVICE),
    Reason.PAUSED: (Party.OWNER, Party.ADMINISTRATOR),
    Reason.PROCESS_ENDED: (Party.PROCESSING,),
    Reason.PROCESS_NOT_STARTED: (Party.SERVICE,),
    Reason.PROCESS_SILENT: (Party.SERVICE,),
    Reason.RECOUNTED: (Party.SERVICE,),
    Reason.REMOVED: (Party.ADMINISTRATOR,),
    Reason.RESUMED: (Party.OWNER, Party.ADMINISTRATOR),
    Reason.RETRIED: (Party.OWNER, Party.ADMINISTRATOR),
    Reason.RETRY_ENDED: (Party.SERVICE,),
    Reason.STORAGE_ANSWERED: (Party.STORAGE,),
    Reason.STORAGE_ASKED: (Party.SERVICE,),
    Reason.STORAGE_SILENT: (Party.SERVICE,),
}

_PROCESSED = (Reason.PROCESS_ENDED, Reason.PROCESS_NOT_STARTED, Reason.PROCESS_SILENT)
_SETTLED = (
    Reason.FILES_READ,
    Reason.STORAGE_ANSWERED,
    Reason.STORAGE_SILENT,
    *_PROCESSED,
    Reason.RETRY_ENDED,
    Reason.RESUMED,
    Reason.RECOUNTED,
)
_SETTLED_IN_PAUSE = (
    Reason.STORAGE_ANSWERED,
    Reason.PROCESS_ENDED,
    Reason.PROCESS_SILENT,
    Reason.RECOUNTED,
)
_LATE = (Reason.STORAGE_ANSWERED, Reason.PROCESS_ENDED)
_DELETED = (Reason.DELETED, Reason.CANCEL_REQUEST)
_UNUSED: tuple[Reason, ...] = ()
"""A move of the contract that this service never makes."""

ORDER_MOVES: Mapping[OrderStatus, Mapping[OrderStatus, tuple[Reason, ...]]] = {
    OrderStatus.PENDING: {
        OrderStatus.RUNNING: (Reason.FILES_READ,),
        OrderStatus.DONE: (Reason.FILES_READ,),
        OrderStatus.DONE_WITH_WARNING: (Reason.FILES_READ, Reason.NOTHING_TO_ORDER),
        OrderStatus.FAILED: (Reason.FILES_READ, Reason.COMPLETION_FAILED),
        OrderStatus.PAUSED: (Reason.PAUSED, Reason.CANCEL_REQUEST),
        OrderStatus.EXPIRED: (Reason.EXPIRED,),
        OrderStatus.ERROR: _UNUSED,
    },
    OrderStatus.RUNNING: {
        OrderStatus.DONE: _SETTLED,
        OrderStatus.DONE_WITH_WARNING: _SETTLED,
        OrderStatus.FAILED: _SETTLED,
        OrderStatus.PAUSED: (Reason.PAUSED, Reason.CANCEL_REQUEST),
        OrderStatus.EXPIRED: (Reason.EXPIRED,),
        OrderStatus.ERROR: _UNUSED,
    },
    OrderStatus.PAUSED: {
        OrderStatus.PENDING: (Reason.RESUMED,),
        OrderStatus.RUNNING: (Reason.RESUMED,),
        OrderStatus.DONE: _SETTLED_IN_PAUSE,
        OrderStatus.DONE_WITH_WARNING: _SETTLED_IN_PAUSE,
        OrderStatus.FAILED: _SETTLED_IN_PAUSE,
        OrderStatus.EXPIRED: (Reason.EXPIRED,),
        OrderStatus.DELETED: _DELETED,
        OrderStatus.ERROR: _UNUSED,
    },
    OrderStatus.DONE: {
        OrderStatus.DONE_WITH_WARNING: (Reason.DOWNLOAD_ERRORS,),
        OrderStatus.EXPIRED: (Reason.EXPIRED,),
        OrderStatus.DELETED: _DELETED,
    },
    OrderStatus.DONE_WITH_WARNING: {
        OrderStatus.DONE: _LATE,
        OrderStatus.RUNNING: (Reason.RETRIED,),
        OrderStatus.EXPIRED: (Reason.EXPIRED,),
        OrderStatus.DELETED: _DELETED,
    },
    OrderStatus.FAILED: {
        OrderStatus.DONE: _LATE,
        OrderStatus.DONE_WITH_WARNING: _LATE,
        OrderStatus.RUNNING: (Reason.RETRIED,),
        OrderStatus.DELETED: _DELETED,
    },
    OrderStatus.EXPIRED: {OrderStatus.DELETED: _DELETED},
    OrderStatus.ERROR: {OrderStatus.DELETED: _DELETED},
    OrderStatus.DELETED: {},
}
"""For each status, the next ones and their reasons. A late answer can improve a failed order."""

SUB_ORDER_MOVES: Mapping[SubOrderState, Mapping[SubOrderState, tuple[Reason, ...]]] = {
    SubOrderState.BUILDING: {
        SubOrderState.READY: (Reason.FILES_READ, Reason.RETRIED),
        SubOrderState.WAITING: (Reason.FILES_READ, Reason.RETRIED),
        SubOrderState.ENDED: (Reason.FILES_READ, Reason.RETRIED),
    },
    SubOrderState.READY: {
        SubOrderState.RUNNING: (Reason.STORAGE_ASKED,),
        SubOrderState.PROCESSING: (Reason.NOTHING_TO_ASK,),
        SubOrderState.WAITING: (Reason.STORAGE_ANSWERED, Reason.RECOUNTED),
        SubOrderState.ENDED: (Reason.STORAGE_ANSWERED, Reason.RECOUNTED),
    },
    SubOrderState.RUNNING: {
        SubOrderState.READY: (Reason.ORDER_PAUSED,),
        SubOrderState.PROCESSING: (Reason.STORAGE_ANSWERED, Reason.STORAGE_SILENT),
        SubOrderState.WAITING: (Reason.STORAGE_ANSWERED, Reason.STORAGE_SILENT, Reason.RECOUNTED),
        SubOrderState.ENDED: (Reason.STORAGE_ANSWERED, Reason.STORAGE_SILENT, Reason.RECOUNTED),
    },
    SubOrderState.PROCESSING: {
        SubOrderState.READY: (Reason.ORDER_PAUSED,),
        SubOrderState.WAITING: (Reason.PROCESS_ENDED, Reason.PROCESS_SILENT, Reason.RECOUNTED),
        SubOrderState.ENDED: (*_PROCESSED, Reason.RECOUNTED),
    },
    SubOrderState.WAITING: {SubOrderState.ENDED: (Reason.DOWNLOADED, Reason.RECOUNTED)},
    SubOrderState.ENDED: {SubOrderState.WAITING: (*_LATE, Reason.RECOUNTED)},
}
"""For each state, the next ones and their reasons. A late answer makes an ended sub-order wait again."""

State = TypeVar("State", OrderStatus, SubOrderState)


def require_move(
    moves: Mapping[State, Mapping[State, tuple[Reason, ...]]],
    subject: str,
    before: State,
    after: State,
    reason: Reason,
) -> None:
    """Check a move against ``ORDER_MOVES`` or ``SUB_ORDER_MOVES``.

    Raises:
        MoveNotAllowedError: the table has no such move, or not for this reason.
    """
    if reason not in moves[before].get(after, ()):
        raise MoveNotAllowedError(subject, before, after, reason)
