"""rs-processing: which processes there are (remote-services.md 4)."""

from typing import Protocol
from uuid import UUID

from rs_order.domain.identity import Caller
from rs_order.domain.process import Process


class Processes(Protocol):
    """rs-processing, as far as it is asked about processes."""

    async def find(self, caller: Caller, process_id: UUID) -> Process | None:
        """The process; None when rs-processing knows none of that id.

        Raises:
            RemoteRefusal, RemoteTrouble: no answer that can be used.
            RemoteNonsense: its description can't be read, so nobody can order with it.
        """
        ...
