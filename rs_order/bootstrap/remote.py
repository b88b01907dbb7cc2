"""The REGARDS services, as far as their addresses are set."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import httpx

from rs_order.adapters.mail import SmtpMailer, SmtpServer
from rs_order.adapters.regards.admin import RegardsUsers
from rs_order.adapters.regards.admin_instance import RegardsConnections, RegardsProjects
from rs_order.adapters.regards.catalog import RegardsCatalog
from rs_order.adapters.regards.dam import RegardsDatasetFiles
from rs_order.adapters.regards.external import ExternalAccess, ExternalFiles
from rs_order.adapters.regards.http import RemoteService
from rs_order.adapters.regards.kept_roles import KeptRoles
from rs_order.adapters.regards.mail import RegardsMailer
from rs_order.adapters.regards.process_batches import RegardsProcessBatches
from rs_order.adapters.regards.processing import RegardsProcesses
from rs_order.adapters.regards.roles import RegardsRoles
from rs_order.adapters.regards.storage import StoredFiles
from rs_order.adapters.regards.tokens import TokenMinter
from rs_order.adapters.regards.unconfigured import NoCatalog, NoProcesses, NoUsers
from rs_order.contracts.resource import ResourceMapping
from rs_order.ports.catalog import Catalog
from rs_order.ports.directory import Users
from rs_order.ports.mail import Mailer
from rs_order.ports.processing import ProcessBatches, Processes
from rs_order.ports.store import Tenants
from rs_order.settings import Settings


class Remote:
    """The REGARDS services, as far as their addresses are set."""

    def __init__(
        self, settings: Settings, client: httpx.AsyncClient, files: httpx.AsyncClient
    ) -> None:
        self._settings = settings
        self._client = client
        self._files = files
        self.tokens = TokenMinter(settings.jwt_key_hs512.get_secret_value())

    def _service(self, name: str, url: str) -> RemoteService:
        return RemoteService(name, url, self._client)

    @property
    def catalog(self) -> Catalog:
        url = self._settings.catalog_url
        return RegardsCatalog(self._service("rs-catalog", url), self.tokens) if url else NoCatalog()

    @property
    def dam(self) -> RegardsDatasetFiles | None:
        url = self._settings.dam_url
        return RegardsDatasetFiles(self._service("rs-dam", url), self.tokens) if url else None

    @property
    def processes(self) -> Processes:
        url = self._settings.processing_url
        if url is None:
            return NoProcesses()
        return RegardsProcesses(self._service("rs-processing", url), self.tokens)

    @property
    def process_batches(self) -> ProcessBatches:
        url = self._settings.processing_url
        if url is None:
            return NoProcesses()
        return RegardsProcessBatches(self._service("rs-processing", url), self.tokens)

    @property
    def users(self) -> Users:
        settings = self._settings
        if settings.admin_url is None:
            return NoUsers()
        return RegardsUsers(
            self._service("rs-admin", settings.admin_url),
            self.tokens,
            admin_seconds=settings.cache_isadmin_ttl,
            admins_cached=settings.cache_isadmin_size,
        )

    def roles(self, tenants: Tenants, endpoints: Sequence[ResourceMapping]) -> KeptRoles | None:
        """What rs-admin lets roles do; None where it isn't asked."""
        url = self._settings.admin_url
        if url is None:
            return None
        return KeptRoles(
            RegardsRoles(self._service("rs-admin", url), self.tokens, endpoints),
            tenants,
            refresh=timedelta(minutes=self._settings.roles_refresh_minutes),
        )

    @property
    def connections(self) -> RegardsConnections | None:
        url = self._settings.admin_instance_url
        if url is None:
            return None
        return RegardsConnections(self._service("rs-admin-instance", url), self.tokens)

    @property
    def projects(self) -> RegardsProjects | None:
        url = self._settings.admin_instance_url
        if url is None:
            return None
        return RegardsProjects(self._service("rs-admin-instance", url), self.tokens)

    @property
    def mailer(self) -> Mailer | None:
        """SMTP where a server is set, else rs-admin-instance; None: mails can't leave."""
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
            service = self._service("rs-admin-instance", settings.admin_instance_url)
            return RegardsMailer(service, self.tokens, settings.mail_sender)
        return None

    @property
    def stored_files(self) -> StoredFiles:
        return StoredFiles(
            self._files,
            self.tokens,
            storage_url=self._settings.storage_url or "http://rs-storage.invalid",
            dam_url=self._settings.dam_url or "http://rs-dam.invalid",
        )

    @property
    def external_files(self) -> ExternalFiles:
        settings = self._settings
        host, port = settings.http_proxy_host, settings.http_proxy_port
        return ExternalFiles(
            ExternalAccess(
                folders=tuple(Path(folder) for folder in settings.file_url_folders),
                proxy=f"http://{host}:{port}" if host else None,
                direct_hosts=tuple(settings.http_proxy_noproxy),
            )
        )
