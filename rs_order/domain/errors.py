"""What the domain refuses. Each error has a stable code; HTTP and AMQP turn it into theirs at the edge.

OrderError
├── MoveNotAllowedError   no such move of an order or sub-order, or not for this reason
├── PatternRefusedError   a file-name pattern that RE2 doesn't accept
└── SettingRefusedError   a value that a setting can't have
"""

from enum import StrEnum


class OrderError(Exception):
    """Base of what the domain refuses."""

    code = "order-error"


class MoveNotAllowedError(OrderError):
    """An order or sub-order can't go from where it is to another status or state for a reason."""

    code = "move-not-allowed"

    def __init__(self, subject: str, before: StrEnum, after: StrEnum, reason: StrEnum) -> None:
        """``subject``: the order or sub-order with its id."""
        super().__init__(f"{subject} can't go from {before} to {after} for the reason {reason}")


class PatternRefusedError(OrderError):
    """A regular expression on file names that RE2 doesn't accept; the text names the construct."""

    code = "pattern-refused"


class SettingRefusedError(OrderError):
    """A value that can't be converted to a setting's type, or that it may not have (domain.md 14.1)."""

    code = "setting-refused"

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"Invalid Tenant Setting: {name}. Cause: [invalid.setting.value] {rule}")
