"""The reasons that operators give for what they change."""

from rs_order.contracts.wire import LONGEST_REASON, storable
from rs_order.core.errors import ReasonRejected


def checked_reason(reason: str) -> str:
    """Return a reason without blanks at its ends.

    Raises:
        ReasonRejected: it is empty, too long, or can't be stored.
    """
    text = reason.strip()
    if not text:
        raise ReasonRejected("A reason is needed", code="reason-missing")
    if len(text) > LONGEST_REASON:
        raise ReasonRejected(
            f"A reason has at most {LONGEST_REASON} characters", code="reason-too-long"
        )
    try:
        return storable(text)
    except ValueError as error:
        raise ReasonRejected(str(error), code="reason-unreadable") from error
