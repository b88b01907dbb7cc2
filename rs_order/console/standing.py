"""Prepares what stands still, in pure functions: since when, why, and what would move it (console.md 4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rs_order.console.order_rows import OrderRow
from rs_order.console.texts import Texts
from rs_order.store.standing import Cause, Standing


@dataclass(frozen=True, slots=True)
class Remedy:
    """A way to move something that stands still."""

    text: str
    next_at: datetime | None
    """When the service does it by itself; None: it isn't known."""
    detail: str


@dataclass(frozen=True, slots=True)
class StandingRow:
    order: OrderRow | None
    """None: steps of no order."""
    since: datetime
    remedies: Sequence[Remedy]
    at_storage: bool
    """True if storage can be asked again."""
    in_queue: bool
    failed: bool
    """True if a step failed, so that there may be a dead letter."""


def standing_rows(
    causes: Sequence[Standing], row_of: Callable[[int], OrderRow | None], texts: Texts
) -> list[StandingRow]:
    """Return a row for each order that stands still, and for each step of no order, as the causes follow.

    ``row_of`` returns an order, or None if it was removed meanwhile.
    """
    by_subject: dict[object, list[Standing]] = {}
    for one in causes:
        by_subject.setdefault(one.order_id or (one.step, one.subject), []).append(one)
    found = []
    for own in by_subject.values():
        order = row_of(own[0].order_id) if own[0].order_id is not None else None
        if order is not None or own[0].order_id is None:
            found.append(_row(order, own, texts))
    return found


def _row(order: OrderRow | None, causes: Sequence[Standing], texts: Texts) -> StandingRow:
    kinds = {one.cause for one in causes}
    return StandingRow(
        order=order,
        since=causes[0].since,
        remedies=[remedy_of(one, texts) for one in causes],
        at_storage=Cause.STORAGE in kinds,
        in_queue=Cause.QUEUE in kinds,
        failed=Cause.STEP in kinds,
    )


def remedy_of(one: Standing, texts: Texts) -> Remedy:
    """Return what would move something that stands still for one cause."""
    values: Mapping[str, object] = {
        "times": texts.count("time", one.times),
        "sub_orders": texts.count("sub-order", one.sub_orders),
        "step": one.step or "",
    }
    return Remedy(
        texts(f"standing.{one.cause}", **values),
        one.next_at,
        one.detail or ("" if one.order_id else one.subject or ""),
    )
