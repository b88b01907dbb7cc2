"""Public links to orders."""

import asyncio
from urllib.parse import quote

import structlog

from rs_order.contracts.platform_names import PlatformService
from rs_order.domain.identity import SERVICE
from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.ports import Projects, RemoteRejection, RemoteUnavailable
from rs_order.store.tenants import Tenants
from rs_order.store.unit_of_work import UnitOfWork

LONGEST_WAIT_SECONDS = 3.0
"""The longest that a person waits for the address, which is only used later, in a link."""

log = structlog.get_logger(__name__)


class Links:
    """Builds public links from the address of the tenant's project.

    The address is fetched before an order is created, and stored with the tenant. Later work on the order
    never waits for rs-admin-instance.
    """

    def __init__(
        self,
        projects: Projects | None,
        tenants: Tenants,
        *,
        prefix: str,
        fallback: str,
        longest_wait_seconds: float = LONGEST_WAIT_SECONDS,
    ) -> None:
        """Build links.

        Args:
            projects: rs-admin-instance, if it is configured.
            tenants: the stored addresses.
            prefix: the prefix of the gateway, ``/api/v1``.
            fallback: the address for projects whose own address is unknown.
            longest_wait_seconds: how long a person waits for an address.
        """
        self._projects = projects
        self._longest_wait_seconds = longest_wait_seconds
        self._tenants = tenants
        self._prefix = prefix.strip("/")
        self._fallback = fallback

    async def learn(self, tenant: Tenant) -> None:
        """Fetch and store the address of the tenant.

        Raises:
            RemoteUnavailable: no address is stored, and rs-admin-instance is unavailable.
        """
        if self._projects is None:
            return
        try:
            host = await self._projects.host(tenant)
        except RemoteRejection:
            return
        except RemoteUnavailable:
            if await self._stored_host(tenant) is None:
                raise
            return
        if host:
            await self._tenants.save_host(tenant, host)

    async def learn_if_possible(self, tenant: Tenant) -> None:
        """Fetch the address of the tenant; if that fails or takes too long, the stored one stays in use."""
        try:
            async with asyncio.timeout(self._longest_wait_seconds):
                await self.learn(tenant)
        except (RemoteUnavailable, TimeoutError) as error:
            log.warning("project-address-unknown", tenant=tenant, cause=str(error))

    async def current(self, tenant: Tenant) -> "DownloadLinks":
        """Return links with the present address, or the stored one if rs-admin-instance is unavailable.

        Raises:
            RemoteUnavailable: no address is stored, and rs-admin-instance is unavailable.
        """
        try:
            async with asyncio.timeout(self._longest_wait_seconds):
                await self.learn(tenant)
        except TimeoutError as error:
            if await self._stored_host(tenant) is None:
                raise RemoteUnavailable(
                    PlatformService.ADMIN_INSTANCE, "no answer in time"
                ) from error
        return await self.stored(tenant)

    async def stored(self, tenant: Tenant) -> "DownloadLinks":
        """Return links with the stored address. Not for use in a unit of work: it may read the store."""
        return self._with(await self._stored_host(tenant))

    async def within(self, uow: UnitOfWork) -> "DownloadLinks":
        """Return links with the stored address, for use in a unit of work.

        An address that this process doesn't know yet is read by the unit of work itself: a second
        connection, taken while the first one is held, could block the pool for ever.
        """
        host = self._tenants.host(uow.tenant)
        if host is None and self._projects is not None:
            host = await uow.host()
            if host is not None:
                self._tenants.remember_host(uow.tenant, host)
        return self._with(host)

    async def page(self, tenant: Tenant, path: str) -> str:
        """Return the address of a page below the project's own address."""
        return f"{self._address(await self._stored_host(tenant))}/{path.lstrip('/')}"

    def _with(self, host: str | None) -> "DownloadLinks":
        return DownloadLinks(f"{self._address(host)}/{self._prefix}/{SERVICE}")

    def _address(self, host: str | None) -> str:
        return (host or self._fallback).rstrip("/")

    async def _stored_host(self, tenant: Tenant) -> str | None:
        host = self._tenants.host(tenant)
        if host is None and self._projects is not None:
            await self._tenants.load()  # another instance may have stored it
            host = self._tenants.host(tenant)
        return host


class DownloadLinks:
    """Links of one tenant, with one slash between parts (decisions.md, downloadLink)."""

    def __init__(self, base: str) -> None:
        self._base = base

    def of(self, order_id: OrderId) -> str:
        """Return the address of the zip of an order."""
        return f"{self._base}/user/orders/{order_id}/download"

    def of_event_source(self, tenant: Tenant) -> str:
        """Return the address that stands for the tenant as the source of events (faces.md E-3)."""
        return f"{self._base}/{tenant}"

    def event_schema(self) -> str:
        """Return the address of the JSON schema of the data of events."""
        return f"{self._base}/schemas/events-1.json"

    def of_event(self, order_id: OrderId) -> dict[str, str]:
        """Return the addresses that an event about an order has."""
        order = f"{self._base}/user/orders/{order_id}"
        return {
            "order": order,
            "progress": f"{order}/progress",
            "download": f"{order}/download",
            "archives": f"{order}/archives",
            "stac": f"{self._base}/stac/collections/order-{order_id}",
        }

    def of_file(self, file_id: DataFileId) -> str:
        """Return the address of one file (rest.md 5.8; decisions.md, downloadUrl)."""
        return f"{self._base}/orders/files/{file_id}"

    def public_file(self, file_id: DataFileId, order_token: str, tenant: Tenant) -> str:
        """Return the address of a file that an order token opens; parameter order counts (rest.md 10.4)."""
        return f"{self._base}/orders/public/files/{file_id}?{_public(order_token, tenant)}"

    def public_metalink(self, order_token: str, tenant: Tenant, version: int | None = None) -> str:
        """Return the address of the metalink of the order that the token opens."""
        wanted = f"version={version}&" if version else ""
        return f"{self._base}/user/orders/metalink/download?{wanted}{_public(order_token, tenant)}"


def _public(order_token: str, tenant: Tenant) -> str:
    return f"orderToken={quote(order_token)}&scope={quote(tenant)}"
