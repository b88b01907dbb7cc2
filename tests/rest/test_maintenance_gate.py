"""Which requests maintenance lets through (rest.md 2.6)."""

from dataclasses import replace
from typing import cast

import pytest

from rs_order.app.rest import RestServices
from rs_order.domain.identity import Caller
from rs_order.ports import Resource
from rs_order.rest.access import Access
from rs_order.rest.authentication import require_no_maintenance
from rs_order.rest.errors import HttpError
from rs_order.rest.resources import DISABLE_MAINTENANCE, DOWNLOAD_FILE, RESOURCES
from rs_order.store.tenants import Maintenance
from tests.rest.fake_downloads import DEMO

pytestmark = pytest.mark.parametrize("downloadable", ["memory"], indirect=True)
"""Nothing here reads an order, so the store behind it makes no difference."""


class AllInMaintenance:
    """Implements what the gate asks of maintenance."""

    asked = 0

    async def covers(self, tenant: str) -> bool:
        assert tenant == DEMO
        self.asked += 1
        return True


async def _refusal(access: Access, resource: Resource, verb: str) -> HttpError | None:
    caller = Caller(DEMO, "admin@example.org", "PROJECT_ADMIN")
    try:
        await require_no_maintenance(access, caller, resource, verb)
    except HttpError as refused:
        return refused
    return None


async def test_only_reading_and_the_end_of_it_pass(services: RestServices) -> None:
    """GET of anything and ``disable``; HEAD is no GET. Who reads costs no look at the database."""
    maintenance = AllInMaintenance()
    access = replace(services.access, maintenance=cast("Maintenance", maintenance))

    refusals = {one.key: await _refusal(access, one, one.verb) for one in RESOURCES}

    passing = {key for key, refusal in refusals.items() if refusal is None}
    told = {(r.status, r.messages) for r in refusals.values() if r is not None}
    reading = {one.key for one in RESOURCES if one.verb == "GET"}
    assert passing == reading | {DISABLE_MAINTENANCE.key}
    assert told == {(515, (f"Tenant {DEMO} in maintenance!",))}
    assert maintenance.asked == len(RESOURCES) - len(passing)
    assert await _refusal(access, DOWNLOAD_FILE, "HEAD") is not None
