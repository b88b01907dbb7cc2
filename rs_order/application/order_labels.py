"""The label of an order that a person makes (rest.md 7.1)."""

from datetime import datetime

from rs_order.application.errors import LabelRefused
from rs_order.domain.labels import MAX_LABEL, dated_label, unique_label
from rs_order.ports.store import UnitOfWork


async def order_label(uow: UnitOfWork, owner: str, wanted: str | None, now: datetime) -> str:
    """The label the owner wants, or a generated one in the server's time; none that he has already (W40).

    Raises:
        LabelRefused: it is too long, or he has an order with it.
    """
    if not wanted:
        generated = dated_label(now.astimezone())
        taken = await uow.orders.labels_taken([(owner, generated)])
        return unique_label(generated, {label for _, label in taken})
    if len(wanted) > MAX_LABEL:
        raise LabelRefused("TOO_MANY_CHARACTERS_IN_LABEL")
    if await uow.orders.labels_taken([(owner, wanted)]):
        raise LabelRefused("LABEL_NOT_UNIQUE_FOR_OWNER")
    return wanted
