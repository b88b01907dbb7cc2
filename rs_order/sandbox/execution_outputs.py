"""The output files of an execution (remote-services.md 4.6).

They are real files with their true SHA-256, in a folder that rs-order must be able to read. Their content
is made from the ids of the inputs.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from rs_order.sandbox.faults import Faults
from rs_order.sandbox.process_catalog import Cardinality, Process
from rs_order.sandbox.service_protocol import Identity


@dataclass(frozen=True, slots=True)
class Batch:
    id: UUID
    correlation_id: str
    process: Process
    identity: Identity
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution that rs-order requested."""

    tenant: str
    batch: Batch
    correlation_id: str
    inputs: tuple[dict[str, Any], ...]
    at: datetime


async def write_outputs(
    execution: Execution, execution_id: str, faults: Faults, folder: Path
) -> list[dict[str, Any]]:
    """Write the output files and return their descriptions for the event."""
    groups = _groups(execution)
    wanted = len(groups) - faults.missing_outputs
    if faults.empty_outputs or wanted <= 0:
        return []
    own_folder = folder / str(execution.batch.id) / execution_id
    outputs = [
        await _write_output(execution, execution_id, own_folder / str(number), inputs)
        for number, inputs in enumerate(groups[:wanted])
    ]
    if faults.wrong_input_ids:
        outputs = [one | {"inputCorrelationIds": [_UNKNOWN_INPUT]} for one in outputs]
    return outputs


_UNKNOWN_INPUT = "file:/nobody/knows/it"


async def _write_output(
    execution: Execution, execution_id: str, prefix: Path, inputs: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Write one file, named by a prefix and its checksum, and return its description."""
    content = "".join(f"{one['inputCorrelationId']}\n" for one in inputs).encode()
    checksum = hashlib.sha256(content).hexdigest()
    path = prefix.with_name(f"{prefix.name}_{checksum}")
    await asyncio.to_thread(_write, path, content)
    return {
        "id": str(uuid4()),
        "execId": execution_id,
        "name": f"out/{execution.batch.process.name}_{inputs[0]['fileName']}",
        "size": len(content),
        "url": f"file:{path}",
        "checksumMethod": "SHA-256",
        "checksumValue": checksum,
        "inputCorrelationIds": [one["inputCorrelationId"] for one in inputs],
    }


def _groups(execution: Execution) -> list[list[dict[str, Any]]]:
    """Return the inputs of each output, grouped by the cardinality of the process."""
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


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
