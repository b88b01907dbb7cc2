"""rs-catalog: searches, summaries and dataset labels (remote-services.md 2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from rs_order.sandbox.catalog_entities import EntityWriter
from rs_order.sandbox.faults import Faults, concerns
from rs_order.sandbox.gate import caller
from rs_order.sandbox.holdings import Holding, Holdings, Run, Selection, Summary
from rs_order.sandbox.products import (
    ORDERABLE_TYPES,
    DataFile,
    Location,
    Product,
    urn_for,
    urn_tenant,
)
from rs_order.sandbox.query import Query
from rs_order.sandbox.query_matchers import ProductFields, QueryError, is_known
from rs_order.sandbox.query_parser import compile_query
from rs_order.sandbox.service_protocol import answer, failure, item, page
from rs_order.sandbox.user_directory import Access, Directory

MAX_REQUESTS = 100
MAX_IDS = 1000

_Ids = Annotated[list[str], Field(max_length=MAX_IDS)]
_Texts = list[str | None]


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class SearchRequest(_Body):
    engine_type: str
    dataset_urn: str | None = None
    search_parameters: dict[str, _Texts | None] | None = None
    entity_ids_to_include: _Ids | None = None
    entity_ids_to_exclude: _Ids | None = None
    search_date_limit: AwareDatetime | None = None

    @property
    def query(self) -> Query:
        """The ``q`` of the legacy engine. Without one, the query selects everything.

        Raises:
            QueryError: it can't be parsed.
        """
        texts = (self.search_parameters or {}).get("q") or [""]
        return compile_query(texts[0] or "")


class ComplexSearch(_Body):
    requests: Annotated[list[SearchRequest], Field(min_length=1, max_length=MAX_REQUESTS)]
    data_types: list[str] = []
    page: Annotated[int, Field(ge=0)] = 0
    size: Annotated[int, Field(ge=1, le=100_000)] = 20


class Searcher:
    """Searches the holdings and counts the files of what it finds."""

    def __init__(self, holdings: Holdings, faults: Faults) -> None:
        self._holdings = holdings
        self._faults = faults

    async def find(self, requests: Sequence[SearchRequest], tenant: str) -> Selection:
        """Return the products that any of the requests selects, each once.

        Raises:
            QueryError: a query can't be parsed, or uses a field that no product has.
        """
        for request in requests:
            self._check_fields(request.query)
        return Selection.of(
            [(holding, await self._select(holding, requests, tenant)) for holding in self._holdings]
        )

    def summarize(
        self, selection: Selection, types: Sequence[str], tenant: str, *, raw_data: bool
    ) -> dict[str, Any]:
        """Return the files summary of a selection, by dataset and type."""
        counted = [kind for kind in types if raw_data or kind != "RAWDATA"]
        parts = {
            urn_for(tenant, dataset.urn): (
                sum(len(run.positions) for run in runs),
                self._by_key(runs, counted),
            )
            for dataset, runs in selection.by_dataset()
        }
        total: dict[str, Summary] = {}
        for _, by_key in parts.values():
            for key, summary in by_key.items():
                total[key] = total.get(key, Summary()).plus(summary)
        subs = {urn: self._summary_json(count, by_key) for urn, (count, by_key) in parts.items()}
        return self._summary_json(len(selection), total) | {"subSummariesMap": subs}

    def _check_fields(self, query: Query) -> None:
        known = self._holdings.field_names
        for name in query.names():
            if not is_known(name, known):
                raise QueryError(f"Unknown search field {name}: no product has it")

    async def _select(
        self, holding: Holding, requests: Sequence[SearchRequest], tenant: str
    ) -> Sequence[int]:
        found = [
            positions
            for request in requests
            if _includes_dataset(request, holding, tenant)
            and len(positions := await self._matching(holding, request, tenant))
        ]
        if len(found) == 1 or any(len(positions) == len(holding) for positions in found):
            return max(found, key=len)
        return sorted(set().union(*found))

    async def _matching(
        self, holding: Holding, request: SearchRequest, tenant: str
    ) -> Sequence[int]:
        if request.entity_ids_to_include:
            wanted = _positions(holding, request.entity_ids_to_include, tenant)
            positions: Sequence[int] = [
                at
                for at in sorted(wanted)
                if request.query.decide(ProductFields(holding.product(at), tenant))
            ]
        else:
            positions = await holding.select(request.query, tenant)
        excluded = _positions(holding, request.entity_ids_to_exclude or (), tenant)
        if excluded:
            positions = [at for at in positions if at not in excluded]
        return self._created_before(holding, positions, request.search_date_limit)

    def _created_before(
        self, holding: Holding, positions: Sequence[int], limit: datetime | None
    ) -> Sequence[int]:
        """Return the products whose catalog creation date is strictly before the limit."""
        if limit is None or not positions:
            return positions
        if holding.uniform and not self._faults.created:
            return positions if holding.product(positions[0]).created < limit else ()
        return [at for at in positions if self._created(holding.product(at)) < limit]

    def _created(self, product: Product) -> datetime:
        return self._faults.created.get(product.provider_id, product.created)

    def _by_key(self, runs: Sequence[Run], types: Sequence[str]) -> dict[str, Summary]:
        summaries = {key: Summary() for kind in types for key in _keys(kind)}
        for run in runs:
            sampled = run.holding.uniform and not self._faults.without_filesize
            positions = run.positions[:1] if sampled else run.positions
            factor = len(run.positions) if sampled else 1
            for position in positions:
                for key, summary in self._of_product(run.holding.product(position)):
                    if key in summaries:
                        summaries[key] = summaries[key].plus(summary.times(factor))
        return summaries

    def _of_product(self, product: Product) -> Iterable[tuple[str, Summary]]:
        for file in product.files:
            everything, referenced, stored = _keys(file.type)
            external = file.location is Location.EXTERNAL
            if not external and not self._has_size(file):
                continue
            summary = Summary(1, 0 if external else file.size)
            yield everything, summary
            yield (referenced if external else stored), summary

    def _has_size(self, file: DataFile) -> bool:
        return file.publishes_size and not concerns(self._faults.without_filesize, file.checksum)

    def _summary_json(self, documents: int, by_key: dict[str, Summary]) -> dict[str, Any]:
        whole = [summary for key, summary in by_key.items() if not key.endswith("ref")]
        return {
            "documentsCount": documents,
            "filesCount": sum(summary.files for summary in whole),
            "filesSize": sum(summary.bytes for summary in whole),
            "fileTypesSummaryMap": {
                key: {"filesCount": summary.files, "filesSize": summary.bytes}
                for key, summary in by_key.items()
                if not (self._faults.missing_ref_keys and key.endswith("ref"))
            },
        }


def counted_types(search: ComplexSearch) -> Sequence[str]:
    """Return the file types that a summary counts: the requested ones, by default the orderable ones."""
    return search.data_types or ORDERABLE_TYPES


def _keys(kind: str) -> tuple[str, str, str]:
    return kind, f"{kind}_ref", f"{kind}_!ref"


def _includes_dataset(request: SearchRequest, holding: Holding, tenant: str) -> bool:
    return request.dataset_urn is None or request.dataset_urn == urn_for(
        tenant, holding.dataset.urn
    )


def _positions(holding: Holding, urns: Iterable[str], tenant: str) -> set[int]:
    """Return the positions of products by their URNs. URNs of other tenants have none."""
    own = (urn for urn in urns if urn_tenant(urn) == tenant)
    return {at for urn in own if (at := holding.position_of(urn)) is not None}


def catalog_router(holdings: Holdings, faults: Faults, directory: Directory) -> APIRouter:
    router = APIRouter(prefix="/rs-catalog")
    _add_searches(router, Searcher(holdings, faults), faults, directory)
    _add_datasets(router, holdings, faults)
    return router


def _add_searches(
    router: APIRouter, searcher: Searcher, faults: Faults, directory: Directory
) -> None:
    async def find(request: Request, search: ComplexSearch, access: Access) -> Selection:
        if not access.any:
            return Selection(())
        return await searcher.find(search.requests, caller(request).tenant)

    @router.post("/complex/search")
    async def complex_search(request: Request, search: ComplexSearch) -> Response:
        access = directory.access(caller(request))
        selection = await find(request, search, access)
        unread = faults.unread_datasets.intersection(one.id for one, _ in selection.by_dataset())
        if unread:
            return failure(503, f"The products of {', '.join(sorted(unread))} can't be listed now")
        writer = _writer(request, faults)
        products = [
            writer.product(product, raw_data=access.raw_data)
            for product in selection.page(search.page, search.size)
        ]
        return answer(
            page(
                products,
                number=search.page,
                size=search.size,
                total=len(selection),
                url=str(request.url),
            )
        )

    @router.post("/complex/search/summary")
    async def summary(request: Request, search: ComplexSearch) -> Response:
        access = directory.access(caller(request))
        selection = await find(request, search, access)
        tenant, types = caller(request).tenant, counted_types(search)
        return answer(searcher.summarize(selection, types, tenant, raw_data=access.raw_data))


def _add_datasets(router: APIRouter, holdings: Holdings, faults: Faults) -> None:
    @router.get("/engines/legacy/datasets/{urn}")
    async def dataset(request: Request, urn: str) -> Response:
        holding = holdings.of_dataset(urn, caller(request).tenant)
        if holding is None:
            return failure(404, f"Dataset {urn} does not exist")
        feature = _writer(request, faults).dataset_feature(holding.dataset, with_files=False)
        granted = {"dataObjectsAccessGranted": True, "dataObjectsFilesAccessGranted": True}
        return answer(item(feature | granted))


def _writer(request: Request, faults: Faults) -> EntityWriter:
    return EntityWriter(caller(request).tenant, str(request.base_url), faults)
