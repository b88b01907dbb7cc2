"""What the reconciler looks for: counters that are wrong, and work that no step stands for any more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rs_order.domain.ids import DatasetTaskId, MailId, OrderId, RequestId, SubOrderId
from rs_order.domain.states import SubOrderState
from rs_order.domain.tally import Tally
from rs_order.ports.store.retries import RetryCursor


@dataclass(frozen=True, slots=True)
class CheckedOrder:
    """An order as a walk found it."""

    id: OrderId
    miscounted: bool
    """Its counters differ from its sub-orders', or it should have ended."""
    left_behind: bool
    """It is gone, or took back what it had read, and still has files or sub-orders."""


@dataclass(frozen=True, slots=True)
class CheckedSubOrder:
    id: SubOrderId
    order_id: OrderId
    miscounted: bool
    """Its counters differ from its files."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What the sub-orders of an order come to."""

    tally: Tally
    sub_orders: int
    waiting: int


@dataclass(frozen=True, slots=True)
class MendedTask:
    """A dataset task whose numbers were wrong."""

    id: DatasetTaskId
    files_before: int
    bytes_before: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StandingOwner:
    """An owner of ready sub-orders."""

    name: str
    may_start: bool
    """There is room for one of them, and the owner waits for nobody."""


@dataclass(frozen=True, slots=True)
class OverdueSubOrder:
    """A sub-order that a step should have minded by now."""

    id: SubOrderId
    order_id: OrderId
    state: SubOrderState
    asks: int
    executions_asked: bool
    """rs-processing was asked for its executions."""


class Reconciliation(Protocol):
    """Each look is one statement: it sees one state, so what differs in it is wrong whoever is at work.

    Pages go by what they are sorted by: give the last one's to get the next; an empty page is the end.
    """

    async def check_orders(
        self, after: OrderId, limit: int, gone_before: datetime
    ) -> list[CheckedOrder]:
        """Orders by id. Those that went later than ``gone_before`` may still have files."""
        ...

    async def check_sub_orders(
        self, after: SubOrderId, limit: int, files: int
    ) -> list[CheckedSubOrder]:
        """Sub-orders by id; no more once they have so many ``files``."""
        ...

    async def check_removed(self, after: OrderId, limit: int) -> list[tuple[OrderId, bool]]:
        """Orders that have files or sub-orders, by id, and whether they were removed."""
        ...

    async def count_files(self, sub_orders: Sequence[SubOrderId]) -> Mapping[SubOrderId, Tally]:
        """The true counters of sub-orders whose order is locked."""
        ...

    async def add_up(self, order_id: OrderId) -> Totals: ...

    async def mend_tasks(self, order_id: OrderId) -> list[MendedTask]:
        """Set the numbers of an order's dataset tasks right; those of processed ones stay as promised."""
        ...

    async def free_places(self) -> list[SubOrderId]:
        """Take places of the service from sub-orders that don't run."""
        ...

    async def overdue_rounds(self, before: datetime) -> list[tuple[str, int]]:
        """Periodic rounds of which the next one should have begun: names, and the rounds done."""
        ...

    async def standing_completions(
        self, before: datetime, after: OrderId, limit: int
    ) -> list[tuple[OrderId, int, int]]:
        """Orders that became PENDING before, with the selection and page where they stand."""
        ...

    async def standing_retries(
        self, before: datetime, after: OrderId, limit: int
    ) -> list[tuple[OrderId, RetryCursor]]: ...

    async def standing_owners(self, after: str, limit: int, slots: int) -> list[StandingOwner]:
        """Owners of ready sub-orders; ``slots``: the most each may hold, 0: no limit."""
        ...

    async def overdue_sub_orders(
        self, before: datetime, now: datetime, limit: int
    ) -> list[OverdueSubOrder]:
        """Running and processed sub-orders whose step was due before; it counts as due ``now`` then."""
        ...

    async def overdue_orders(self, before: datetime, after: OrderId, limit: int) -> list[OrderId]:
        """Orders that should have expired before."""
        ...

    async def standing_requests(
        self, before: datetime, after: RequestId, limit: int
    ) -> list[RequestId]:
        """Requests that were received before and have no answer."""
        ...

    async def standing_mails(self, before: datetime, after: MailId, limit: int) -> list[MailId]:
        """Mails that nobody has sent, and nobody has held since then."""
        ...
