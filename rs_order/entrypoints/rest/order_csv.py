"""Orders as CSV (rest.md 8.3): nothing is quoted, so nothing may need it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from rs_order.domain.instants import wire_instant
from rs_order.store.order_views import OrderView

HEADER: Final = (
    "ORDER_ID;CREATION_DATE;EXPIRATION_DATE;OWNER;STATUS;STATUS_DATE;PERCENT_COMPLETE;"
    "FILES_IN_ERROR;FILES_SIZE;FILES_COUNT\n"
)
_BREAKING: Final = str.maketrans("", "", ";\r\n")
"""What would end a field or a line; no e-mail holds it."""


async def csv_lines(
    parts: AsyncIterator[Sequence[OrderView]], facts: dict[str, Any]
) -> AsyncIterator[str]:
    """The header with the first part, then part by part; ``facts["orders"]`` counts them."""
    text = HEADER
    async for part in parts:
        facts["orders"] += len(part)
        yield text + "".join(csv_line(view) for view in part)
        text = ""
    if text:
        yield text


def csv_line(view: OrderView) -> str:
    fields = (
        view.id,
        wire_instant(view.created_at),
        wire_instant(view.expires_at) if view.expires_at else "",
        view.owner.translate(_BREAKING),
        view.status,
        wire_instant(view.status_at),
        view.percent,
        view.errors,
        sum(task.bytes for task in view.dataset_tasks),
        sum(task.files for task in view.dataset_tasks),
    )
    return ";".join(str(field) for field in fields) + "\n"
