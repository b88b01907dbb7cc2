"""Where the bytes of a file come from (domain.md 11.1, point 4)."""

from contextlib import AbstractAsyncContextManager

from rs_order.adapters.regards.external import ExternalFiles
from rs_order.adapters.regards.storage import StoredFiles
from rs_order.domain.ids import Tenant
from rs_order.ports.downloads import FileToDownload, OpenFile


class RegardsFileSources:
    """Implements ``FileSources``: external files by their URL, the others by their checksum."""

    def __init__(self, stored: StoredFiles, external: ExternalFiles) -> None:
        self._stored = stored
        self._external = external

    def open(
        self, tenant: Tenant, email: str, file: FileToDownload
    ) -> AbstractAsyncContextManager[OpenFile]:
        if file.external:
            return self._external.open(file.url)
        return self._stored.open(tenant, email, file)
