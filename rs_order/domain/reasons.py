"""Why an order isn't further: one reason for each order, and who can change it (faces.md 10).

The codes are stable: clients compare them. ``docs/topics/reasons.md`` explains them to users.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from rs_order.domain.identity import PEER, SERVICE
from rs_order.domain.ids import SubOrderId
from rs_order.domain.moves import Reason
from rs_order.domain.states import OrderStatus, SubOrderState

MOST_FURTHER: Final = 5
"""The most reasons beside the first."""


class ReasonActor(StrEnum):
    """The person or service that can change a reason."""

    YOU = "you"
    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"
    SERVICE = "rs-order"
    CATALOG = "catalog"
    STORAGE = "storage"
    PROCESSING = "rs-processing"


class Level(StrEnum):
    """The object of a reason."""

    ORDER = "order"
    SUB_ORDER = "sub-order"
    FINAL = "final"


class TurnScope(StrEnum):
    """Where those are who start before an owner."""

    TENANT = "tenant"
    """Other users of the tenant."""
    SERVICE = "service"
    """Users of other tenants."""


class ReasonCode(StrEnum):
    """Why an order isn't further, by precedence; of its sub-orders, those nearest to be ready come first."""

    PAUSED_BY_YOU = "paused-by-you"
    PAUSED_BY_ADMINISTRATOR = "paused-by-administrator"
    PAUSED_BY_SERVICE = "paused-by-service"
    MAINTENANCE = "maintenance"
    CATALOG_UNREACHABLE = "catalog-unreachable"
    READING_CATALOG = "reading-catalog"
    RETRY_RUNNING = "retry-running"
    PROCESS_RUNNING = "process-running"
    STORAGE_RESTORING = "storage-restoring"
    STORAGE_LATE = "storage-late"
    PROCESS_SILENT = "process-silent"
    STORAGE_SILENT = "storage-silent"
    REQUEST_QUEUED = "request-queued"
    YOUR_LIMIT = "your-limit"
    SERVICE_LIMIT = "service-limit"
    OTHERS_FIRST = "others-first"
    YOUR_DOWNLOAD_NEEDED = "your-download-needed"
    HELD = "held"
    DOWNLOAD_QUOTA = "download-quota"
    READY_FOR_YOU = "ready-for-you"
    DONE = "done"
    DONE_WITH_FAILURES = "done-with-failures"
    NOTHING_TO_ORDER = "nothing-to-order"
    STORAGE_REFUSED = "storage-refused"
    STORAGE_GAVE_NO_ANSWER = "storage-gave-no-answer"
    CATALOG_FAILED = "catalog-failed"
    PROCESS_FAILED = "process-failed"
    EXPIRED = "expired"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Meaning:
    """The object of a code, and the actor who can change it; ``your_turn``: only the owner can."""

    level: Level
    actor: ReasonActor | None
    your_turn: bool = False


_CODE = ReasonCode
_PRECEDENCE: Final = {code: place for place, code in enumerate(ReasonCode)}
MEANINGS: Final = {
    _CODE.PAUSED_BY_YOU: Meaning(Level.ORDER, ReasonActor.YOU, your_turn=True),
    _CODE.PAUSED_BY_ADMINISTRATOR: Meaning(Level.ORDER, ReasonActor.ADMINISTRATOR),
    _CODE.PAUSED_BY_SERVICE: Meaning(Level.ORDER, ReasonActor.SERVICE),
    _CODE.MAINTENANCE: Meaning(Level.ORDER, ReasonActor.OPERATOR),
    _CODE.CATALOG_UNREACHABLE: Meaning(Level.ORDER, ReasonActor.CATALOG),
    _CODE.READING_CATALOG: Meaning(Level.ORDER, ReasonActor.SERVICE),
    _CODE.RETRY_RUNNING: Meaning(Level.ORDER, ReasonActor.SERVICE),
    _CODE.PROCESS_RUNNING: Meaning(Level.SUB_ORDER, ReasonActor.PROCESSING),
    _CODE.STORAGE_RESTORING: Meaning(Level.SUB_ORDER, ReasonActor.STORAGE),
    _CODE.STORAGE_LATE: Meaning(Level.SUB_ORDER, ReasonActor.STORAGE),
    _CODE.PROCESS_SILENT: Meaning(Level.SUB_ORDER, ReasonActor.PROCESSING),
    _CODE.STORAGE_SILENT: Meaning(Level.SUB_ORDER, ReasonActor.STORAGE),
    _CODE.REQUEST_QUEUED: Meaning(Level.SUB_ORDER, ReasonActor.SERVICE),
    _CODE.YOUR_LIMIT: Meaning(Level.SUB_ORDER, ReasonActor.SERVICE),
    _CODE.SERVICE_LIMIT: Meaning(Level.SUB_ORDER, ReasonActor.SERVICE),
    _CODE.OTHERS_FIRST: Meaning(Level.SUB_ORDER, ReasonActor.SERVICE),
    _CODE.YOUR_DOWNLOAD_NEEDED: Meaning(Level.SUB_ORDER, ReasonActor.YOU, your_turn=True),
    _CODE.HELD: Meaning(Level.SUB_ORDER, ReasonActor.OPERATOR),
    _CODE.DOWNLOAD_QUOTA: Meaning(Level.SUB_ORDER, ReasonActor.YOU, your_turn=True),
    _CODE.READY_FOR_YOU: Meaning(Level.ORDER, ReasonActor.YOU, your_turn=True),
    _CODE.DONE: Meaning(Level.FINAL, None),
    _CODE.DONE_WITH_FAILURES: Meaning(Level.FINAL, ReasonActor.YOU, your_turn=True),
    _CODE.NOTHING_TO_ORDER: Meaning(Level.FINAL, None),
    _CODE.STORAGE_REFUSED: Meaning(Level.FINAL, None),
    _CODE.STORAGE_GAVE_NO_ANSWER: Meaning(Level.FINAL, None),
    _CODE.CATALOG_FAILED: Meaning(Level.FINAL, None),
    _CODE.PROCESS_FAILED: Meaning(Level.FINAL, None),
    _CODE.EXPIRED: Meaning(Level.FINAL, None),
    _CODE.DELETED: Meaning(Level.FINAL, None),
}

_CODE_OF_FAILURE: Final = {
    Reason.COMPLETION_FAILED: _CODE.CATALOG_FAILED,
    Reason.NOTHING_TO_ORDER: _CODE.NOTHING_TO_ORDER,
    Reason.STORAGE_ANSWERED: _CODE.STORAGE_REFUSED,
    Reason.STORAGE_SILENT: _CODE.STORAGE_GAVE_NO_ANSWER,
    Reason.PROCESS_ENDED: _CODE.PROCESS_FAILED,
    Reason.PROCESS_NOT_STARTED: _CODE.PROCESS_FAILED,
    Reason.PROCESS_SILENT: _CODE.PROCESS_FAILED,
}
"""The codes of FAILED orders, by the last reason in their history."""


_SERVICES: Final = (None, SERVICE, PEER)
"""The actors of pauses that no user made; None: the order has no history."""


@dataclass(slots=True)  # a frozen one takes three times as long to create
class Request:
    """When storage was asked for a sub-order, and how long that was guessed to take."""

    asked_at: datetime
    guess: float | None
    """Seconds; None: nothing was known."""


@dataclass(slots=True)  # a frozen one takes three times as long to create
class SubOrderGroup:
    """Sub-orders of one order that wait for the same."""

    state: SubOrderState
    files: int
    """Pending ones."""
    bytes: int
    sub_orders: int | None = None
    """None: not counted."""
    since: datetime | None = None
    """None: not known. In the states RUNNING, PROCESSING and READY: since it has been so."""
    asks: int = 0
    """The most requests to storage for one of them."""
    due_at: datetime | None = None
    """When the first of their next steps is due."""
    silent: bool = False
    """True if storage, or rs-processing, gives no answer."""
    late_since: datetime | None = None
    """When the first of them passed the upper end of its range; None: none of them did."""
    first: SubOrderId | None = None
    """The oldest of them; None: not known."""
    requests: Sequence[Request] = ()
    """In the state RUNNING: those that were expected to take longest."""
    processed: bool = False
    """True if one of them is of a process."""
    quota_exceeded: bool = False
    available_files: int = 0
    needs_slot: bool = True
    joined: bool = False
    """True if another sub-order had asked storage for some of the files."""


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of an owner."""

    taken: int = 0
    waiting: int = 0
    """Slots of sub-orders that wait for their download."""
    full_since: datetime | None = None
    """When the last of them was taken."""


@dataclass(slots=True)  # a frozen one takes three times as long to create
class OrderFacts:
    """The facts from which the reason of an order follows."""

    owner: str
    status: OrderStatus
    status_at: datetime
    created_at: datetime
    pending_files: int
    available_files: int
    failed_files: int
    percent: int = 0
    available_at: datetime | None = None
    last_reason: str | None = None
    last_actor: str | None = None
    last_at: datetime | None = None
    """Of the last line of its own history; read unless it is RUNNING without a retry."""
    maintenance_since: datetime | None = None
    completing: bool = False
    products: int = 0
    """Products read so far, while it is completed."""
    catalog_silent_since: datetime | None = None
    retrying: bool = False
    held_since: datetime | None = None
    slots: Slots = Slots()
    service_is_full: bool = False
    """True if the owner waits for capacity of the service or of the tenant."""
    user_is_full: bool = False
    """True if the limits of each user have no room for the owner's next sub-order."""
    others_first: TurnScope | None = None
    """Who starts before the owner, if the owner waits for capacity; None: nobody."""
    files_known: bool = True
    """False while its files are read from the catalog: then nothing of it is shown."""
    groups: Sequence[SubOrderGroup] = ()
    """Of the sub-orders that aren't final."""

    @property
    def unfinished(self) -> bool:
        return self.status.unfinished


@dataclass(slots=True)  # a frozen one takes three times as long to create
class WaitingReason:
    """A reason with its numbers."""

    code: ReasonCode
    since: datetime | None = None
    files: int = 0
    bytes: int = 0
    sub_orders: int | None = None
    asks: int = 0
    due_at: datetime | None = None
    products: int = 0
    """Read so far from the catalog."""
    joined: bool = False
    """True if another sub-order had asked storage for some of the files."""

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self.code]


@dataclass(slots=True)  # a frozen one takes three times as long to create
class Reasons:
    """The reason of an order, and at most five others that hold parts of it."""

    reason: WaitingReason
    also: Sequence[WaitingReason] = ()


def reasons_of(facts: OrderFacts, slots_per_user: int) -> Reasons:
    """Return the one reason of an order, and others that hold parts of it.

    Args:
        facts: of the order.
        slots_per_user: the most slots of an owner; 0: no limit.
    """
    if not facts.unfinished:
        return Reasons(_end_of(facts))
    of_order = reason_of_whole(facts)
    if of_order is not None:
        return Reasons(of_order)
    found = _merged(_of_group(facts, group, slots_per_user) for group in facts.groups)
    if not found:
        # Its last sub-order was settled, and the step that ends the order is on its way.
        return Reasons(
            WaitingReason(_CODE.READING_CATALOG, facts.status_at, files=facts.pending_files)
        )
    return Reasons(found[0], found[1 : 1 + MOST_FURTHER])


def reason_of_sub_order(
    facts: OrderFacts, sub_order: SubOrderGroup, slots_per_user: int
) -> WaitingReason | None:
    """Return the reason of one sub-order; None if it isn't known, or nothing is awaited."""
    if not facts.unfinished or sub_order.state in (SubOrderState.WAITING, SubOrderState.ENDED):
        return _of_settled(sub_order)
    return reason_of_whole(facts) or _of_group(facts, sub_order, slots_per_user)


def _of_settled(sub_order: SubOrderGroup) -> WaitingReason | None:
    if sub_order.state is not SubOrderState.WAITING:
        return None
    quota = sub_order.quota_exceeded
    code = _CODE.DOWNLOAD_QUOTA if quota else _CODE.READY_FOR_YOU
    return WaitingReason(code, files=sub_order.available_files)


def reason_of_whole(facts: OrderFacts) -> WaitingReason | None:
    """Return the reason that holds the whole of an unfinished order, if there is one."""
    if facts.status is OrderStatus.PAUSED:
        return WaitingReason(_code_of_pause(facts), facts.last_at, files=facts.pending_files)
    if facts.maintenance_since is not None:
        return WaitingReason(_CODE.MAINTENANCE, facts.maintenance_since, files=facts.pending_files)
    if facts.completing and facts.catalog_silent_since is not None:
        since = facts.catalog_silent_since
        return WaitingReason(_CODE.CATALOG_UNREACHABLE, since, products=facts.products)
    if facts.completing:
        return WaitingReason(_CODE.READING_CATALOG, facts.created_at, products=facts.products)
    if facts.retrying:
        return WaitingReason(_CODE.RETRY_RUNNING, facts.last_at, files=facts.pending_files)
    return None


def _code_of_pause(facts: OrderFacts) -> ReasonCode:
    if facts.last_actor == facts.owner:
        return _CODE.PAUSED_BY_YOU
    by_service = facts.last_actor in _SERVICES
    return _CODE.PAUSED_BY_SERVICE if by_service else _CODE.PAUSED_BY_ADMINISTRATOR


def _of_group(facts: OrderFacts, group: SubOrderGroup, slots_per_user: int) -> WaitingReason | None:
    code = code_of_group(facts, group, slots_per_user)
    if code is None:
        return None
    since = group.since
    if code is _CODE.STORAGE_LATE:
        since = group.late_since
    elif code is _CODE.HELD:
        since = _later(since, facts.held_since)
    elif code is _CODE.YOUR_DOWNLOAD_NEEDED:
        since = _later(since, facts.slots.full_since)
    return WaitingReason(
        code,
        since,
        group.files,
        group.bytes,
        group.sub_orders,
        group.asks,
        group.due_at,
        joined=group.joined,
    )


def code_of_group(
    facts: OrderFacts, group: SubOrderGroup, slots_per_user: int
) -> ReasonCode | None:
    """Return the code of sub-orders of an order that nothing holds as a whole; None: nothing is awaited."""
    match group.state:
        case SubOrderState.RUNNING if group.late_since is not None:
            return _CODE.STORAGE_LATE
        case SubOrderState.RUNNING:
            return _CODE.STORAGE_SILENT if group.silent else _CODE.STORAGE_RESTORING
        case SubOrderState.PROCESSING:
            return _CODE.PROCESS_SILENT if group.silent else _CODE.PROCESS_RUNNING
        case SubOrderState.WAITING if group.quota_exceeded:
            return _CODE.DOWNLOAD_QUOTA
        case SubOrderState.READY:
            return _code_of_ready(facts, group, slots_per_user)
    return None


def _code_of_ready(facts: OrderFacts, group: SubOrderGroup, slots_per_user: int) -> ReasonCode:
    if facts.held_since is not None:
        return _CODE.HELD
    if not group.needs_slot:
        return _CODE.REQUEST_QUEUED
    if slots_per_user and facts.slots.taken >= slots_per_user:
        return _CODE.YOUR_DOWNLOAD_NEEDED if facts.slots.waiting else _CODE.YOUR_LIMIT
    if facts.user_is_full:
        return _CODE.YOUR_LIMIT
    if not facts.service_is_full:
        return _CODE.REQUEST_QUEUED
    return _CODE.OTHERS_FIRST if facts.others_first else _CODE.SERVICE_LIMIT


def _merged(found: Iterator[WaitingReason | None]) -> list[WaitingReason]:
    """Return one reason per code, in the order of the codes."""
    by_code: dict[ReasonCode, WaitingReason] = {}
    for one in found:
        if one is not None:
            known = by_code.get(one.code)
            by_code[one.code] = _joined(known, one) if known else one
    if len(by_code) == 1:  # most orders of a list
        return list(by_code.values())
    return sorted(by_code.values(), key=lambda one: _PRECEDENCE[one.code])


def _joined(one: WaitingReason, other: WaitingReason) -> WaitingReason:
    counted = one.sub_orders is not None and other.sub_orders is not None
    return replace(
        one,
        since=_earlier(one.since, other.since),
        files=one.files + other.files,
        bytes=one.bytes + other.bytes,
        sub_orders=(one.sub_orders or 0) + (other.sub_orders or 0) if counted else None,
        asks=max(one.asks, other.asks),
        due_at=_earlier(one.due_at, other.due_at),
        joined=one.joined or other.joined,
    )


def _end_of(facts: OrderFacts) -> WaitingReason:
    """Return the reason of an order that isn't at work any more."""
    if facts.status in (OrderStatus.EXPIRED, OrderStatus.DELETED):
        return WaitingReason(_CODE(facts.status.value.lower()), facts.status_at)
    if facts.available_files:
        quota = any(group.quota_exceeded for group in facts.groups)
        code = _CODE.DOWNLOAD_QUOTA if quota else _CODE.READY_FOR_YOU
        return WaitingReason(code, facts.available_at, files=facts.available_files)
    if facts.status is OrderStatus.DONE:
        return WaitingReason(_CODE.DONE, facts.status_at)
    code = _CODE.DONE_WITH_FAILURES
    if facts.status is OrderStatus.FAILED:
        code = _code_of_failure(facts.last_reason)
    return WaitingReason(code, facts.status_at, files=facts.failed_files)


def _code_of_failure(reason: str | None) -> ReasonCode:
    codes = {str(known): code for known, code in _CODE_OF_FAILURE.items()}
    return codes.get(reason or "", _CODE.DONE_WITH_FAILURES)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at is not None), default=None)
