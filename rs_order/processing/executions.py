"""Builds the execution requests of a sub-order, and finds the outputs that none of them can deliver."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from rs_order.contracts.processing_messages import ExecutionInput, ExecutionRequest
from rs_order.domain.correlation import ExecutionCorrelation, FileId
from rs_order.domain.files import UNKNOWN_MIME_TYPE
from rs_order.domain.ids import DataFileId, Urn
from rs_order.domain.outputs import AwaitedOutput
from rs_order.domain.process import Scope
from rs_order.store.process_batches import Work
from rs_order.store.process_inputs import StoredInput

NO_INPUT = "No input of its process could be had."


def executions(
    work: Work, owner: str, batch_id: UUID, inputs: Sequence[StoredInput]
) -> list[ExecutionRequest]:
    """Return one request for the sub-order, or one for each product that has an available input.

    Args:
        work: the sub-order with its process.
        owner: of the order, by e-mail.
        batch_id: the batch that rs-processing created for the sub-order.
        inputs: the available inputs.
    """
    if work.process.scope is Scope.SUBORDER:
        return [_request(work, ExecutionCorrelation(owner, None), batch_id, inputs)]
    by_product: dict[Urn, list[StoredInput]] = {}
    for one in inputs:
        by_product.setdefault(one.product, []).append(one)
    return [
        _request(work, ExecutionCorrelation(owner, product), batch_id, some)
        for product, some in by_product.items()
    ]


def _request(
    work: Work,
    correlation: ExecutionCorrelation,
    batch_id: UUID,
    inputs: Sequence[StoredInput],
) -> ExecutionRequest:
    return ExecutionRequest(
        execution_correlation_id=str(correlation),
        batch_id=str(batch_id),
        input_files=[_input(work, one) for one in inputs],
    )


def _input(work: Work, one: StoredInput) -> ExecutionInput:
    """Return an input as rs-processing expects it (domain.md 8.3), which allows null in few members."""
    file = one.input.file
    return ExecutionInput(
        local_relative_path=f"{one.product}/{one.input.key}",
        content_type=file.mime_type or UNKNOWN_MIME_TYPE,
        url=file.url or None,
        bytes=one.input.size,
        checksum=file.checksum or "",
        file_name=file.name,
        metadata={"internal": str(not file.external).lower(), "featureId": one.product},
        input_correlation_id=str(FileId(work.correlation_id, one.product, one.input.key)),
    )


def without_input(
    outputs: Sequence[AwaitedOutput], inputs: Sequence[StoredInput]
) -> dict[DataFileId, str]:
    """Return the outputs that have no available input, each with the reason (W7)."""
    reasons: dict[DataFileId, str] = {}
    available = _outputs_of(inputs, available=True)
    failed = _outputs_of(inputs, available=False)
    for output in outputs:
        key = FileId.parse(output.key)
        target = (key.product, key.name) if key else (None, None)
        if target not in available:
            reasons[output.id] = " ".join(filter(None, (NO_INPUT, failed.get(target))))
    return reasons


def _outputs_of(
    inputs: Sequence[StoredInput], *, available: bool
) -> Mapping[tuple[Urn | None, str | None], str | None]:
    """Return the outputs that these inputs go into, each with the first input's reason.

    An output is identified by the product and the name in its key. Every input goes into the output of its
    own file, of its product, and of the whole sub-order.
    """
    reasons: dict[tuple[Urn | None, str | None], str | None] = {}
    for one in inputs:
        if one.available is available:
            for target in ((None, None), (one.product, None), (one.product, one.input.key)):
                reasons.setdefault(target, one.reason)
    return reasons
