"""Responses to peers (amqp.md 2.6) and notifications to people (domain.md 16).

The chapters fix the texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rs_order.contracts.notifications import Level, Notification, NotificationEvent
from rs_order.contracts.order_messages import ErrorType, OrderResponse, ResponseStatus
from rs_order.contracts.platform_names import PROJECT_ADMIN
from rs_order.domain.ids import OrderId, RequestId, Tenant
from rs_order.domain.order import Order
from rs_order.domain.states import OrderStatus
from rs_order.domain.sub_order import SubOrder
from rs_order.ports import MessageKind
from rs_order.store.outbox import OutgoingMessage, order_stream, request_stream

PATTERN = "Pattern"
"""The code of a violation that is shown to a person with its field."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a request breaks; peers read its text."""

    code: str
    text: str
    field: str
    value: str = "null"

    def __str__(self) -> str:
        return f"[{self.code}] {self.text} at {self.field}: rejected value [{self.value}]."

    @property
    def sentence(self) -> str:
        """Return the text for a person: the rule alone (rest.md 4.2), for a pattern with its field."""
        return f"{self.field}: {self.text}" if self.code == PATTERN else self.text


@dataclass(frozen=True, slots=True)
class Rejection:
    """The answer DENIED, or FAILED, to a request that doesn't become an order."""

    status: ResponseStatus
    error_type: ErrorType
    message: str
    errors: int | None = None
    """The number of broken rules, for a request that breaks rules."""

    @classmethod
    def denied(cls, violations: Sequence[Violation]) -> "Rejection":
        """Return the rejection of a request that breaks rules (decisions.md, Malformed request)."""
        unknown_user = any(violation.code == ErrorType.FORBIDDEN for violation in violations)
        return cls(
            ResponseStatus.DENIED,
            ErrorType.FORBIDDEN if unknown_user else ErrorType.INVALID_CONTENT,
            ", ".join(str(violation) for violation in violations),
            len(violations),
        )

    @classmethod
    def failed(cls, error_type: ErrorType, message: str) -> "Rejection":
        return cls(ResponseStatus.FAILED, error_type, message)


Response = tuple[OutgoingMessage, OrderId | None, RequestId | None]
"""A message with the order and the request that it answers; repeats find it by these."""


def granted(
    tenant: Tenant, order_id: OrderId, request_id: RequestId, correlation_id: str
) -> Response:
    """Return the response GRANTED for a request that became an order."""
    response = OrderResponse(
        status=ResponseStatus.GRANTED, order_id=order_id, correlation_id=correlation_id
    )
    return _about_order(tenant, response, order_id, request_id)


def rejected(
    tenant: Tenant, request_id: RequestId, correlation_id: str, rejection: Rejection
) -> Response:
    """Return the response DENIED or FAILED for a request that doesn't become an order."""
    response = OrderResponse(
        status=rejection.status,
        correlation_id=correlation_id,
        message=rejection.message,
        error_type=rejection.error_type,
        errors=rejection.errors,
    )
    return _message(tenant, response, request_stream(tenant, request_id)), None, request_id


def sub_order_done(tenant: Tenant, order: Order, sub_order: SubOrder, link: str) -> Response:
    """Return the response for a settled sub-order: lines 3 and 4 of the table in amqp.md 2.6."""
    errors = sub_order.counters.errors
    ending = "with some warnings." if errors else "and ready to download."
    response = OrderResponse(
        status=ResponseStatus.SUBORDER_DONE,
        order_id=order.id,
        correlation_id=order.correlation_id,
        message=f"A sub-order of user {order.owner} is finished {ending}",
        download_link=link,
        error_type=ErrorType.INTERNAL_ERROR if errors else None,
        errors=errors or None,
        total_sub_orders=order.sub_orders,
        sub_order_id=sub_order.id,
    )
    return _about_order(tenant, response, order.id, order.request_id)


_ENDINGS = {
    OrderStatus.DONE: "Order of user {owner} is finished",
    OrderStatus.DONE_WITH_WARNING: "Order of user {owner} is finished with some warnings.",
    OrderStatus.FAILED: (
        "Order of user {owner} is finished with errors. One or many files could not be retrieved."
    ),
}


def order_ended(tenant: Tenant, order: Order, link: str) -> Response:
    """Return the response for an ended order (lines 5 to 7); DONE_WITH_WARNING is sent as FAILED (6.3)."""
    done = order.status is OrderStatus.DONE
    response = OrderResponse(
        status=ResponseStatus.DONE if done else ResponseStatus.FAILED,
        order_id=order.id,
        correlation_id=order.correlation_id,
        message=_ENDINGS[order.status].format(owner=order.owner),
        download_link=None if order.status is OrderStatus.FAILED else link,
        error_type=None if done else ErrorType.INTERNAL_ERROR,
        errors=order.counters.errors or None,
        total_sub_orders=order.sub_orders,
    )
    return _about_order(tenant, response, order.id, order.request_id)


def _about_order(
    tenant: Tenant, response: OrderResponse, order_id: OrderId, request_id: RequestId | None
) -> Response:
    message = _message(tenant, response, order_stream(tenant, order_id))
    return message, order_id, request_id


def _message(tenant: Tenant, response: OrderResponse, stream: str) -> OutgoingMessage:
    return OutgoingMessage(
        kind=MessageKind.ORDER_RESPONSE,
        tenant=tenant,
        body=response.to_wire(),
        stream=stream,
        correlation_id=response.correlation_id,
    )


def unusable_template(tenant: Tenant, template: str, problem: str) -> OutgoingMessage:
    """Return the notification that a mail template can't be used, and why."""
    event = NotificationEvent(
        notification=Notification(
            title="Mail template",
            message=(
                f'The template "{template}" can\'t be used: {problem}. The packaged template was taken '
                "in its place; correct the file, it is read again with the next mail."
            ),
            level=Level.ERROR,
            role_recipients=[PROJECT_ADMIN],
        )
    )
    return OutgoingMessage(kind=MessageKind.NOTIFICATION, tenant=tenant, body=event.to_wire())


def oversized_file(tenant: Tenant, name: str) -> OutgoingMessage:
    """Return the notification that a stored file is larger than a sub-order (domain.md 16.4)."""
    event = NotificationEvent(
        notification=Notification(
            title="Order creation",
            message=f'File "{name}" is bigger than sub-order size',
            level=Level.WARNING,
            role_recipients=[PROJECT_ADMIN],
        )
    )
    return OutgoingMessage(kind=MessageKind.NOTIFICATION, tenant=tenant, body=event.to_wire())
