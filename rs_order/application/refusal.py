"""Rejections of requests, as their senders receive them (amqp.md 2.3, 2.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rs_order.application.request_rules import Violation
from rs_order.contracts.order_response import ErrorType, ResponseStatus


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
