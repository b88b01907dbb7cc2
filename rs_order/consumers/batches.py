"""Handles a batch of messages: reads them, groups them by tenant, isolates a bad one (amqp.md 1.9)."""

import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
import structlog
from prometheus_client import Counter as Metric
from pydantic import ValidationError

from rs_order import traces
from rs_order.broker.delivery import DeadLetter, DeadLetterReason, Delivery, Done, Outcome
from rs_order.concurrency import together
from rs_order.consumers.pace import Pace
from rs_order.contracts.notifications import Level, Notification, NotificationEvent
from rs_order.contracts.platform_names import EXPLOIT
from rs_order.contracts.wire import WireModel
from rs_order.domain.identity import INSTANCE
from rs_order.domain.ids import Tenant
from rs_order.ports import MessageKind, ServedTenants
from rs_order.store.errors import StoreConflict, StoreTimeout, StoreUnavailable
from rs_order.store.outbox import OutgoingMessage
from rs_order.store.unit_of_work import Store, retry_on_conflict

Item = TypeVar("Item")

log = structlog.get_logger(__name__)


TENANTS_AT_ONCE = 4
"""Tenants whose messages are handled at the same time, each with a connection to the database."""
TIMEOUTS_OF_ONE = 3
"""Attempts with one item whose statement takes too long: a minute and a half."""


async def isolated(
    handle: Callable[[Sequence[Item]], Awaitable[None]],
    items: Sequence[Item],
    *,
    timeouts: int = TIMEOUTS_OF_ONE,
) -> list[Outcome]:
    """Handle items together. If this fails, handle each half by itself, down to the item that fails.

    An item whose statement takes too long is tried again: the database may have been slow. So is one that
    still conflicts with other units of work after many attempts: they may hold its rows for long. After so
    many ``timeouts`` the item becomes a dead letter, so that it doesn't block its queue for ever.

    Raises:
        StoreUnavailable: the database is unavailable, so no item can be handled now.
    """
    if not items:
        return []
    try:
        await retry_on_conflict(lambda: handle(items))
    except StoreUnavailable:
        raise
    except Exception as error:
        if len(items) == 1 and isinstance(error, (StoreTimeout, StoreConflict)) and timeouts > 1:
            log.warning("message-timed-out", cause=str(error), attempts_left=timeouts - 1)
            return await isolated(handle, items, timeouts=timeouts - 1)
        if len(items) == 1:
            log.exception("message-not-handled")
            return [_dead_letter(error)]
        middle = len(items) // 2
        return [*await isolated(handle, items[:middle]), *await isolated(handle, items[middle:])]
    return [Done() for _ in items]


def _dead_letter(error: Exception) -> DeadLetter:
    """Return the dead letter of an item. Some handlers parse a part of the body themselves."""
    if isinstance(error, ValidationError):
        return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, wrong_members(error))
    return DeadLetter.unforeseen(error)


class UnreadableBodyError(ValueError):
    """A body is not a JSON object that the database can store."""

    code = "unreadable-body"


def read_body(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        UnreadableBodyError: the body is not JSON, not an object, or contains U+0000, which PostgreSQL
            can't store as text.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnreadableBodyError(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnreadableBodyError("The body is JSON, but not an object.")
    if b"\\u0000" in body and _contains_nul(value):
        raise UnreadableBodyError("The body holds the character U+0000.")
    return value


def faults_of(error: ValidationError) -> list[str]:
    """Return for each wrong member its name and the reason, without its value."""
    return [
        f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"
        for detail in error.errors(include_input=False, include_url=False, include_context=False)
    ]


def wrong_members(error: ValidationError) -> str:
    """Return the names of the wrong members and the reasons, in one line."""
    return "; ".join(faults_of(error))


def _contains_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case list():
            return any(_contains_nul(item) for item in value)
        case dict():
            return any(_contains_nul(name) or _contains_nul(item) for name, item in value.items())
    return False


@dataclass(frozen=True, slots=True)
class Failures:
    """The number of a tenant's messages that failed, by the label of the reason."""

    tenant: Tenant | None
    """None if the tenant isn't served here. The operators of the installation are then notified."""
    by_label: Mapping[str, int]


class NotifyFailures:
    """Sends one notification per tenant and batch."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def notify(self, failures: Sequence[Failures]) -> None:
        await self._store.send([failure_notification(one) for one in failures if one.by_label])


def failure_notification(failures: Failures) -> OutgoingMessage:
    """Return the notification of operators about messages that failed (amqp.md 1.12)."""
    total = sum(failures.by_label.values())
    listed = ",".join(f"'{label}' : {count} errors" for label, count in failures.by_label.items())
    event = NotificationEvent(
        notification=Notification(
            title="AMQP batch processing failure.",
            message=(
                f"Got a total of {total} errors with the following types, for more information on the "
                f"errors refer to the 'rs-order' microservice logs : ['{listed}]."
            ),
            level=Level.ERROR,
            role_recipients=[EXPLOIT],
        )
    )
    if failures.tenant is None or failures.tenant == INSTANCE:
        return OutgoingMessage(MessageKind.INSTANCE_NOTIFICATION, INSTANCE, event.to_wire())
    return OutgoingMessage(MessageKind.NOTIFICATION, failures.tenant, event.to_wire())


Message = TypeVar("Message", bound=WireModel)

dropped = Metric(
    "rs_order_messages_dropped", "Messages that the service doesn't need", ["queue", "reason"]
)


@dataclass(frozen=True, slots=True)
class Received(Generic[Message]):
    """A parsed message, with its delivery."""

    message: Message
    delivery: Delivery


class Batches(Generic[Message]):
    """Handles the batches of one queue and returns the outcome of each message."""

    def __init__(
        self,
        model: type[Message],
        handle: Callable[[Tenant, Sequence[Received[Message]]], Awaitable[None]],
        tenants: ServedTenants,
        failures: NotifyFailures,
        *,
        platform_wide: bool = False,
        keep_while_inactive: bool = False,
        invalid: Callable[[Message], str | None] = lambda _: None,
        pace: Pace | None = None,
    ) -> None:
        """Set how the messages of a queue are handled.

        Args:
            model: the class that bodies are parsed into.
            handle: handles the messages of one tenant; their effects are committed when it returns.
            tenants: the tenants that are served. Messages of others become dead letters.
            failures: notifies operators of dead letters.
            platform_wide: all deployments receive these events. Events of tenants that are not served
                are dropped.
            keep_while_inactive: events of inactive tenants are not dropped but become dead letters,
                because they are published only once.
            invalid: returns why a message is rejected, or None if it is valid.
            pace: limits how many messages are handled per second.
        """
        self._model = model
        self._handle = handle
        self._tenants = tenants
        self._failures = failures
        self._platform_wide = platform_wide
        self._keep_while_inactive = keep_while_inactive
        self._invalid = invalid
        self._pace = pace

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        if self._pace is not None:
            await self._pace.wait(len(deliveries))
        await self._load_new_tenants(deliveries)
        outcomes: dict[int, Outcome] = {}
        by_tenant: dict[Tenant, dict[int, Received[Message]]] = defaultdict(dict)
        for index, delivery in enumerate(deliveries):
            read = self._read(delivery)
            if isinstance(read, Received):
                by_tenant[Tenant(delivery.tenant or "")][index] = read
            else:
                outcomes[index] = read
        for results in await self._handle_tenants(by_tenant):
            outcomes |= results
        in_order = [outcomes[index] for index in range(len(deliveries))]
        await self.notify(deliveries, in_order)
        return in_order

    async def notify(self, deliveries: Sequence[Delivery], outcomes: Sequence[Outcome]) -> None:
        """Send one notification per tenant about the messages that become dead letters (amqp.md 1.12)."""
        failures: dict[str | None, Counter[str]] = defaultdict(Counter)
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            if isinstance(outcome, DeadLetter):
                failures[delivery.tenant][outcome.reason.label] += 1
        await self._failures.notify(
            [
                Failures(
                    tenant=Tenant(name) if name and self._tenants.serves(name) else None,
                    by_label=counts,
                )
                for name, counts in failures.items()
            ]
        )

    async def _handle_tenants(
        self, by_tenant: Mapping[Tenant, Mapping[int, Received[Message]]]
    ) -> list[dict[int, Outcome]]:
        """Handle the messages of several tenants at a time, because their units of work mostly wait.

        The messages of a tenant are handled in their order, whatever the others do.
        """

        async def handle(
            tenant: Tenant, indexed: Mapping[int, Received[Message]]
        ) -> dict[int, Outcome]:
            results = await self._handle_tenant(tenant, list(indexed.values()))
            return dict(zip(indexed, results, strict=True))

        calls = [handle(tenant, indexed) for tenant, indexed in by_tenant.items()]
        return await together(calls, at_once=TENANTS_AT_ONCE)

    async def _handle_tenant(
        self, tenant: Tenant, batch: Sequence[Received[Message]]
    ) -> list[Outcome]:
        async def handle(part: Sequence[Received[Message]]) -> None:
            await self._handle(tenant, part)

        began = time.perf_counter()
        queue = batch[0].delivery.queue
        parents = [one.delivery.traceparent for one in batch if one.delivery.traceparent]
        with (
            structlog.contextvars.bound_contextvars(tenant=tenant, queue=queue),
            traces.span(
                f"handle {queue.rpartition('.')[2]}",
                "CONSUMER",
                parent=parents[0] if parents else None,
                links=parents[1:],
                tenant=tenant,
                messages=len(batch),
            ),
        ):
            outcomes = await isolated(handle, batch)
            log.info(
                "batch-done",
                messages=len(batch),
                failed=sum(isinstance(outcome, DeadLetter) for outcome in outcomes),
                ms=round(1000 * (time.perf_counter() - began), 1),
            )
        return outcomes

    async def _load_new_tenants(self, deliveries: Sequence[Delivery]) -> None:
        """Load the tenants again if a message names an unknown one, which may be new."""
        tenants = {delivery.tenant for delivery in deliveries if delivery.tenant}
        if not all(self._tenants.serves(tenant) for tenant in tenants):
            await self._tenants.load()

    def _read(self, delivery: Delivery) -> Received[Message] | Outcome:
        if not delivery.tenant:
            detail = "The header regards.tenant is missing or empty."
            return DeadLetter(DeadLetterReason.MISSING_TENANT, detail)
        if not self._tenants.serves(delivery.tenant):
            return self._outcome_of_unknown_tenant(delivery)
        if _died_in_another_consumer(delivery):
            dropped.labels(delivery.queue, "died-elsewhere").inc()
            return Done()
        return self._parse(delivery)

    def _parse(self, delivery: Delivery) -> Received[Message] | DeadLetter:
        try:
            message = self._model.model_validate(read_body(delivery.body))
        except UnreadableBodyError as error:
            return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, str(error))
        except ValidationError as error:
            return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, wrong_members(error))
        if reason := self._invalid(message):
            return DeadLetter(DeadLetterReason.INVALID_MESSAGE, reason)
        return Received(message, delivery)

    def _outcome_of_unknown_tenant(self, delivery: Delivery) -> Outcome:
        kept = self._keep_while_inactive and self._tenants.is_inactive(delivery.tenant or "")
        if self._platform_wide and not kept:
            dropped.labels(delivery.queue, "foreign-tenant").inc()
            return Done()
        detail = f"The tenant {delivery.tenant!r} is not served here. Add it, then replay."
        return DeadLetter(DeadLetterReason.UNKNOWN_TENANT, detail)


async def drop(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
    """Acknowledge events that the service doesn't use, so that their queue doesn't grow."""
    for delivery in deliveries:
        dropped.labels(delivery.queue, "unused-event").inc()
    return [Done() for _ in deliveries]


def _died_in_another_consumer(delivery: Delivery) -> bool:
    """True for a dead letter of another consumer that was put back into a fanout (amqp.md 1.9 step 4)."""
    handler = delivery.queue.rsplit(".", 1)[-1]
    return delivery.death_queue is not None and not delivery.death_queue.endswith(handler)
