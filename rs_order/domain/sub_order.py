"""A sub-order: a batch of files that is restored, announced and downloaded together."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rs_order.domain.estimates import Range
from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.domain.moves import SUB_ORDER_MOVES, Reason, require_move
from rs_order.domain.states import FileCounters, SubOrderKind, SubOrderState

CLOCK_DIFFERENCE = timedelta(minutes=1)
"""The most that the clocks of two instances may differ."""
_DELAY_PER_MEBIBYTE = timedelta(minutes=15)
_LONGEST_DELAY = timedelta(days=2)
_MAX_COUNTED = _LONGEST_DELAY / _DELAY_PER_MEBIBYTE
"""Mebibytes."""


def rank(ready_at: datetime, size: int) -> datetime:
    """Return the rank in the owner's queue: each mebibyte delays a sub-order by 15 minutes, up to two days.

    So smaller sub-orders overtake a full one of 100 MiB for about a day only, and none starves. The rank
    never changes, so an index finds the next sub-order.
    """
    mebibytes = min(size / (1024 * 1024), _MAX_COUNTED)
    return ready_at + mebibytes * _DELAY_PER_MEBIBYTE


@dataclass(frozen=True, slots=True)
class StateMove:
    """A state that a sub-order left and the one it took, for the history of its order."""

    before: SubOrderState
    after: SubOrderState
    reason: Reason


@dataclass(slots=True)
class SubOrder:
    """One batch of an order; its state follows from its counters once it runs."""

    id: SubOrderId
    order_id: OrderId
    owner: str
    kind: SubOrderKind
    state: SubOrderState
    counters: FileCounters = field(default_factory=FileCounters)
    rank: datetime | None = None
    """Rank in its owner's queue; set when it is complete."""
    asks: int = 0
    """The number of times that storage was asked for its files."""
    asked_at: datetime | None = None
    """When storage was asked first since it last started; the deadline counts from then."""
    quota_exceeded: bool = False
    """True if the owner exceeded their quota: it no longer takes a slot (decisions.md, Quota)."""
    due_at: datetime | None = None
    """When the next step for it is due, while it runs or is processed."""

    guess: float | None = None
    """Seconds from the request to the last file, as guessed at the request; None: nothing was known."""
    expected: Range | None = None
    """The range that was given at the request; None: there was none."""
    joined_files: int = 0
    """Files that it didn't ask storage for when it last started, because others had."""
    joined_bytes: int = 0
    asked_hours: int | None = None
    """The shortest availability in its last requests; None: as its order says."""

    moves: list[StateMove] = field(default_factory=list)
    """Since it was loaded or saved."""

    @property
    def waiting_for_user(self) -> bool:
        return self.state is SubOrderState.WAITING

    @property
    def takes_slot(self) -> bool:
        """True if it counts against its owner's limit (domain.md 6.1, decisions.md Download gate).

        It doesn't while rs-processing works: storage has no request, and there is nothing to download.
        """
        if self.kind is SubOrderKind.EXTERNAL:
            return False
        if self.state is SubOrderState.RUNNING:
            return True
        return self.state is SubOrderState.WAITING and not self.quota_exceeded

    def is_early(self, now: datetime) -> bool:
        """True if its next step isn't due yet, so that this step can't be the one that was written for it."""
        return self.due_at is not None and self.due_at - now > CLOCK_DIFFERENCE

    def move(self, after: SubOrderState, *, reason: Reason) -> None:
        """Take another state.

        Raises:
            MoveNotAllowedError: ``SUB_ORDER_MOVES`` has no such move for this reason.
        """
        require_move(SUB_ORDER_MOVES, f"sub-order {self.id}", self.state, after, reason)
        self.moves.append(StateMove(self.state, after, reason))
        self.state = after

    def close(self, at: datetime, *, reason: Reason) -> None:
        """Queue a sub-order that has all its files, or settle it if no file is pending."""
        if self.kind is not SubOrderKind.EXTERNAL and self.counters.pending:
            self.move(SubOrderState.READY, reason=reason)
            self.rank = rank(at, self.counters.total_bytes)
        else:
            self.move(self._settled_state, reason=reason)

    def start(self, at: datetime) -> None:
        """Run a sub-order whose files are requested.

        The caller sets when to ask again, and when storage is expected to settle it.
        """
        self.move(SubOrderState.RUNNING, reason=Reason.STORAGE_ASKED)
        # The count continues at the next start, so that a reminder from an earlier one doesn't match.
        self.asks += 1
        self.asked_at = at

    def begin_processing(self, at: datetime, *, reason: Reason) -> None:
        """Let its process begin: storage has no pending input of it."""
        self.move(SubOrderState.PROCESSING, reason=reason)
        self.due_at = at

    def return_to_queue(self) -> None:
        """Queue it again at its old rank: its order was paused before its process began (W42)."""
        self.move(SubOrderState.READY, reason=Reason.ORDER_PAUSED)

    def settle(self, *, reason: Reason) -> bool:
        """Take the state that the counters give; True if it has just become downloadable.

        A sub-order with a pending file keeps its state, and so does one that still gets files. A ready one
        settles if storage was asked for its files before its order was paused.
        """
        if self.state is SubOrderState.BUILDING or self.counters.pending:
            return False
        after = self._settled_state
        if after is self.state:
            return False
        self.move(after, reason=reason)
        return self.waiting_for_user

    @property
    def _settled_state(self) -> SubOrderState:
        return SubOrderState.WAITING if self.counters.available else SubOrderState.ENDED
