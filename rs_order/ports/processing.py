"""rs-processing: which processes there are, and batches of executions (remote-services.md 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from rs_order.domain.identity import Caller
from rs_order.domain.ids import Urn
from rs_order.domain.process import Process
from rs_order.ports.errors import RemoteNonsense


class UnreadableProcess(RemoteNonsense):
    """rs-processing describes a process in a way that nobody can order with."""

    code = "unreadable-process"


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What rs-processing is told before it is asked for the executions of a sub-order."""

    correlation_id: str
    process_id: UUID
    parameters: Mapping[str, str]
    dataset: Urn
    total_bytes: int
    """Of all inputs."""


class Processes(Protocol):
    """rs-processing, as far as it is asked about processes."""

    async def find(self, caller: Caller, process_id: UUID) -> Process | None:
        """The process; None when rs-processing knows none of that id.

        Raises:
            RemoteRefusal, RemoteTrouble: no answer that can be used.
            UnreadableProcess: its description can't be read, so nobody can order with it.
        """
        ...


class ProcessBatches(Protocol):
    """rs-processing, as far as it is asked to work."""

    async def create(self, caller: Caller, batch: NewBatch) -> UUID:
        """The id of a new batch, under which executions can be asked for.

        Asking again for the same correlation id makes another batch; one without executions does no
        harm.

        Raises:
            RemoteRefusal, RemoteTrouble: there is no batch that could be used.
        """
        ...
