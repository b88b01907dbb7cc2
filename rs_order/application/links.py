"""Public links to orders."""

import asyncio
from urllib.parse import quote

import structlog

from rs_order.domain.ids import DataFileId, OrderId, Tenant
from rs_order.ports.directory import Projects
from rs_order.ports.errors import RemoteRefusal, RemoteTrouble
from rs_order.ports.store import Tenants

_A_MOMENT = 3.0
"""Seconds that a person waits for an address that is told only later, in a link."""

log = structlog.get_logger(__name__)


class Links:
    """Builds the links peers follow, from the public address of the tenant's project.

    The address is learnt before an order is created and kept with the tenant, so that nothing an order
    goes through later has to wait for rs-admin-instance.
    """

    def __init__(
        self, projects: Projects | None, tenants: Tenants, *, prefix: str, fallback: str
    ) -> None:
        """``fallback`` is the address when nobody knows one; ``prefix`` the gateway's, ``/api/v1``."""
        self._projects = projects
        self._tenants = tenants
        self._prefix = prefix.strip("/")
        self._fallback = fallback

    async def learn(self, tenant: Tenant) -> None:
        """Make sure that the tenant's address is known.

        Raises:
            RemoteTrouble: it was never known, and rs-admin-instance doesn't give it now.
        """
        if self._projects is None:
            return
        try:
            host = await self._projects.host(tenant)
        except RemoteRefusal:
            return
        except RemoteTrouble:
            if await self._tenants.host(tenant) is None:
                raise
            return
        if host:
            await self._tenants.keep_host(tenant, host)

    async def learn_if_possible(self, tenant: Tenant) -> None:
        """Learn the tenant's address unless that takes too long: then the last known one serves."""
        try:
            async with asyncio.timeout(_A_MOMENT):
                await self.learn(tenant)
        except (RemoteTrouble, TimeoutError) as error:
            log.warning("project-address-unknown", tenant=tenant, cause=str(error))

    async def current(self, tenant: Tenant) -> "DownloadLinks":
        """The links of a tenant, from its address as it is now; the last known where nobody answers.

        Raises:
            RemoteTrouble: it was never known, and rs-admin-instance doesn't give it now.
        """
        try:
            async with asyncio.timeout(_A_MOMENT):
                await self.learn(tenant)
        except TimeoutError as error:
            if await self._tenants.host(tenant) is None:
                raise RemoteTrouble("rs-admin-instance", "no answer in time") from error
        return await self.download(tenant)

    async def download(self, tenant: Tenant) -> "DownloadLinks":
        """The links to a tenant's orders, from the address last known."""
        return DownloadLinks(f"{await self._host(tenant)}/{self._prefix}/rs-order")

    async def page(self, tenant: Tenant, path: str) -> str:
        """A page of the project's site, from the address last known; never one of another site."""
        return f"{await self._host(tenant)}/{path.lstrip('/')}"

    async def _host(self, tenant: Tenant) -> str:
        host = await self._tenants.host(tenant)
        if host is None and self._projects is not None:
            await self._tenants.load()  # another instance may have learnt it meanwhile
            host = await self._tenants.host(tenant)
        return (host or self._fallback).rstrip("/")


class DownloadLinks:
    """Links of one tenant; one slash between parts (decisions.md, downloadLink)."""

    def __init__(self, base: str) -> None:
        self._base = base

    def of(self, order_id: OrderId) -> str:
        return f"{self._base}/user/orders/{order_id}/download"

    def of_file(self, file_id: DataFileId) -> str:
        """Where one file is downloaded (rest.md 5.8; decisions.md, downloadUrl)."""
        return f"{self._base}/orders/files/{file_id}"

    def public_file(self, file_id: DataFileId, order_token: str, tenant: Tenant) -> str:
        """A file, for whoever has the order token; the order of the parameters counts (rest.md 10.4)."""
        return f"{self._base}/orders/public/files/{file_id}?{_public(order_token, tenant)}"

    def public_metalink(self, order_token: str, tenant: Tenant) -> str:
        """The metalink of the order that the token names."""
        return f"{self._base}/user/orders/metalink/download?{_public(order_token, tenant)}"


def _public(order_token: str, tenant: Tenant) -> str:
    return f"orderToken={quote(order_token)}&scope={quote(tenant)}"
