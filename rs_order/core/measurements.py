"""Measures how long peers wait, by tenant. The number of tenants with a label of their own is limited."""

from datetime import datetime, timedelta
from typing import Final

from prometheus_client import Counter, Histogram

from rs_order.domain.estimates import Outcome
from rs_order.domain.ids import Tenant
from rs_order.ports import ServedTenants

OTHER_TENANTS: Final = "other"
"""The label that the tenants beyond the limit share."""
OTHER_STORAGES: Final = "other"
SECONDS_OF_PEERS: Final = (0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)

_granted = Histogram(
    "rs_order_request_granted_seconds",
    "Time from the receipt of an order request to the commit of its GRANTED",
    ["tenant"],
    buckets=SECONDS_OF_PEERS,
)
_done = Histogram(
    "rs_order_sub_order_done_seconds",
    "Time from the publication of storage's last event to the commit of SUBORDER_DONE",
    ["tenant"],
    buckets=SECONDS_OF_PEERS,
)
_estimates = Counter(
    "rs_order_estimates",
    "Sub-orders that needed tape, by how the range given for them came true",
    ["tenant", "storage", "moment", "outcome"],
)
_STORAGE_LABELS: Final = 20
"""Storages with a label of their own."""


class Measurements:
    """Observes the durations that peers notice."""

    def __init__(self, tenants: ServedTenants, *, tenant_labels: int) -> None:
        """``tenant_labels``: the number of tenants with a label of their own."""
        self._tenants = tenants
        self._tenant_labels = tenant_labels
        self._storages: set[str] = set()

    def label(self, tenant: str) -> str:
        """Return the name of a tenant, if it is among the first that were added, else ``other``."""
        named = tenant in self._tenants.names()[: self._tenant_labels]
        return tenant if named else OTHER_TENANTS

    def granted(self, tenant: Tenant, waited: timedelta) -> None:
        _granted.labels(self.label(tenant)).observe(_seconds(waited))

    def sub_orders_done(
        self, tenant: Tenant, sub_orders: int, last_event: datetime, now: datetime
    ) -> None:
        """Observe sub-orders that the same batch of events completed."""
        for _ in range(sub_orders):
            _done.labels(self.label(tenant)).observe(_seconds(now - last_event))

    def estimated(self, tenant: Tenant, storage: str | None, moment: str, outcome: Outcome) -> None:
        """Count a range that was given when a sub-order was asked, or that of half of its time."""
        labels = self.label(tenant), self._storage_label(storage), moment, outcome
        _estimates.labels(*labels).inc()

    def _storage_label(self, storage: str | None) -> str:
        """Return the name of a storage, if it is among the first that this process has met."""
        if storage is None:
            return "unknown"
        if len(self._storages) < _STORAGE_LABELS:
            self._storages.add(storage)
        return storage if storage in self._storages else OTHER_STORAGES


def _seconds(duration: timedelta) -> float:
    """Return a duration in seconds; 0 if two clocks differ so that it would be negative."""
    return max(0.0, duration.total_seconds())
