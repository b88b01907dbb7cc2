"""rs-processing: batches, under which executions are asked for (remote-services.md 4.2)."""

from uuid import UUID

from rs_order.adapters.regards.http import RemoteService
from rs_order.adapters.regards.token_issuer import TokenIssuer
from rs_order.domain.identity import Caller
from rs_order.ports.errors import RemoteRefusal
from rs_order.ports.processing import NewBatch

_BATCH = "/batch"


class RegardsProcessBatches:
    """Implements ``ProcessBatches``."""

    def __init__(self, service: RemoteService, tokens: TokenIssuer) -> None:
        self._service = service
        self._tokens = tokens

    async def create(self, caller: Caller, batch: NewBatch) -> UUID:
        body = {
            "correlationId": batch.correlation_id,
            "processBusinessId": str(batch.process_id),
            "tenant": caller.tenant,
            "user": caller.email,
            "userRole": caller.role,
            "parameters": dict(batch.parameters),
            "filesetsByDataset": {
                batch.dataset: {
                    "dataset": batch.dataset,
                    "executionCount": 1,
                    "totalBytes": batch.total_bytes,
                }
            },
        }
        answer = await self._service.post(_BATCH, self._tokens.on_behalf(caller), body)
        if answer is None:
            raise RemoteRefusal(self._service.name, 404, f"{_BATCH}: status 404")
        try:
            return UUID(answer["batchId"])
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise self._service.nonsense(_BATCH, "the answer has no batchId") from error
