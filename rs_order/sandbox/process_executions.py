"""The batches and executions of rs-processing (remote-services.md 4.2 to 4.8).

An execution takes some time, writes real files (see ``execution_outputs``), and publishes its result.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict

from rs_order.sandbox.amqp_wire import EXECUTION_RESULT, Event
from rs_order.sandbox.execution_outputs import Batch, Execution, write_outputs
from rs_order.sandbox.faults import Faults
from rs_order.sandbox.process_catalog import Processes
from rs_order.sandbox.records import WAIT_SECONDS, Changes
from rs_order.sandbox.service_protocol import Identity

_LOG = logging.getLogger(__name__)
_MAX_RECORDS = 10_000


class BatchBody(BaseModel):
    """Body of ``POST /batch``."""

    model_config = ConfigDict(extra="forbid")

    correlationId: str  # noqa: N815 - the wire's name, as the next ones
    processBusinessId: UUID  # noqa: N815
    tenant: str
    user: str
    userRole: str  # noqa: N815
    parameters: dict[str, str]
    filesetsByDataset: dict[str, Any]  # noqa: N815


class Executions:
    """The batches and executions of rs-processing; ``stop`` cancels the running ones."""

    def __init__(
        self, processes: Processes, faults: Faults, send: Callable[[Event], None], folder: Path
    ) -> None:
        """Create an rs-processing without executions.

        Args:
            processes: the available processes.
            faults: checked when an execution is requested, and when it ends.
            send: sends an event to the broker.
            folder: the folder of all outputs.
        """
        self._processes = processes
        self._faults = faults
        self._send = send
        self.folder = folder
        self._batches: dict[str, Batch] = {}
        self._requested: deque[Execution] = deque(maxlen=_MAX_RECORDS)
        self._downloaded: deque[str] = deque(maxlen=_MAX_RECORDS)
        self._running: set[asyncio.Task[None]] = set()
        self._changes = Changes()

    @property
    def batches(self) -> list[Batch]:
        return list(self._batches.values())

    @property
    def requested(self) -> list[Execution]:
        """The last executions that were requested, oldest first."""
        return list(self._requested)

    @property
    def downloaded(self) -> list[str]:
        """URLs of the outputs that rs-order announced as downloaded."""
        return list(self._downloaded)

    async def wait_for(self, executions: int, timeout_seconds: float = WAIT_SECONDS) -> None:
        """Wait until this many executions were requested; raises TimeoutError."""
        await self._changes.until(lambda: len(self._requested) >= executions, timeout_seconds)

    async def wait_for_downloaded(self, files: int, timeout_seconds: float = WAIT_SECONDS) -> None:
        """Wait until this many outputs were announced as downloaded; raises TimeoutError."""
        await self._changes.until(lambda: len(self._downloaded) >= files, timeout_seconds)

    def make_batch(self, identity: Identity, body: BatchBody) -> Batch | None:
        """Create a batch and return it; return None if the process doesn't exist."""
        process = self._processes.find(str(body.processBusinessId))
        if process is None:
            return None
        batch = Batch(uuid4(), body.correlationId, process, identity, body.parameters)
        self._batches[str(batch.id)] = batch
        return batch

    def accept(self, tenant: str, body: dict[str, Any]) -> None:
        """Start an execution. For an unknown batch only log it, as the real rs-processing does.

        Raises:
            ValueError: a mandatory member is missing or null.
        """
        request = _parse_request(body)
        batch = self._batches.get(request.batch_id)
        if batch is None:
            _LOG.warning("Execution of unknown batch %s", request.batch_id)
            return
        execution = Execution(
            tenant, batch, request.correlation_id, request.inputs, datetime.now(UTC)
        )
        self._requested.append(execution)
        self._changes.notify()
        if not self._faults.processing_silence:
            self._start(execution)

    def run_again(self, execution: Execution) -> None:
        """Run an execution (again), even if ``processing_silence`` suppressed it."""
        self._start(execution)

    async def outputs_downloaded(self, urls: Sequence[str]) -> None:
        """Delete outputs that were downloaded; URLs outside the folder are ignored."""
        for url in urls:
            path = Path(url2pathname(urlsplit(url).path))
            if path.is_relative_to(self.folder):
                await asyncio.to_thread(path.unlink, missing_ok=True)
        self._downloaded.extend(urls)
        self._changes.notify()

    async def stop(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def clear(self) -> None:
        """Delete batches, executions and their files; running executions end without an event."""
        for task in self._running:
            task.cancel()
        for batch in self._batches.values():
            shutil.rmtree(self.folder / str(batch.id), ignore_errors=True)
        self._batches.clear()
        self._requested.clear()
        self._downloaded.clear()

    def _start(self, execution: Execution) -> None:
        task = asyncio.create_task(self._execute(execution))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _execute(self, execution: Execution) -> None:
        await asyncio.sleep(self._faults.processing_seconds)
        execution_id = str(uuid4())
        outputs: list[dict[str, Any]] = []
        if self._faults.processing_status == "SUCCESS":
            outputs = await write_outputs(execution, execution_id, self._faults, self.folder)
        process = execution.batch.process
        body = {
            "executionId": execution_id,
            "batchId": str(execution.batch.id),
            "executionCorrelationId": execution.correlation_id,
            "batchCorrelationId": execution.batch.correlation_id,
            "processId": str(process.id),
            "processInfo": process.described_to(execution.batch.identity)["processInfo"],
            "finalStatus": self._faults.processing_status,
            "outputs": outputs,
            "messages": self._faults.processing_messages,
        }
        for _ in range(self._faults.duplicates):
            self._send(Event(EXECUTION_RESULT, execution.tenant, body))


@dataclass(frozen=True, slots=True)
class _ExecutionRequest:
    batch_id: str
    correlation_id: str
    inputs: tuple[dict[str, Any], ...]


_MANDATORY = (
    "bytes",
    "checksum",
    "fileName",
    "localRelativePath",
    "metadata",
    "inputCorrelationId",
)


def _parse_request(body: dict[str, Any]) -> _ExecutionRequest:
    inputs = body.get("inputFiles")
    batch, correlation = body.get("batchId"), body.get("executionCorrelationId")
    if not isinstance(batch, str) or not isinstance(correlation, str):
        raise ValueError(  # noqa: TRY004 - a bad value of a message
            "batchId and executionCorrelationId are mandatory"
        )
    if not isinstance(inputs, list) or not inputs:
        raise ValueError("an execution needs inputFiles")
    for one in inputs:
        missing = [name for name in _MANDATORY if one.get(name) is None]
        if missing:
            raise ValueError(f"an input lacks {', '.join(missing)}")
    return _ExecutionRequest(batch, correlation, tuple(inputs))
