"""The status of orders and products, as the extension ``order`` of STAC names it (faces.md S-12)."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

from rs_order.core.reason_texts import Language, text_of
from rs_order.domain.reasons import WaitingReason
from rs_order.domain.states import FileState, OrderStatus
from rs_order.store.stac import CollectedOrder


class StacStatus(StrEnum):
    """Clients know one failure. So everything that ends without something to download is ``failed``."""

    ORDERED = "ordered"
    SHIPPING = "shipping"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_OF_UNFINISHED: Final = {
    OrderStatus.PENDING: StacStatus.ORDERED,
    OrderStatus.RUNNING: StacStatus.SHIPPING,
    OrderStatus.PAUSED: StacStatus.PENDING,
}
_DELIVERABLE: Final = frozenset(
    {FileState.AVAILABLE, FileState.DOWNLOADED, FileState.DOWNLOAD_ERROR}
)


def status_of(order: CollectedOrder) -> StacStatus:
    """Return the status of an order that isn't deleted."""
    unfinished = _OF_UNFINISHED.get(order.status)
    if unfinished is not None:
        return unfinished
    end = order.ended_as if order.status is OrderStatus.EXPIRED else order.status
    if end is OrderStatus.DONE:
        return StacStatus.SUCCEEDED
    with_files = order.counters.once_available > 0 or order.status is OrderStatus.EXPIRED
    if end is OrderStatus.DONE_WITH_WARNING and with_files:
        return StacStatus.SUCCEEDED
    return StacStatus.FAILED


def status_of_files(order: CollectedOrder, states: Collection[FileState]) -> StacStatus:
    """Return the status of a product with files in these states."""
    if FileState.PENDING in states:
        return _OF_UNFINISHED.get(order.status, StacStatus.SHIPPING)
    return StacStatus.SUCCEEDED if _DELIVERABLE & set(states) else StacStatus.FAILED


def is_deliverable(state: FileState) -> bool:
    """True if a file can be downloaded now, maybe once more."""
    return state in _DELIVERABLE


_SOME_FAILED: Final[Mapping[Language, str]] = {
    Language.ENGLISH: "Files that failed: {failed} of {total}. The asset manifest names them, and why.",
    Language.FRENCH: "Fichiers en échec : {failed} sur {total}. L'asset manifest dit lesquels et pourquoi.",
}
_FIRST: Final[Mapping[Language, str]] = {
    Language.ENGLISH: "For example {name}: {reason}.",
    Language.FRENCH: "Par exemple {name} : {reason}.",
}
_ORDER_AGAIN: Final[Mapping[Language, str]] = {
    Language.ENGLISH: "Order again if you still need the files.",
    Language.FRENCH: "Commandez à nouveau si vous avez encore besoin des fichiers.",
}


def message_of(order: CollectedOrder, reason: WaitingReason, language: Language) -> str:
    """Return why an order isn't further, or how it has ended, in sentences that stand alone.

    Clients show them to their users when an order has failed (S-12).
    """
    sentences = [text_of(reason, language)]
    if order.status is OrderStatus.EXPIRED:
        sentences.append(_ORDER_AGAIN[language])
    elif order.status.final and order.counters.errors:
        total = order.counters.total_files
        if status_of(order) is StacStatus.SUCCEEDED:
            text = _SOME_FAILED[language]
            sentences.append(text.format(failed=order.counters.errors, total=total))
        elif order.first_failure is not None:
            name, cause = order.first_failure
            text = _FIRST[language]
            sentences.append(text.format(name=name, reason=cause.rstrip(".")))
    elif status_of(order) is StacStatus.FAILED and order.message:
        sentences.append(order.message)
    return " ".join(sentences)
