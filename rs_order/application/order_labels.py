"""Labels of new orders: the requested label, or a generated one that is unique for the owner."""

from datetime import datetime
from typing import Final

from rs_order.application.errors import LabelRefused
from rs_order.domain.order import MAX_LABEL, dated_label, unique_label
from rs_order.store.unit_of_work import UnitOfWork

TOO_LONG: Final = "TOO_MANY_CHARACTERS_IN_LABEL"
TAKEN: Final = "LABEL_NOT_UNIQUE_FOR_OWNER"


async def order_label(uow: UnitOfWork, owner: str, wanted: str | None, now: datetime) -> str:
    """Return the requested label, or one with the server's time (rest.md 7.1, C1).

    Raises:
        LabelRefused: it is too long, or the owner has an order with it.
    """
    if not wanted:
        return await free_label(uow, owner, dated_label(now.astimezone()))
    if len(wanted) > MAX_LABEL:
        raise LabelRefused(TOO_LONG)
    if await uow.orders.labels_taken([(owner, wanted)]):
        raise LabelRefused(TAKEN)
    return wanted


async def free_label(uow: UnitOfWork, owner: str, wanted: str) -> str:
    """Return the label, or its first numbered form that no order of the owner has (W40)."""
    taken = await uow.orders.labels_taken([(owner, wanted)])
    return unique_label(wanted, {label for _, label in taken})
