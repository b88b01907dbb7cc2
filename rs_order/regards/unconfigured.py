"""Clients for services without an address: their errors name the setting that is missing."""

# ruff: noqa: ARG002 - the signatures are the ports'
from collections.abc import Sequence
from typing import NoReturn
from uuid import UUID

from rs_order.contracts.platform_names import PlatformService
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant, Urn
from rs_order.domain.process import Process
from rs_order.domain.selection import SelectionRequest, Summary
from rs_order.ports import FoundPage, NewBatch, RemoteUnavailable, User


def _unset(service: str, variable: str) -> NoReturn:
    raise RemoteUnavailable(service, f"no address is set; set {variable}")


class NoCatalog:
    """Implements :class:`rs_order.ports.Catalog` where no rs-catalog is configured."""

    async def summarize(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Summary:
        _unset(PlatformService.CATALOG, "RS_ORDER_CATALOG_URL")

    async def search(
        self,
        caller: Caller,
        requests: Sequence[SelectionRequest],
        *,
        page: int,
        size: int,
        every_type: bool = False,
    ) -> FoundPage:
        _unset(PlatformService.CATALOG, "RS_ORDER_CATALOG_URL")

    async def dataset_label(self, caller: Caller, urn: Urn) -> str | None:
        _unset(PlatformService.CATALOG, "RS_ORDER_CATALOG_URL")


class NoUsers:
    """Implements :class:`rs_order.ports.Users` where no rs-admin is configured."""

    async def find(self, tenant: Tenant, email: str) -> User | None:
        _unset(PlatformService.ADMIN, "RS_ORDER_ADMIN_URL")

    async def is_admin(self, tenant: Tenant, email: str) -> bool:
        _unset(PlatformService.ADMIN, "RS_ORDER_ADMIN_URL")


class NoProcesses:
    """Implements :class:`rs_order.ports.Processes` where no rs-processing is configured."""

    async def find(self, caller: Caller, process_id: UUID) -> Process | None:
        """Return None for every id: there are no processes."""

    async def create_batch(self, caller: Caller, batch: NewBatch) -> UUID:
        _unset(PlatformService.PROCESSING, "RS_ORDER_PROCESSING_URL")
