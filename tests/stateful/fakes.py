"""Fakes of users, catalog and rs-processing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from rs_order.domain.files import DataType, Product
from rs_order.domain.identity import Caller
from rs_order.domain.ids import Tenant, Urn
from rs_order.domain.process import Cardinality, Forecast, LimitKind, Process, Scope
from rs_order.domain.selection import DatasetSummary, SelectionRequest, Summary, TypeTotals
from rs_order.ports import FoundPage, NewBatch, RemoteError, User

TENANT = Tenant("project1")
DATASET = Urn("URN:AIP:DATASET:demo:1:V1")
ROLE = "REGISTERED_USER"
ADMIN = "alan"
Ending = Literal["all", "some", "none", "failure"]
"""The outputs of an execution, for its inputs."""


class FakeUsers:
    """Implements ``Users``: every user is known, one is an administrator."""

    async def find(self, tenant: Tenant, email: str) -> User | None:
        assert tenant == TENANT
        return User(email, ROLE)

    async def is_admin(self, tenant: Tenant, email: str) -> bool:
        assert tenant == TENANT
        return email == ADMIN


@dataclass
class FakeCatalog:
    """Implements ``Catalog``; ``found`` has the result of each query, ``error`` is raised once."""

    found: dict[str, tuple[Product, ...]] = field(default_factory=dict)
    error: RemoteError | None = None

    async def summarize(self, caller: Caller, requests: Sequence[SelectionRequest]) -> Summary:
        assert caller.tenant == TENANT
        products = self._products(requests)
        files = [file for product in products for file in product.files]
        totals = TypeTotals(len(files), sum(file.size or 0 for file in files))
        dataset = DatasetSummary(
            DATASET, len(products), totals.files, totals.bytes, {DataType.RAWDATA: totals}
        )
        return Summary(dataset.products, dataset.files, dataset.bytes, (dataset,))

    async def search(
        self,
        caller: Caller,
        requests: Sequence[SelectionRequest],
        *,
        page: int,
        size: int,
        every_type: bool = False,
    ) -> FoundPage:
        """All files are orderable, so ``every_type`` makes no difference."""
        assert caller.tenant == TENANT
        assert every_type in (True, False)
        error, self.error = self.error, None
        if error is not None:
            raise error
        products = self._products(requests)
        return FoundPage(products[page * size : (page + 1) * size], len(products))

    async def dataset_label(self, caller: Caller, urn: Urn) -> str | None:
        assert caller.tenant == TENANT
        return f"Label of {urn}"

    def _products(self, requests: Sequence[SelectionRequest]) -> tuple[Product, ...]:
        return tuple(
            product
            for request in requests
            for query in request.search_parameters["q"]
            for product in self.found[query]
        )


@dataclass
class FakeProcesses:
    """Implements ``Processes``; ``error`` is raised once by the next batch."""

    error: RemoteError | None = None
    batches: dict[str, NewBatch] = field(default_factory=dict)

    async def find(self, caller: Caller, process_id: UUID) -> Process | None:
        assert caller.tenant == TENANT
        return PROCESSES[process_id.int - 1]

    async def create_batch(self, caller: Caller, batch: NewBatch) -> UUID:
        assert caller.tenant == TENANT
        error, self.error = self.error, None
        if error is not None:
            raise error
        id_ = UUID(int=len(self.batches) + 1)
        self.batches[str(id_)] = batch
        return id_

    def result(self, request: Mapping[str, Any], ending: Ending) -> tuple[dict[str, Any], Process]:
        """Return the body of a result for an execution request, and its process."""
        batch = self.batches[request["batchId"]]
        inputs = request["inputFiles"]
        processed = {"all": inputs, "some": inputs[:1], "none": [], "failure": []}[ending]
        body = {
            "batchCorrelationId": batch.correlation_id,
            "executionCorrelationId": request["executionCorrelationId"],
            "processInfo": {},
            "finalStatus": "FAILURE" if ending == "failure" else "SUCCESS",
            "outputs": [
                {
                    "name": f"made/{one['fileName']}",
                    "url": f"file:/made/{one['fileName']}",
                    "size": 7,
                    "checksumMethod": "MD5",
                    "checksumValue": "m",
                    "inputCorrelationIds": [one["inputCorrelationId"]],
                }
                for one in processed
            ],
        }
        return body, PROCESSES[batch.process_id.int - 1]


def _process(number: int, scope: Scope, cardinality: Cardinality, limit: int) -> Process:
    return Process(
        id=UUID(int=number),
        scope=scope,
        cardinality=cardinality,
        data_types=frozenset({DataType.RAWDATA.value}),
        limit_kind=LimitKind.FILES,
        limit=limit,
        forecast=Forecast(factor=2.0),
        forbids_split=False,
    )


PROCESSES = (
    _process(1, Scope.SUBORDER, Cardinality.ONE_PER_INPUT_FILE, 2),
    _process(2, Scope.FEATURE, Cardinality.ONE_PER_FEATURE, 3),
    _process(3, Scope.SUBORDER, Cardinality.ONE_PER_EXECUTION, 0),
)
