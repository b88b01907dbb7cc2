"""A sub-order: a bucket of files that is brought back, announced and downloaded as one."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rs_order.domain.ids import OrderId, SubOrderId
from rs_order.domain.moves import SUB_ORDER_MOVES, Reason, require_move
from rs_order.domain.states import SubOrderKind, SubOrderState
from rs_order.domain.tally import Tally

_AGEING_PER_MEBIBYTE = timedelta(minutes=15)
_LONGEST_OVERTAKING = timedelta(days=2)
_NO_LARGER_COUNTS = _LONGEST_OVERTAKING / _AGEING_PER_MEBIBYTE
"""Mebibytes."""


def rank(ready_at: datetime, size: int) -> datetime:
    """Place in the owner's queue: smaller first, but each mebibyte is worth only 15 minutes of waiting.

    A full bucket of 100 MiB can so be overtaken for about a day, and then no more: nobody starves.
    The value never changes, so the next sub-order is the first of an index.
    """
    mebibytes = min(size / (1024 * 1024), _NO_LARGER_COUNTS)
    return ready_at + mebibytes * _AGEING_PER_MEBIBYTE


@dataclass(frozen=True, slots=True)
class StateMove:
    """A state that a sub-order left and the one it took, for the history of its order."""

    before: SubOrderState
    after: SubOrderState
    reason: Reason


@dataclass(slots=True)
class SubOrder:
    """One bucket of an order; its state follows from its counters once it runs."""

    id: SubOrderId
    order_id: OrderId
    owner: str
    kind: SubOrderKind
    state: SubOrderState
    tally: Tally = field(default_factory=Tally)
    rank: datetime | None = None
    """Place in its owner's queue; set when it is complete."""
    asks: int = 0
    """How often storage was asked for its files."""
    asked_at: datetime | None = None
    """When storage was asked first since it last started: its patience counts from then."""
    quota_exceeded: bool = False
    """Its user ran into his quota: the gate no longer counts it (decisions.md, Quota)."""
    due_at: datetime | None = None
    """While it runs or is processed: when the step that minds it falls due."""

    moves: list[StateMove] = field(default_factory=list)
    """Since it was loaded or saved."""

    @property
    def waiting_for_user(self) -> bool:
        return self.state is SubOrderState.WAITING

    @property
    def takes_slot(self) -> bool:
        """Whether it counts against its owner's limit (domain.md 6.1, decisions.md Download gate).

        While rs-processing is at work it doesn't: nothing is asked of storage, nobody can download.
        """
        if self.kind is SubOrderKind.EXTERNAL:
            return False
        if self.state is SubOrderState.RUNNING:
            return True
        return self.state is SubOrderState.WAITING and not self.quota_exceeded

    def move(self, after: SubOrderState, *, reason: Reason) -> None:
        """Take another state.

        Raises:
            MoveNotAllowedError: ``SUB_ORDER_MOVES`` has no such move for this reason.
        """
        require_move(SUB_ORDER_MOVES, f"sub-order {self.id}", self.state, after, reason)
        self.moves.append(StateMove(self.state, after, reason))
        self.state = after

    def close(self, at: datetime, *, reason: Reason) -> None:
        """It has all its files: it queues for storage or its process, or there is nobody to ask."""
        if self.kind is not SubOrderKind.EXTERNAL and self.tally.pending:
            self.move(SubOrderState.READY, reason=reason)
            self.rank = rank(at, self.tally.total_bytes)
        else:
            self.move(self._settled_state, reason=reason)

    def start(self, at: datetime) -> None:
        """Storage is asked for its files; the caller says when it will be asked again."""
        self.move(SubOrderState.RUNNING, reason=Reason.STORAGE_ASKED)
        # Counted on when it starts again, so that a reminder of its earlier run finds another number.
        self.asks += 1
        self.asked_at = at

    def process(self, at: datetime, *, reason: Reason) -> None:
        """Nothing more is expected of storage: its process may begin."""
        self.move(SubOrderState.PROCESSING, reason=reason)
        self.due_at = at

    def put_back(self) -> None:
        """Its order rests before its process began: it queues again, where it was (W42)."""
        self.move(SubOrderState.READY, reason=Reason.ORDER_PAUSED)

    def settle(self, *, reason: Reason) -> bool:
        """Take the state that the counters ask for; True when it has just become downloadable.

        One that is still filled stays as it is, and so does one with a pending file. One that is ready
        had been asked for before its order was paused.
        """
        if self.state is SubOrderState.BUILDING or self.tally.pending:
            return False
        after = self._settled_state
        if after is self.state:
            return False
        self.move(after, reason=reason)
        return self.waiting_for_user

    @property
    def _settled_state(self) -> SubOrderState:
        return SubOrderState.WAITING if self.tally.available else SubOrderState.ENDED
