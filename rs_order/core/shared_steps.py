"""Steps that more than one feature sends; other steps are defined beside their handlers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rs_order.core.steps import RunNumber, Step, StepQueue
from rs_order.domain.ids import OrderId, RequestId, SubOrderId

REQUESTS_OF_A_STEP: Final = 1000


@dataclass(frozen=True)
class GrantRequestsStep(Step, name="grant-requests", queue=StepQueue.REMOTE):
    """Decide whether requests can be granted, and answer them."""

    requests: tuple[RequestId, ...]

    @classmethod
    def for_all(cls, requests: Sequence[RequestId]) -> list["GrantRequestsStep"]:
        """Return the steps that decide these requests, up to `REQUESTS_OF_A_STEP` each."""
        starts = range(0, len(requests), REQUESTS_OF_A_STEP)
        return [cls(tuple(requests[start : start + REQUESTS_OF_A_STEP])) for start in starts]

    @property
    def subjects(self) -> list[str]:
        """Return the requests: each is decided by itself, and another step may have others beside it."""
        return [str(request) for request in self.requests]


@dataclass(frozen=True)
class CompleteOrderStep(Step, name="complete-order", queue=StepQueue.REMOTE):
    """Read one page of a dataset selection from the catalog into an order; both count from 0."""

    order_id: OrderId
    selection: int
    page: int


@dataclass(frozen=True)
class ScheduleStep(Step, name="schedule"):
    """Start an owner's next sub-orders."""

    owner: str


@dataclass(frozen=True)
class AskAgainStep(Step, name="ask-again"):
    """Remind storage of the files of a sub-order that it has not settled."""

    order_id: OrderId
    sub_order_id: SubOrderId
    asks: int
    """The number of requests so far; the step is outdated when there are more."""


@dataclass(frozen=True)
class StartProcessingStep(Step, name="start-processing", queue=StepQueue.REMOTE):
    """Ask rs-processing to work on the inputs of a sub-order."""

    order_id: OrderId
    sub_order_id: SubOrderId


@dataclass(frozen=True)
class ExpireOrderStep(Step, name="expire-order"):
    """Expire an order if its expiry date has passed."""

    order_id: OrderId


@dataclass(frozen=True)
class StopSubOrdersStep(Step, name="stop-sub-orders"):
    """Put a slice of the running sub-orders of a paused order back into the queue of their owner."""

    order_id: OrderId


@dataclass(frozen=True)
class DeleteFilesStep(Step, name="delete-files"):
    """Delete a slice of the files of an order that is deleted or expired, or whose completion failed."""

    order_id: OrderId


@dataclass(frozen=True)
class EndHoldStep(Step, name="end-hold"):
    """End a hold if its end has passed."""

    hold_id: int


@dataclass(frozen=True)
class MakeQuoteStep(Step, name="make-quote", queue=StepQueue.REMOTE):
    """Read the next slice of a quote from the catalog; ``slice``: the slices done before."""

    quote_id: int
    slice: int


@dataclass(frozen=True)
class TimedEventsStep(Step, name="timed-events"):
    """Write the events that come with time, for a slice of the orders that are due for a check."""


@dataclass(frozen=True)
class ReconcileStep(Step, name="reconcile", periodic=True):
    """Begin a run of the reconciler."""

    number: RunNumber
