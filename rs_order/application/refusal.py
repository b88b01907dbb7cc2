"""Why a request becomes no order, and what its sender is told (amqp.md 2.3, 2.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rs_order.application.request_rules import Violation
from rs_order.contracts.order_response import ErrorType, ResponseStatus


@dataclass(frozen=True, slots=True)
class Refusal:
    """DENIED, or the FAILED of a request that never became an order."""

    status: ResponseStatus
    error_type: ErrorType
    message: str
    errors: int | None = None
    """Number of rules broken, for a request that breaks rules."""

    @classmethod
    def denied(cls, violations: Sequence[Violation]) -> "Refusal":
        """A request that breaks rules (decisions.md, Malformed request)."""
        unknown_user = any(violation.code == ErrorType.FORBIDDEN for violation in violations)
        return cls(
            ResponseStatus.DENIED,
            ErrorType.FORBIDDEN if unknown_user else ErrorType.INVALID_CONTENT,
            ", ".join(str(violation) for violation in violations),
            len(violations),
        )

    @classmethod
    def failed(cls, error_type: ErrorType, message: str) -> "Refusal":
        return cls(ResponseStatus.FAILED, error_type, message)
