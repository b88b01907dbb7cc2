"""Builds the clients of the platform's services, one of each per process."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp

from rs_order.contracts.administration import ResourceMapping
from rs_order.contracts.platform_names import PlatformService
from rs_order.core.policies import remote_retries
from rs_order.mails.smtp import SmtpMailer, SmtpServer
from rs_order.ports import Authentication, Catalog, FileSources, Mailer, Processes, Projects, Users
from rs_order.regards.address_policy import AddressPolicy
from rs_order.regards.admin import RegardsConnections, RegardsMailer, RegardsProjects, RegardsUsers
from rs_order.regards.answer_memory import AnswerMemory
from rs_order.regards.authentication import RegardsAuthentication
from rs_order.regards.catalog import RegardsCatalog, RegardsDatasetFiles
from rs_order.regards.catalog_items import RegardsCatalogItems
from rs_order.regards.file_sources import (
    ExternalAccess,
    ExternalFiles,
    RegardsFileSources,
    StoredFiles,
)
from rs_order.regards.http import FILE_LIMITS, RemoteService, TokenIssuer, new_client
from rs_order.regards.processing import RegardsProcesses
from rs_order.regards.role_cache import RoleCache
from rs_order.regards.role_rights import RegardsRoles
from rs_order.regards.storage import RegardsStorage
from rs_order.regards.unconfigured import NoCatalog, NoProcesses, NoUsers
from rs_order.regards.webhook_receivers import WebhookReceivers
from rs_order.settings import Settings
from rs_order.store.tenants import Tenants


@dataclass(frozen=True, slots=True)
class PlatformClients:
    """One client per port. All callers share it, because each client has a cache of its own.

    If the address of a service isn't set, its client is None or always raises "unavailable".
    """

    catalog: Catalog
    catalog_items: RegardsCatalogItems | None
    dam: RegardsDatasetFiles | None
    storage: RegardsStorage | None
    processes: Processes
    users: Users
    authentication: Authentication | None
    roles: RoleCache | None
    connections: RegardsConnections | None
    projects: Projects | None
    mailer: Mailer | None
    file_sources: FileSources
    receivers: WebhookReceivers


OpenClients = Callable[
    [Settings, Tenants, Sequence[ResourceMapping]], AbstractAsyncContextManager[PlatformClients]
]


@asynccontextmanager
async def open_platform_clients(
    settings: Settings, tenants: Tenants, endpoints: Sequence[ResourceMapping]
) -> AsyncIterator[PlatformClients]:
    """Open the connections that the clients share, and close them at the end.

    Args:
        settings: the addresses of the services, and how long their responses are cached.
        tenants: the tenants whose roles are cached.
        endpoints: the endpoints that only some roles may use.
    """
    external, receivers = ExternalFiles(_external_access(settings)), webhook_receivers(settings)
    async with new_client() as calls, new_client(FILE_LIMITS, decode=False) as files:
        try:
            services = _Services(settings, calls)
            yield PlatformClients(
                catalog=services.catalog(),
                catalog_items=services.catalog_items(),
                dam=services.dam(),
                storage=services.storage(),
                processes=services.processes(),
                users=services.users(),
                authentication=services.authentication(),
                roles=services.roles(tenants, endpoints),
                connections=services.connections(),
                projects=services.projects(),
                mailer=services.mailer(),
                file_sources=RegardsFileSources(services.stored_files(files), external),
                receivers=receivers,
            )
        finally:
            await external.aclose()
            await receivers.aclose()


class _Services:
    """Builds the client of each service whose address is set. Every method is called once."""

    def __init__(self, settings: Settings, calls: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._calls = calls
        self._memory = AnswerMemory()
        self._tokens = TokenIssuer(settings.signing_key)

    def catalog(self) -> Catalog:
        url = self._settings.catalog_url
        return (
            RegardsCatalog(self._at(PlatformService.CATALOG, url), self._tokens)
            if url
            else NoCatalog()
        )

    def catalog_items(self) -> RegardsCatalogItems | None:
        url = self._settings.catalog_stac_url
        if url is None:
            return None
        return RegardsCatalogItems(self._at(PlatformService.CATALOG, url), self._tokens)

    def dam(self) -> RegardsDatasetFiles | None:
        url = self._settings.dam_url
        return (
            RegardsDatasetFiles(self._at(PlatformService.DAM, url), self._tokens) if url else None
        )

    def storage(self) -> RegardsStorage | None:
        url = self._settings.storage_url
        return RegardsStorage(self._at(PlatformService.STORAGE, url), self._tokens) if url else None

    def processes(self) -> Processes:
        url = self._settings.processing_url
        if url is None:
            return NoProcesses()
        return RegardsProcesses(self._at(PlatformService.PROCESSING, url), self._tokens)

    def users(self) -> Users:
        settings = self._settings
        if settings.admin_url is None:
            return NoUsers()
        return RegardsUsers(
            self._at(PlatformService.ADMIN, settings.admin_url),
            self._tokens,
            admin_seconds=settings.cache_isadmin_ttl,
            admins_cached=settings.cache_isadmin_size,
        )

    def authentication(self) -> Authentication | None:
        url, client = self._settings.authentication_url, self._settings.authentication_client
        if url is None:
            return None
        service = self._at(PlatformService.AUTHENTICATION, url)
        return RegardsAuthentication(service, client.get_secret_value() if client else None)

    def roles(self, tenants: Tenants, endpoints: Sequence[ResourceMapping]) -> RoleCache | None:
        url = self._settings.admin_url
        if url is None:
            return None
        return RoleCache(
            RegardsRoles(self._at(PlatformService.ADMIN, url), self._tokens, endpoints),
            tenants,
            refresh=timedelta(minutes=self._settings.roles_refresh_minutes),
            backoff=remote_retries(),
        )

    def connections(self) -> RegardsConnections | None:
        url = self._settings.admin_instance_url
        if url is None:
            return None
        return RegardsConnections(self._at(PlatformService.ADMIN_INSTANCE, url), self._tokens)

    def projects(self) -> Projects | None:
        url = self._settings.admin_instance_url
        if url is None:
            return None
        return RegardsProjects(self._at(PlatformService.ADMIN_INSTANCE, url), self._tokens)

    def mailer(self) -> Mailer | None:
        """Return SMTP if a server is set, else rs-admin-instance if set, else None (no mail is sent)."""
        settings = self._settings
        if settings.smtp_host is not None:
            password = settings.smtp_password
            server = SmtpServer(
                settings.smtp_host,
                settings.smtp_port,
                encryption=settings.smtp_tls,
                username=settings.smtp_username,
                password=password.get_secret_value() if password else None,
            )
            return SmtpMailer(server, settings.mail_sender or "")
        if settings.admin_instance_url is not None:
            service = self._at(PlatformService.ADMIN_INSTANCE, settings.admin_instance_url)
            return RegardsMailer(service, self._tokens, settings.mail_sender)
        return None

    def stored_files(self, files: aiohttp.ClientSession) -> StoredFiles:
        return StoredFiles(
            files,
            self._tokens,
            storage_url=self._settings.storage_url or "http://rs-storage.invalid",
            dam_url=self._settings.dam_url or "http://rs-dam.invalid",
        )

    def _at(self, name: str, url: str) -> RemoteService:
        return RemoteService(name, url, self._calls, memory=self._memory)


def webhook_receivers(settings: Settings) -> WebhookReceivers:
    """Return the client that sends to webhooks."""
    policy = AddressPolicy(settings.webhook_networks, private=False)
    return WebhookReceivers(policy, proxy=settings.webhook_proxy)


def _external_access(settings: Settings) -> ExternalAccess:
    host, port = settings.http_proxy_host, settings.http_proxy_port
    return ExternalAccess(
        folders=tuple(Path(folder) for folder in settings.file_url_folders),
        proxy=f"http://{host}:{port}" if host else None,
        direct_hosts=tuple(settings.http_proxy_noproxy),
        policy=AddressPolicy(
            settings.external_networks, private=settings.external_private_networks
        ),
    )
