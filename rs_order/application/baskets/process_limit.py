"""Whether a process takes what a dataset selection amounts to (B10)."""

from rs_order.application.errors import ProcessUnusable, TooManyItems
from rs_order.domain.basket import DatasetSelection
from rs_order.domain.identity import Caller
from rs_order.domain.process import Process, ProcessChoice
from rs_order.ports.errors import RemoteNonsense, RemoteRefusal
from rs_order.ports.processing import Processes


class ProcessLimit:
    """Asks rs-processing, as the caller, what the attached process takes."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def check(self, caller: Caller, selection: DatasetSelection) -> None:
        """Check the selection against its process; one that rs-processing doesn't know limits nothing.

        Raises:
            TooManyItems: the process forbids splitting and the selection exceeds its limit.
            ProcessUnusable: its description can't be had or read.
            RemoteTrouble: rs-processing gave no answer.
        """
        if selection.process is None:
            return
        process = await self._find(caller, selection.process)
        excess = selection.excess(process) if process else None
        if excess is not None:
            raise TooManyItems(str(excess))

    async def _find(self, caller: Caller, choice: ProcessChoice) -> Process | None:
        try:
            return await self._processes.find(caller, choice.process_id)
        except RemoteRefusal as error:
            raise ProcessUnusable(
                f"rs-processing refuses to describe the process {choice.process_id} "
                f"(status {error.status}); choose another one"
            ) from error
        except RemoteNonsense as error:
            raise ProcessUnusable(
                f"Unparsable description info from process plugin with id {choice.process_id}"
            ) from error
