"""The store as the use cases see it: one unit of work per message, everything in sets.

Lock order, for whoever writes: first the owner's advisory lock (scheduling only), then his interactive
basket, then rows of orders by ascending id, then everything below them, then the limits of the service.
Counters of sub-orders and orders are only changed while the order's row is locked.
"""

from rs_order.domain.basket import (
    DatasetSelection,
    DatedSelection,
)
from rs_order.ports.store.baskets import (
    Baskets,
)
from rs_order.ports.store.completions import (
    AddedFiles,
    CompletionCursor,
    Completions,
    NewSubOrder,
)
from rs_order.ports.store.errors import (
    StoreConflict,
    StoreError,
    StoreUnavailable,
)
from rs_order.ports.store.files import (
    Files,
)
from rs_order.ports.store.mails import (
    CreatedOrder,
    MailKind,
    Mails,
    MailToSend,
    OwnersPage,
    WaitingOrder,
    WaitingOrders,
)
from rs_order.ports.store.orders import (
    NewOrder,
    Orders,
)
from rs_order.ports.store.processing import (
    Executions,
    ProcessChoices,
    ProcessedCursor,
    ProcessInputs,
    StoredInput,
    WindowCursor,
    Work,
)
from rs_order.ports.store.reconciliation import (
    CheckedOrder,
    CheckedSubOrder,
    MendedTask,
    OverdueSubOrder,
    Reconciliation,
    StandingOwner,
    Totals,
)
from rs_order.ports.store.requests import (
    NewRequest,
    RecordedRequest,
    Requests,
    RequestState,
)
from rs_order.ports.store.retries import (
    Retries,
    RetryCursor,
)
from rs_order.ports.store.settings import (
    StoredSettings,
)
from rs_order.ports.store.sub_orders import (
    Limits,
    ReadySubOrder,
    ReleasedSubOrder,
    SubOrderCount,
    SubOrders,
)
from rs_order.ports.store.tenants import (
    Tenants,
)
from rs_order.ports.store.unit_of_work import (
    Messages,
    Rounds,
    Store,
    UnitOfWork,
)

__all__ = [
    "AddedFiles",
    "Baskets",
    "CheckedOrder",
    "CheckedSubOrder",
    "CompletionCursor",
    "Completions",
    "CreatedOrder",
    "DatasetSelection",
    "DatedSelection",
    "Executions",
    "Files",
    "Limits",
    "MailKind",
    "MailToSend",
    "Mails",
    "MendedTask",
    "Messages",
    "NewOrder",
    "NewRequest",
    "NewSubOrder",
    "Orders",
    "OverdueSubOrder",
    "OwnersPage",
    "ProcessChoices",
    "ProcessInputs",
    "ProcessedCursor",
    "ReadySubOrder",
    "Reconciliation",
    "RecordedRequest",
    "ReleasedSubOrder",
    "RequestState",
    "Requests",
    "Retries",
    "RetryCursor",
    "Rounds",
    "StandingOwner",
    "Store",
    "StoreConflict",
    "StoreError",
    "StoreUnavailable",
    "StoredInput",
    "StoredSettings",
    "SubOrderCount",
    "SubOrders",
    "Tenants",
    "Totals",
    "UnitOfWork",
    "WaitingOrder",
    "WaitingOrders",
    "WindowCursor",
    "Work",
]
