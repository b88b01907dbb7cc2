"""rs-catalog: searches, summaries and dataset labels (remote-services.md 2)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from rs_order.sandbox.catalog_entities import EntityWriter
from rs_order.sandbox.catalog_search import ComplexSearch, Searcher, counted_types
from rs_order.sandbox.faults import Faults
from rs_order.sandbox.gate import caller
from rs_order.sandbox.holdings import Holdings, Selection
from rs_order.sandbox.service_answers import answer, failure, item, page
from rs_order.sandbox.user_directory import Access, Directory


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
