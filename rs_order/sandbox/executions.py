"""rs-processing at work: batches, executions, and the files they make (remote-services.md 4.2 to 4.8).

An execution takes its time, writes real files with their true SHA-256 below a folder that rs-order must be
able to read, and tells how it ended. What the files hold is invented from what went in.
"""

from __future__ import annotations

import asyncio
import hashlib
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

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from rs_order.sandbox.answers import answer, failure
from rs_order.sandbox.calls import Changes
from rs_order.sandbox.faults import Faults
from rs_order.sandbox.gate import caller
from rs_order.sandbox.processing import Cardinality, Process, Processes
from rs_order.sandbox.tokens import Identity
from rs_order.sandbox.wire import EXECUTION_RESULT, Event

_LOG = logging.getLogger(__name__)
_KEPT = 10_000


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


@dataclass(frozen=True, slots=True)
class Batch:
    id: UUID
    correlation_id: str
    process: Process
    identity: Identity
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution that was asked for."""

    tenant: str
    batch: Batch
    correlation_id: str
    inputs: tuple[dict[str, Any], ...]
    at: datetime


class Executions:
    """Everything rs-processing was asked to do; ``stop`` ends what is still at work."""

    def __init__(
        self, processes: Processes, faults: Faults, send: Callable[[Event], None], folder: Path
    ) -> None:
        """Nothing asked yet.

        Args:
            processes: those there are.
            faults: looked at when an execution is asked for, and when it ends.
            send: takes an event that must reach the broker.
            folder: outputs are written below it.
        """
        self._processes = processes
        self._faults = faults
        self._send = send
        self.folder = folder
        self._batches: dict[str, Batch] = {}
        self._asked: deque[Execution] = deque(maxlen=_KEPT)
        self._downloaded: deque[str] = deque(maxlen=_KEPT)
        self._at_work: set[asyncio.Task[None]] = set()
        self._changes = Changes()

    @property
    def batches(self) -> list[Batch]:
        return list(self._batches.values())

    @property
    def asked(self) -> list[Execution]:
        """The last executions, oldest first."""
        return list(self._asked)

    @property
    def downloaded(self) -> list[str]:
        """URLs of outputs that rs-order said were downloaded."""
        return list(self._downloaded)

    async def wait_for(self, executions: int, timeout_seconds: float = 30) -> None:
        """Until so many executions were asked for; raises TimeoutError."""
        await self._changes.until(lambda: len(self._asked) >= executions, timeout_seconds)

    async def wait_for_downloaded(self, files: int, timeout_seconds: float = 30) -> None:
        """Until so many outputs were announced as downloaded; raises TimeoutError."""
        await self._changes.until(lambda: len(self._downloaded) >= files, timeout_seconds)

    def make_batch(self, identity: Identity, body: BatchBody) -> Batch | None:
        """A new batch, None for a process that there isn't."""
        process = self._processes.find(str(body.processBusinessId))
        if process is None:
            return None
        batch = Batch(uuid4(), body.correlationId, process, identity, body.parameters)
        self._batches[str(batch.id)] = batch
        return batch

    def accept(self, tenant: str, body: dict[str, Any]) -> None:
        """Begin an execution; one of a batch that nobody knows is only logged, as the real one does.

        Raises:
            ValueError: a member is missing or null that may not be.
        """
        request = _request_of(body)
        batch = self._batches.get(request.batch_id)
        if batch is None:
            _LOG.warning("Execution of unknown batch %s", request.batch_id)
            return
        execution = Execution(
            tenant, batch, request.correlation_id, request.inputs, datetime.now(UTC)
        )
        self._asked.append(execution)
        self._changes.tell()
        if not self._faults.processing_silence:
            self._begin(execution)

    def run_again(self, execution: Execution) -> None:
        """Let an execution end now (again), whatever silence there was."""
        self._begin(execution)

    async def outputs_downloaded(self, urls: Sequence[str]) -> None:
        """Delete outputs that rs-order's users have; URLs of others are ignored."""
        for url in urls:
            path = Path(url2pathname(urlsplit(url).path))
            if path.is_relative_to(self.folder):
                await asyncio.to_thread(path.unlink, missing_ok=True)
        self._downloaded.extend(urls)
        self._changes.tell()

    async def stop(self) -> None:
        for task in self._at_work:
            task.cancel()
        if self._at_work:
            await asyncio.wait(self._at_work)

    def clear(self) -> None:
        """Forget batches and executions; what is at work ends unheard, its files are deleted."""
        for task in self._at_work:
            task.cancel()
        for batch in self._batches.values():
            shutil.rmtree(self.folder / str(batch.id), ignore_errors=True)
        self._batches.clear()
        self._asked.clear()
        self._downloaded.clear()

    def _begin(self, execution: Execution) -> None:
        task = asyncio.create_task(self._execute(execution))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def _execute(self, execution: Execution) -> None:
        await asyncio.sleep(self._faults.processing_seconds)
        execution_id = str(uuid4())
        outputs: list[dict[str, Any]] = []
        if self._faults.processing_status == "SUCCESS":
            outputs = await self._outputs(execution, execution_id)
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

    async def _outputs(self, execution: Execution, execution_id: str) -> list[dict[str, Any]]:
        groups = _groups(execution)
        wanted = len(groups) - self._faults.missing_outputs
        if self._faults.empty_outputs or wanted <= 0:
            return []
        return [
            await self._output(execution, execution_id, number, inputs)
            for number, inputs in enumerate(groups[:wanted])
        ]

    async def _output(
        self,
        execution: Execution,
        execution_id: str,
        number: int,
        inputs: Sequence[dict[str, Any]],
    ) -> dict[str, Any]:
        """Write one file and describe it."""
        content = "".join(f"{one['inputCorrelationId']}\n" for one in inputs).encode()
        checksum = hashlib.sha256(content).hexdigest()
        folder = self.folder / str(execution.batch.id) / execution_id
        path = folder / f"{number}_{checksum}"
        await asyncio.to_thread(_write, path, content)
        wrong = self._faults.wrong_input_ids
        return {
            "id": str(uuid4()),
            "execId": execution_id,
            "name": f"out/{execution.batch.process.name}_{_label(inputs)}",
            "size": len(content),
            "url": f"file:{path}",
            "checksumMethod": "SHA-256",
            "checksumValue": checksum,
            "inputCorrelationIds": (
                ["file:/nobody/knows/it"]
                if wrong
                else [one["inputCorrelationId"] for one in inputs]
            ),
        }


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


def _request_of(body: dict[str, Any]) -> _ExecutionRequest:
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


def _groups(execution: Execution) -> list[list[dict[str, Any]]]:
    """The inputs of each output, by the cardinality of the process."""
    match execution.batch.process.cardinality:
        case Cardinality.ONE_PER_EXECUTION:
            return [list(execution.inputs)]
        case Cardinality.ONE_PER_INPUT_FILE:
            return [[one] for one in execution.inputs]
        case Cardinality.ONE_PER_FEATURE:
            by_product: dict[str, list[dict[str, Any]]] = {}
            for one in execution.inputs:
                by_product.setdefault(one["metadata"]["featureId"], []).append(one)
            return list(by_product.values())


def _label(inputs: Sequence[dict[str, Any]]) -> str:
    """The name of the first input, for the name of an output."""
    return str(inputs[0]["fileName"])


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def batches_router(executions: Executions, faults: Faults) -> APIRouter:
    router = APIRouter(prefix="/rs-processing")

    @router.post("/batch")
    async def make_batch(request: Request, body: BatchBody) -> Response:
        if faults.batch_status is not None:
            return failure(faults.batch_status, "Sandbox: no batch today")
        batch = executions.make_batch(caller(request), body)
        if batch is None:
            return failure(500, f"No process {body.processBusinessId}")
        return answer({"batchId": str(batch.id), "correlationId": batch.correlation_id})

    return router
