"""What the domain refuses. Each error has a stable code; HTTP and AMQP turn it into theirs at the edge.

OrderError
├── MoveNotAllowedError   the state machine has no such move
├── PatternRefusedError   a file-name pattern that RE2 doesn't accept
└── SettingRefusedError   a value that a setting can't have
"""

from rs_order.domain.ids import OrderId
from rs_order.domain.states import OrderStatus


class OrderError(Exception):
    """Base of what the domain refuses."""

    code = "order-error"


class MoveNotAllowedError(OrderError):
    """An order can't go from its status to the one asked for."""

    code = "move-not-allowed"

    def __init__(self, order_id: OrderId, before: OrderStatus, after: OrderStatus) -> None:
        super().__init__(f"order {order_id} can't go from {before} to {after}")


class PatternRefusedError(OrderError):
    """A regular expression on file names that RE2 doesn't accept; the text names the construct."""

    code = "pattern-refused"


class SettingRefusedError(OrderError):
    """A value that can't be converted to a setting's type, or that it may not have (domain.md 14.1)."""

    code = "setting-refused"

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"Invalid Tenant Setting: {name}. Cause: [invalid.setting.value] {rule}")
