"""Requests that are allowed during maintenance (rest.md 2.6)."""

from dataclasses import replace
from typing import cast

import httpx
import pytest

from rs_order.app.rest import RestServices, create_app
from rs_order.baskets.add import AddToBasket
from rs_order.baskets.edit import EditBasket
from rs_order.baskets.routes import BasketUseCases
from rs_order.contracts.basket_bodies import BasketSelectionRequest
from rs_order.core.errors import EmptySelection, InMaintenance
from rs_order.domain.identity import Caller
from rs_order.domain.ids import BasketId
from rs_order.domain.selection import Basket
from rs_order.ports import Resource
from rs_order.rest.access import Access, require_no_maintenance
from rs_order.rest.errors import HttpError
from rs_order.rest.resources import DISABLE_MAINTENANCE, DOWNLOAD_FILE, RESOURCES
from rs_order.store.errors import StoreUnavailable
from rs_order.store.tenants import Maintenance
from tests.rest.conftest import bearer
from tests.rest.fake_downloads import DEMO

pytestmark = pytest.mark.parametrize("downloadable", ["memory"], indirect=True)
"""No test of this module reads an order, so one kind of store is enough."""


class AllInMaintenance:
    """Implements the part of ``Maintenance`` that requests use. Counts the calls."""

    calls = 0

    async def covers(self, tenant: str) -> bool:
        assert tenant == DEMO
        self.calls += 1
        return True


async def _rejection(access: Access, resource: Resource, verb: str) -> HttpError | None:
    caller = Caller(DEMO, "admin@example.org", "PROJECT_ADMIN")
    try:
        await require_no_maintenance(access, caller, resource, verb)
    except HttpError as rejection:
        return rejection
    return None


async def test_maintenance_allows_only_reading_and_its_end(services: RestServices) -> None:
    """Every GET and ``disable`` are allowed, HEAD isn't. A GET doesn't query the maintenance."""
    maintenance = AllInMaintenance()
    access = replace(services.access, maintenance=cast("Maintenance", maintenance))

    rejections = {one.key: await _rejection(access, one, one.verb) for one in RESOURCES}

    allowed = {key for key, rejection in rejections.items() if rejection is None}
    errors = {(r.status, r.messages) for r in rejections.values() if r is not None}
    reading = {one.key for one in RESOURCES if one.verb == "GET"}
    assert allowed == reading | {DISABLE_MAINTENANCE.key}
    assert errors == {(515, (f"Tenant {DEMO} in maintenance!",))}
    assert maintenance.calls == len(RESOURCES) - len(allowed)
    assert await _rejection(access, DOWNLOAD_FILE, "HEAD") is not None


class Additions:
    """Implements the part of ``AddToBasket`` that requests use: it succeeds, or fails with an error."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def selection(self, caller: Caller, _: BasketSelectionRequest) -> Basket:
        if self._error is not None:
            raise self._error
        return Basket(BasketId(1), caller.email, 1)


@pytest.mark.parametrize(
    ("error", "body", "status", "calls"),
    [
        pytest.param(None, "{}", 200, 0, id="success"),
        pytest.param(InMaintenance(DEMO), "{}", 515, 0, id="found by the use case"),
        pytest.param(StoreUnavailable("no answer"), "{}", 503, 0, id="no database"),
        pytest.param(EmptySelection(), "{}", 515, 1, id="another failure"),
        pytest.param(None, "{", 515, 1, id="unreadable body"),
    ],
)
async def test_a_change_of_a_basket_reads_maintenance_with_it(
    services: RestServices, error: Exception | None, body: str, status: int, calls: int
) -> None:
    """The frame queries the maintenance only if the use case fails for another reason."""
    maintenance = AllInMaintenance()
    access = replace(services.access, maintenance=cast("Maintenance", maintenance))
    baskets = BasketUseCases(cast("AddToBasket", Additions(error)), cast("EditBasket", None))
    app = create_app(replace(services, access=access, baskets=baskets))
    headers = {"Authorization": f"Bearer {bearer()}", "Content-Type": "application/json"}

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://rs-order", headers=headers
    ) as client:
        answer = await client.post("/order/basket/selection", content=body)

    assert (answer.status_code, maintenance.calls) == (status, calls)
