"""Errors of the domain. Each has a stable code, which REST and AMQP translate.

OrderError
├── MoveNotAllowedError    no such move of an order or sub-order, or not for this reason
├── PatternRejectedError   a file-name pattern that RE2 rejects
└── SettingRejectedError   a value that a setting rejects
"""

from enum import StrEnum


class OrderError(Exception):
    """Base of the domain's errors."""

    code = "order-error"


class MoveNotAllowedError(OrderError):
    """An order or sub-order has no such move, or not for this reason."""

    code = "move-not-allowed"

    def __init__(self, subject: str, before: StrEnum, after: StrEnum, reason: StrEnum) -> None:
        """``subject``: the order or sub-order with its id."""
        super().__init__(f"{subject} can't go from {before} to {after} for the reason {reason}")


class PatternRejectedError(OrderError):
    """RE2 rejects a pattern of file names; the text names the construct."""

    code = "pattern-refused"


class SettingRejectedError(OrderError):
    """A value doesn't have the type of a setting, or the setting doesn't allow it (domain.md 14.1)."""

    code = "setting-refused"

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"Invalid Tenant Setting: {name}. Cause: [invalid.setting.value] {rule}")
