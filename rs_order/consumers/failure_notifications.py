"""Notifies operators of messages that could not be handled (amqp.md 1.12)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rs_order.contracts.notifications import Level, Notification, NotificationEvent
from rs_order.contracts.platform_names import EXPLOIT
from rs_order.domain.identity import INSTANCE
from rs_order.domain.ids import Tenant
from rs_order.ports import MessageKind
from rs_order.store.messages import OutgoingMessage
from rs_order.store.unit_of_work import Store


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
        await self._store.send([_notification(one) for one in failures if one.by_label])


def _notification(failures: Failures) -> OutgoingMessage:
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
