"""Files fetched from their sources, the next one opened while the one before it is read."""

from rs_order.application.download.transfer import Transfer
from rs_order.domain.ids import DataFileId, Tenant
from rs_order.ports.downloads import FetchError, FileSources, FileToDownload


class Fetching:
    """The transfers under way: that of the file being read, and at most one ahead."""

    def __init__(self, sources: FileSources, tenant: Tenant, email: str) -> None:
        self._sources = sources
        self._tenant = tenant
        self._email = email
        self._alone = False
        self._transfers: dict[DataFileId, Transfer] = {}

    def start(self, file: FileToDownload) -> None:
        """Open a file, unless it was opened ahead."""
        self._transfer(file)

    def start_ahead(self, file: FileToDownload) -> None:
        """Open a file before it is read, unless storage has shown that it minds."""
        if not self._alone:
            self.start(file)

    async def first_chunk(self, file: FileToDownload) -> bytes | None:
        """Wait until a file begins to come; None for an empty one.

        Storage may limit how many downloads a user has at once (remote-services.md 3.6). A 429 to
        one of two therefore says nothing yet: it is asked again alone, and so are all that follow.

        Raises:
            FetchError: the file can't be had.
        """
        try:
            return await self.next_chunk(file)
        except FetchError as error:
            if self._alone or not error.quota_exceeded:
                raise
        self._alone = True
        await self.stop_all()
        return await self.next_chunk(file)

    async def next_chunk(self, file: FileToDownload) -> bytes | None:
        """The next bytes of a file, None at its end.

        Raises:
            FetchError: the source gave up; nothing more is read of this file.
        """
        try:
            return await self._transfer(file).next_chunk()
        except FetchError:
            await self.stop(file)
            raise

    async def stop(self, file: FileToDownload) -> None:
        """Let go of a file's source; nothing happens when it has been done before."""
        transfer = self._transfers.pop(file.id, None)
        if transfer is not None:
            await transfer.stop()

    async def stop_all(self) -> None:
        for transfer in list(self._transfers.values()):
            await self.stop(transfer.file)

    def _transfer(self, file: FileToDownload) -> Transfer:
        if file.id not in self._transfers:
            source = self._sources.open(self._tenant, self._email, file)
            self._transfers[file.id] = Transfer(file, source)
        return self._transfers[file.id]
