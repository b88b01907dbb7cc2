"""Checks that every line of a history is an allowed move with an allowed reason (docs/states.md)."""

from collections.abc import Iterable, Mapping
from typing import Any

from rs_order.domain.moves import ORDER_MOVES, SUB_ORDER_MOVES, Reason
from rs_order.domain.states import OrderStatus, SubOrderState
from rs_order.store.pool import Row

HISTORY = "select sub_order_id is null as of_order, before, after, reason from history order by id"
Line = tuple[str | None, str, str]


def unexplained_moves(rows: Iterable[Row | Mapping[str, Any]]) -> list[Line]:
    """Return from, to and reason of the lines of ``HISTORY`` that ``domain/moves.py`` doesn't allow."""
    return [
        (row["before"], row["after"], row["reason"])
        for row in rows
        if not is_explained(row["of_order"], row["before"], row["after"], row["reason"])
    ]


def is_explained(of_order: bool, before: str | None, after: str, reason: str) -> bool:
    """True if ``domain/moves.py`` allows the move, of an order or else of a sub-order."""
    return (_of_an_order if of_order else _of_a_sub_order)(before, after, reason)


def _of_an_order(before: str | None, after: str, reason: str) -> bool:
    if before is None:
        return (after, reason) == (OrderStatus.PENDING, "order-created")
    if after == "REMOVED":
        return (before, reason) == (OrderStatus.DELETED, Reason.REMOVED)
    return reason in ORDER_MOVES[OrderStatus(before)].get(OrderStatus(after), ())


def _of_a_sub_order(before: str | None, after: str, reason: str) -> bool:
    if before is None:
        return False
    if after == "REMOVED":
        return (before, reason) == (SubOrderState.ENDED, Reason.RETRIED)
    return reason in SUB_ORDER_MOVES[SubOrderState(before)].get(SubOrderState(after), ())
