"""An order and the decisions about its status."""

from dataclasses import dataclass, field
from datetime import datetime

from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import OrderId, RequestId
from rs_order.domain.moves import ORDER_MOVES, Reason, require_move
from rs_order.domain.states import FileState, OrderStatus
from rs_order.domain.tally import Tally


@dataclass(frozen=True, slots=True)
class StatusMove:
    """A status an order left and the one it took, for its history."""

    before: OrderStatus
    after: OrderStatus
    reason: Reason
    """Stable reason code."""
    actor: str
    """Who caused it: a user's e-mail, or a part of the platform (``storage``, ``rs-order``)."""


@dataclass(slots=True)
class Order:
    """An order as a use case holds it, its row locked."""

    id: OrderId
    owner: str
    role: str
    """Role of the owner in the project when he ordered."""
    correlation_id: str
    status: OrderStatus
    sub_order_hours: int
    """How long storage shall keep the files of a sub-order available."""
    expires_at: datetime | None = None
    message: str | None = None
    """Why it failed, or has no file."""
    sub_orders: int = 0
    waiting_sub_orders: int = 0
    """Sub-orders whose files wait for the user's download."""
    tally: Tally = field(default_factory=Tally)
    request_id: RequestId | None = None
    completing: bool = False
    """Its files are still being read from the catalog."""
    retrying: bool = False
    """Its files in error are still being moved to new sub-orders."""
    front_url: str | None = None
    """Where on the project's site its orders are shown; without, nobody asked for a mail (domain.md 16.2)."""
    moves: list[StatusMove] = field(default_factory=list)
    """What happened since it was loaded."""

    @property
    def waiting_for_user(self) -> bool:
        return self.waiting_sub_orders > 0

    @property
    def filling(self) -> bool:
        """Files may still come into its sub-orders: it can't end, whatever the counters say."""
        return self.completing or self.retrying

    def outlived(self, now: datetime) -> bool:
        """It ended, and its time went by with nothing to expire: what comes now needs new time."""
        return self.status.final and self.expires_at is not None and self.expires_at <= now

    def move(self, after: OrderStatus, *, reason: Reason, actor: str = SERVICE) -> None:
        """Take another status.

        Raises:
            MoveNotAllowedError: ``ORDER_MOVES`` has no such move for this reason.
        """
        require_move(ORDER_MOVES, f"order {self.id}", self.status, after, reason)
        self.moves.append(StatusMove(self.status, after, reason, actor))
        self.status = after

    def settle(self, *, reason: Reason, actor: str) -> bool:
        """End a running or paused order once no file is pending (K4); True when peers have to be told."""
        at_work = self.status in (OrderStatus.RUNNING, OrderStatus.PAUSED)
        if not at_work or self.filling or self.tally.pending:
            return False
        self.move(self.outcome(), reason=reason, actor=actor)
        return True

    def end_retry(self, before: OrderStatus) -> bool:
        """Every file in error has moved; True when that ends the order and peers have to be told.

        An order without any file is again what it was ``before`` (W18).
        """
        self.retrying = False
        if self.tally.total_files:
            return self.settle(reason=Reason.RETRY_ENDED, actor=SERVICE)
        self.move(before, reason=Reason.RETRY_ENDED)
        return True

    def lift(self, *, reason: Reason, actor: str) -> bool:
        """A late answer, or a late result, mends an order that ended with errors (decisions.md).

        True when its status changed and peers have to be told.
        """
        mended = self.outcome()
        if self.status not in (OrderStatus.FAILED, OrderStatus.DONE_WITH_WARNING):
            return False
        if mended in (self.status, OrderStatus.FAILED):
            return False
        self.move(mended, reason=reason, actor=actor)
        return True

    def outcome(self) -> OrderStatus:
        """The final status by the files' states (domain.md 9.2); download errors don't count (K2).

        An order without any file is never DONE (promise 1).
        """
        if not self.tally.total_files:
            return OrderStatus.DONE_WITH_WARNING
        if self.tally.errors == 0:
            return OrderStatus.DONE
        if self.tally.errors == self.tally.total_files:
            return OrderStatus.FAILED
        return OrderStatus.DONE_WITH_WARNING

    def note_download_errors(self) -> None:
        """DONE becomes DONE_WITH_WARNING when downloads failed and nothing is left to download (9.3).

        Peers are not told (amqp.md 2.6).
        """
        failed = self.tally.files[FileState.DOWNLOAD_ERROR]
        if self.status is OrderStatus.DONE and failed and not self.tally.available:
            self.move(
                OrderStatus.DONE_WITH_WARNING, reason=Reason.DOWNLOAD_ERRORS, actor=self.owner
            )
