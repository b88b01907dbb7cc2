"""Requests that are allowed during maintenance (rest.md 2.6)."""

from dataclasses import replace
from typing import cast

import pytest

from rs_order.app.rest import RestServices
from rs_order.domain.identity import Caller
from rs_order.ports import Resource
from rs_order.rest.access import Access, require_no_maintenance
from rs_order.rest.errors import HttpError
from rs_order.rest.resources import DISABLE_MAINTENANCE, DOWNLOAD_FILE, RESOURCES
from rs_order.store.tenants import Maintenance
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
