"""From deliveries to the messages of each tenant: the steps of amqp.md 1.9 that every batch goes through."""

import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog
from prometheus_client import Counter as Metric
from pydantic import ValidationError

from rs_order.application.notify_failures import Failures, NotifyFailures
from rs_order.broker.delivery import Delivery
from rs_order.broker.settle import DeadLetter, DeadLetterReason, Done, Outcome
from rs_order.contracts.wire import WireModel
from rs_order.domain.ids import Tenant
from rs_order.entrypoints.amqp.isolation import isolated
from rs_order.entrypoints.amqp.parsing import UnreadableBodyError, read_body, wrong_members

Message = TypeVar("Message", bound=WireModel)

dropped = Metric("rs_order_messages_dropped", "Messages that don't concern us", ["queue", "reason"])


log = structlog.get_logger(__name__)


class KnownTenants(Protocol):
    """Which tenants are served now."""

    def serves(self, tenant: str) -> bool: ...

    def is_away(self, tenant: str) -> bool:
        """Whether it was served once and went."""
        ...

    async def load(self) -> None:
        """Look again which there are."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival(Generic[Message]):
    """A message that could be read, with its delivery."""

    message: Message
    delivery: Delivery


class Batches(Generic[Message]):
    """A handler for one queue: reads, sorts by tenant, hands on, and says what became of each."""

    def __init__(
        self,
        model: type[Message],
        handle: Callable[[Tenant, Sequence[Arrival[Message]]], Awaitable[None]],
        tenants: KnownTenants,
        failures: NotifyFailures,
        *,
        for_everybody: bool = False,
        kept_while_away: bool = False,
        invalid: Callable[[Message], str | None] = lambda _: None,
    ) -> None:
        """Set what a queue carries.

        Args:
            model: what a body is read as.
            handle: takes the messages of one tenant; when it returns their effects are committed.
            tenants: who is served; others' messages are dead letters.
            failures: tells people about dead letters.
            for_everybody: the event goes to the whole platform, and is dropped when it is not of
                one of our tenants.
            kept_while_away: such an event of a tenant that was ours is a dead letter all the same:
                nobody can be asked for it again.
            invalid: why a message that could be read can't be taken, None when it can.
        """
        self._model = model
        self._handle = handle
        self._tenants = tenants
        self._failures = failures
        self._for_everybody = for_everybody
        self._kept_while_away = kept_while_away
        self._invalid = invalid

    async def __call__(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        await self._meet_new_tenants(deliveries)
        outcomes: dict[int, Outcome] = {}
        by_tenant: dict[Tenant, list[tuple[int, Arrival[Message]]]] = defaultdict(list)
        for place, delivery in enumerate(deliveries):
            read = self._read(delivery)
            if isinstance(read, Arrival):
                by_tenant[Tenant(delivery.tenant or "")].append((place, read))
            else:
                outcomes[place] = read
        for tenant, placed in by_tenant.items():
            results = await self._handle_tenant(tenant, [arrival for _, arrival in placed])
            outcomes.update(
                (place, result) for (place, _), result in zip(placed, results, strict=True)
            )
        await self._tell(deliveries, outcomes)
        return [outcomes[place] for place in range(len(deliveries))]

    async def _handle_tenant(
        self, tenant: Tenant, arrivals: Sequence[Arrival[Message]]
    ) -> list[Outcome]:
        async def handle(some: Sequence[Arrival[Message]]) -> None:
            await self._handle(tenant, some)

        began = time.perf_counter()
        queue = arrivals[0].delivery.queue
        with structlog.contextvars.bound_contextvars(tenant=tenant, queue=queue):
            outcomes = await isolated(handle, arrivals)
            log.info(
                "batch-done",
                messages=len(arrivals),
                failed=sum(isinstance(outcome, DeadLetter) for outcome in outcomes),
                ms=round(1000 * (time.perf_counter() - began), 1),
            )
        return outcomes

    async def _meet_new_tenants(self, deliveries: Sequence[Delivery]) -> None:
        """A tenant may have been added since we last looked."""
        named = {delivery.tenant for delivery in deliveries if delivery.tenant}
        if not all(self._tenants.serves(tenant) for tenant in named):
            await self._tenants.load()

    def _read(self, delivery: Delivery) -> Arrival[Message] | Outcome:
        if not delivery.tenant:
            detail = "The header regards.tenant is missing or empty."
            return DeadLetter(DeadLetterReason.MISSING_TENANT, detail)
        if not self._tenants.serves(delivery.tenant):
            return self._foreign(delivery)
        if _died_elsewhere(delivery):
            dropped.labels(delivery.queue, "died-elsewhere").inc()
            return Done()
        return self._parse(delivery)

    def _parse(self, delivery: Delivery) -> Arrival[Message] | DeadLetter:
        try:
            message = self._model.model_validate(read_body(delivery.body))
        except UnreadableBodyError as error:
            return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, str(error))
        except ValidationError as error:
            return DeadLetter(DeadLetterReason.NOT_CONVERTED_MESSAGE, wrong_members(error))
        if reason := self._invalid(message):
            return DeadLetter(DeadLetterReason.INVALID_MESSAGE, reason)
        return Arrival(message, delivery)

    def _foreign(self, delivery: Delivery) -> Outcome:
        kept = self._kept_while_away and self._tenants.is_away(delivery.tenant or "")
        if self._for_everybody and not kept:
            dropped.labels(delivery.queue, "foreign-tenant").inc()
            return Done()
        detail = f"The tenant {delivery.tenant!r} is not served here. Add it, then replay."
        return DeadLetter(DeadLetterReason.UNKNOWN_TENANT, detail)

    async def _tell(self, deliveries: Sequence[Delivery], outcomes: dict[int, Outcome]) -> None:
        """One notification per tenant about what could not be handled (amqp.md 1.12)."""
        failures: dict[str | None, Counter[str]] = defaultdict(Counter)
        for place, outcome in outcomes.items():
            if isinstance(outcome, DeadLetter):
                failures[deliveries[place].tenant][outcome.reason.label] += 1
        await self._failures.tell(
            [
                Failures(
                    tenant=Tenant(name) if name and self._tenants.serves(name) else None,
                    by_label=counts,
                )
                for name, counts in failures.items()
            ]
        )


def _died_elsewhere(delivery: Delivery) -> bool:
    """A dead letter of another consumer that was put back into a fanout (amqp.md 1.9 step 4)."""
    handler = delivery.queue.rsplit(".", 1)[-1]
    return delivery.death_queue is not None and not delivery.death_queue.endswith(handler)
