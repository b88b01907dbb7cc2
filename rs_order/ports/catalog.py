"""The catalog: what there is to order."""

from collections.abc import Sequence
from typing import Protocol

from rs_order.domain.files import Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant, Urn
from rs_order.domain.selection import SelectionRequest, Summary


class Catalog(Protocol):
    """rs-catalog (remote-services.md 2). All calls raise RemoteRefusal or RemoteTrouble."""

    async def summarize(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Summary:
        """What the requests find together, counted once, per dataset; all orderable types."""
        ...

    async def search(
        self,
        caller: Caller,
        requests: Sequence[SelectionRequest],
        *,
        page: int,
        size: int,
        every_type: bool = False,
    ) -> tuple[Product, ...]:
        """One page of the products found, in a stable order; empty past the end.

        ``every_type``: with their files of other types too, which a process may take.
        """
        ...

    async def dataset_label(self, caller: Caller, urn: Urn) -> str | None:
        """The label of a dataset, None when the catalog knows none."""
        ...


class DatasetFiles(Protocol):
    """rs-dam: the files attached to a dataset (remote-services.md 2.9)."""

    async def attached_files(self, tenant: Tenant, urn: Urn) -> Product | None:
        """The dataset with its orderable attached files, None when rs-dam doesn't know it."""
        ...
