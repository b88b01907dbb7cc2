"""The REGARDS services, as far as their addresses are set."""

from pathlib import Path

import httpx

from rs_order.adapters.regards.admin import RegardsUsers
from rs_order.adapters.regards.admin_instance import RegardsProjects
from rs_order.adapters.regards.catalog import RegardsCatalog
from rs_order.adapters.regards.dam import RegardsDatasetFiles
from rs_order.adapters.regards.external import ExternalAccess, ExternalFiles
from rs_order.adapters.regards.http import RemoteService
from rs_order.adapters.regards.process_batches import RegardsProcessBatches
from rs_order.adapters.regards.processing import RegardsProcesses
from rs_order.adapters.regards.storage import StoredFiles
from rs_order.adapters.regards.tokens import TokenMinter
from rs_order.adapters.regards.unconfigured import NoCatalog, NoProcesses, NoUsers
from rs_order.ports.catalog import Catalog
from rs_order.ports.directory import Users
from rs_order.ports.processing import ProcessBatches, Processes
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

    @property
    def projects(self) -> RegardsProjects | None:
        url = self._settings.admin_instance_url
        if url is None:
            return None
        return RegardsProjects(self._service("rs-admin-instance", url), self.tokens)

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
