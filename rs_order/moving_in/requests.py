"""Requests that the Java service took from its queues and never answered: they wait in its jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from pydantic import ValidationError

from rs_order.contracts.order_messages import OrderRequest
from rs_order.domain.ids import OrderId
from rs_order.moving_in.rules import Rule, Tally
from rs_order.store.java_source import SourceSnapshot

_ORDERS: Final = "ORDER_REQUEST_EVENT"
_UNFINISHED: Final = ("PENDING", "QUEUED", "TO_BE_RUN", "RUNNING")


@dataclass(frozen=True, slots=True)
class WaitingRequests:
    """Order requests without an order, and orders that are to be cancelled."""

    orders: list[OrderRequest] = field(default_factory=list)
    cancelled: list[OrderId] = field(default_factory=list)


async def waiting_requests(snapshot: SourceSnapshot, tally: Tally) -> WaitingRequests:
    """Return the requests of jobs that aren't done; those of failed jobs have got no answer (W13)."""
    found = WaitingRequests()
    rows = await snapshot.rows("waiting_requests")
    requests = [
        (row, request)
        for row in rows
        if row["name"] == _ORDERS
        for request in _requests(row["value"])
    ]
    answered = {
        (row["correlation_id"], row["owner"])
        for row in await snapshot.rows(
            "answered_requests",
            [request.correlation_id or "" for _, request in requests],
            [request.user or "" for _, request in requests],
        )
    }
    for row, request in requests:
        if (request.correlation_id, request.user) in answered:
            continue
        if row["status"] in _UNFINISHED and request.correlation_id is not None:
            found.orders.append(request)
            tally.went("requests", "ORDER", "ORDER")
        else:
            tally.went("requests", "ORDER", None, Rule.REQUEST_LOST)
            tally.found(Rule.REQUEST_LOST, request.correlation_id or str(row["job_id"]))
    for row in rows:
        if row["name"] != _ORDERS and row["status"] in _UNFINISHED:
            ids = _ids(row["value"])
            found.cancelled.extend(ids)
            for _ in ids:
                tally.went("requests", "CANCEL", "CANCEL")
    return found


def _requests(text: str) -> list[OrderRequest]:
    found = []
    for one in _list(text):
        try:
            found.append(OrderRequest.model_validate(one))
        except ValidationError:
            found.append(OrderRequest())
    return found


def _ids(text: str) -> Sequence[OrderId]:
    return [
        OrderId(one["id"])
        for one in _list(text)
        if isinstance(one, Mapping) and isinstance(one.get("id"), int)
    ]


def _list(text: str | None) -> list[Any]:
    try:
        found = orjson.loads(text or "[]")
    except orjson.JSONDecodeError:
        return []
    return found if isinstance(found, list) else []
