"""The rights of roles: how they are requested, cached and refreshed (remote-services.md 5.3, 5.4)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import cast

import aiohttp
import pytest

from rs_order.domain.ids import Tenant
from rs_order.domain.retry import Backoff
from rs_order.ports import BadResponse, RemoteUnavailable, Resource, RightsUnknown
from rs_order.regards.http import RemoteService, TokenIssuer
from rs_order.regards.role_cache import RoleCache
from rs_order.regards.role_rights import RegardsRoles, RoleRights
from rs_order.rest.resources import GET_ORDER, RESOURCES, SEARCH_ORDERS
from rs_order.rest.security import resource_mappings
from rs_order.sandbox.faults import Outage, OutageMode, Service
from rs_order.sandbox.role_registry import Role
from rs_order.sandbox.simulated_platform import Sandbox
from rs_order.store.tenants import Tenants
from tests.regards.conftest import DEMO
from tests.support.polling import WAIT_SECONDS, eventually

PROJECT1 = Tenant("project1")
HOUR = timedelta(hours=1)
SOON = Backoff(first=timedelta(milliseconds=20), limit=timedelta(seconds=60))


class SomeTenants:
    """Implements what the cache needs of ``Tenants``, with the tenants of a test."""

    def __init__(self, *names: Tenant) -> None:
        self.known = list(names)
        self.found_later: list[Tenant] = []

    def serves(self, tenant: str) -> bool:
        return tenant in self.known

    def names(self) -> list[Tenant]:
        return self.known

    async def load(self) -> None:
        self.known += self.found_later


@pytest.fixture
def roles(sandbox: Sandbox, client: aiohttp.ClientSession, tokens: TokenIssuer) -> RegardsRoles:
    service = RemoteService("rs-admin", sandbox.urls["ADMIN_URL"], client)
    return RegardsRoles(service, tokens, resource_mappings())


@pytest.fixture
def tenants() -> SomeTenants:
    return SomeTenants(DEMO)


@asynccontextmanager
async def running_cache(
    roles: RegardsRoles, tenants: SomeTenants, *, refresh: timedelta = HOUR
) -> AsyncIterator[RoleCache]:
    cache = RoleCache(roles, cast("Tenants", tenants), refresh=refresh, backoff=SOON)
    running = asyncio.create_task(cache.run())
    await asyncio.sleep(0)
    yield cache
    await cache.stop()
    await running


def calls_of(sandbox: Sandbox) -> list[str]:
    return [f"{call.verb} {call.path}" for call in sandbox.calls.recent("rs-admin")]


async def until_known(cache: RoleCache, tenant: Tenant = DEMO) -> None:
    await eventually(lambda: tenant not in cache.unknown, "the rights are known")


async def until_allowed(
    cache: RoleCache, role: str, resource: Resource, *, allowed: bool = True
) -> None:
    await eventually(lambda: cache.allows(DEMO, role, resource) is allowed, f"{role}: {allowed}")


async def test_every_endpoint_is_registered(roles: RegardsRoles, sandbox: Sandbox) -> None:
    """The service does so under its own identity (rest.md 11.6)."""
    await roles.register(DEMO)

    (call,) = sandbox.calls.recent("rs-admin")
    registered = sandbox.roles.resources(DEMO, "ADMIN", "rs-order") or []
    assert (call.tenant, call.role, call.status) == ("demo", "ROLE_SYS_rs-order", 200)
    assert {f"{one['resource']}@{one['verb']}" for one in registered} == {
        resource.key
        for resource in RESOURCES
        if resource.default_role not in {"PROJECT_ADMIN", "INSTANCE_ADMIN"}
    }


def test_the_body_of_the_registration() -> None:
    """Its member names are those of rs-admin."""
    mapping = next(one for one in resource_mappings() if one.full_path == GET_ORDER.template)

    assert mapping.to_wire() == {
        "fullPath": "/user/orders/{orderId}",
        "controllerSimpleName": "OrderController",
        "method": mapping.method,
        "resourceAccess": {"role": "REGISTERED_USER", "description": "Get an order"},
        "authorizedRoles": [{"autority": "ROLE_REGISTERED_USER", "authorizedIpAdresses": []}],
    }


async def test_rights_of_roles(roles: RegardsRoles, sandbox: Sandbox) -> None:
    """The default role and those above it have the right; a role of the project has what it was granted."""
    await roles.register(DEMO)
    sandbox.put_role(DEMO, "OPERATOR", Role(parent="REGISTERED_USER", authorized_addresses=["1"]))
    sandbox.grant(DEMO, "OPERATOR", "/orders/search", "POST")
    rights = await roles.rights(DEMO)

    assert {role for role, its in rights.items() if SEARCH_ORDERS.key in its.resources} == {
        "EXPLOIT",
        "ADMIN",
        "OPERATOR",
    }
    assert GET_ORDER.key not in rights["PUBLIC"].resources
    assert rights["OPERATOR"].addresses == ("1",)
    assert (await roles.resources(DEMO, "NOBODY")) == frozenset()


@pytest.mark.parametrize("mode", [OutageMode.GARBAGE, OutageMode.EMPTY, OutageMode.NONSENSE])
async def test_a_bad_response_is_not_read_as_rights(
    roles: RegardsRoles, sandbox: Sandbox, mode: OutageMode
) -> None:
    """It would lock all users out."""
    sandbox.faults.outages = {Service.ADMIN: Outage(mode=mode)}

    with pytest.raises(BadResponse):
        await roles.rights(DEMO)


async def test_a_registration_answered_404_is_no_success(
    client: aiohttp.ClientSession, sandbox: Sandbox, tokens: TokenIssuer
) -> None:
    """Otherwise the endpoints would be missing, and no error would say so."""
    elsewhere = RemoteService("rs-admin", f"{sandbox.urls['ADMIN_URL']}/nowhere", client)

    with pytest.raises(RemoteUnavailable):
        await RegardsRoles(elsewhere, tokens, resource_mappings()).register(DEMO)


@pytest.mark.parametrize(
    ("addresses", "address", "admitted"),
    [
        ((), "10.0.0.1", True),
        (("10.0.0.1",), "10.0.0.1", True),
        (("10.0.0.1",), "10.0.0.11", False),
        ((r"10\.0\..*",), "10.0.0.1", True),
        ((r"10\.0\..*",), "110.0.0.1", False),
        (("192.168.0.1", r"10\.0\.0\.\d+"), "10.0.0.77", True),
        (("::1",), "::1", True),
        ((r"10\.0\.0\.1",), "", False),
        (("(?=x)",), "10.0.0.1", False),
    ],
)
def test_authorised_addresses(addresses: tuple[str, ...], address: str, admitted: bool) -> None:
    """An entry is an address, or an expression for a whole one; an invalid expression admits no address."""
    assert RoleRights(frozenset(), addresses).admits(address) is admitted


async def test_unusable_addresses(roles: RegardsRoles, sandbox: Sandbox) -> None:
    """Blank addresses don't restrict a role; an expression that RE2 rejects admits no address."""
    sandbox.put_role(DEMO, "EXPLOIT", Role(authorized_addresses=[" "]))
    sandbox.put_role(DEMO, "ADMIN", Role(authorized_addresses=["(?=x)"]))
    rights = await roles.rights(DEMO)

    assert rights["EXPLOIT"].admits("10.0.0.1")
    assert not rights["ADMIN"].admits("10.0.0.1")


async def test_rights_are_known_after_the_start(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """The endpoints are registered first; a request that arrives at once waits for the rights."""
    async with running_cache(roles, tenants) as cache:
        await cache.prepare(DEMO)
        allowed = cache.allows(DEMO, "EXPLOIT", SEARCH_ORDERS)
        too_low = cache.allows(DEMO, "REGISTERED_USER", SEARCH_ORDERS)
        unknown_role = cache.allows(DEMO, "NOBODY", GET_ORDER)

    assert (allowed, too_low, unknown_role) == (True, False, False)
    assert calls_of(sandbox)[:2] == ["POST /resources/microservices/rs-order", "GET /roles"]


async def test_rights_are_unknown_until_rs_admin_answers(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """Nothing is allowed or forbidden until then. The cache tries again until it has the rights."""
    sandbox.faults.outages = {Service.ADMIN: Outage(mode=OutageMode.DOWN)}
    async with running_cache(roles, tenants) as cache:
        await cache.prepare(DEMO)
        with pytest.raises(RightsUnknown):
            cache.allows(DEMO, "EXPLOIT", SEARCH_ORDERS)
        with pytest.raises(RightsUnknown):
            cache.admits(DEMO, "PROJECT_ADMIN", "10.0.0.1")
        unknown = cache.unknown
        await sandbox.calls.wait_for("rs-admin", 3)
        sandbox.faults.outages = {}
        await until_known(cache)
        allowed = cache.allows(DEMO, "EXPLOIT", SEARCH_ORDERS)

    assert list(unknown) == [DEMO]
    assert "rs-admin: /resources" in unknown[DEMO]
    assert allowed


async def test_the_last_known_rights_stay_in_force(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """While rs-admin is unavailable, nobody loses rights; changes take effect later."""
    async with running_cache(roles, tenants) as cache:
        await until_known(cache)
        sandbox.faults.outages = {Service.ADMIN: Outage(mode=OutageMode.STATUS)}
        sandbox.revoke(DEMO, "EXPLOIT", "/orders/search", "POST")
        before = sandbox.calls.counters["rs-admin"]
        cache.role_changed(DEMO, "EXPLOIT")
        await sandbox.calls.wait_for("rs-admin", before + 2)
        meanwhile = cache.allows(DEMO, "EXPLOIT", SEARCH_ORDERS)
        sandbox.faults.outages = {}
        await until_allowed(cache, "EXPLOIT", SEARCH_ORDERS, allowed=False)

    assert meanwhile


async def test_a_change_of_one_role_requests_only_this_role(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """Many changes at the same time cause one request; the addresses of the role stay."""
    sandbox.put_role(DEMO, "EXPLOIT", Role(authorized_addresses=["10.0.0.1"]))
    async with running_cache(roles, tenants) as cache:
        await until_known(cache)
        sandbox.calls.clear()
        sandbox.revoke(DEMO, "EXPLOIT", "/orders/search", "POST")
        for _ in range(10):
            cache.role_changed(DEMO, "EXPLOIT")
        await until_allowed(cache, "EXPLOIT", SEARCH_ORDERS, allowed=False)
        admitted = [cache.admits(DEMO, "EXPLOIT", address) for address in ("10.0.0.1", "10.0.0.2")]

    assert calls_of(sandbox) == ["GET /roles/EXPLOIT/resources/rs-order"]
    assert admitted == [True, False]


@pytest.mark.parametrize(
    "notify",
    [lambda cache: cache.role_changed(DEMO, "OPERATOR"), lambda cache: cache.roles_changed(DEMO)],
    ids=["of its rights", "of the role"],
)
async def test_a_new_role(
    roles: RegardsRoles,
    tenants: SomeTenants,
    sandbox: Sandbox,
    notify: Callable[[RoleCache], None],
) -> None:
    """Either event may arrive first; its addresses are requested, too."""
    async with running_cache(roles, tenants) as cache:
        await until_known(cache)
        sandbox.put_role(DEMO, "OPERATOR", Role(parent="EXPLOIT", authorized_addresses=["::1"]))
        notify(cache)
        await until_allowed(cache, "OPERATOR", SEARCH_ORDERS)
        admitted = cache.admits(DEMO, "OPERATOR", "10.0.0.1")
        sandbox.remove_role(DEMO, "OPERATOR")
        cache.roles_changed(DEMO)
        await until_allowed(cache, "OPERATOR", SEARCH_ORDERS, allowed=False)

    assert not admitted


async def test_a_change_of_tenants(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """A new tenant is registered, the rights of a removed one are dropped; an unknown one has no rights."""
    async with running_cache(roles, tenants) as cache:
        await until_known(cache)
        unknown = cache.allows(PROJECT1, "EXPLOIT", SEARCH_ORDERS)
        from_anywhere = cache.admits(PROJECT1, "EXPLOIT", "10.0.0.1")
        tenants.known = [PROJECT1]
        cache.tenants_changed()
        await cache.prepare(PROJECT1)
        added = cache.allows(PROJECT1, "EXPLOIT", SEARCH_ORDERS)
        removed = cache.allows(DEMO, "EXPLOIT", SEARCH_ORDERS)

    assert (unknown, from_anywhere, added, removed) == (False, True, True, False)
    assert sandbox.roles.resources(PROJECT1, "EXPLOIT", "rs-order")


async def test_lost_events(roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox) -> None:
    """All rights are requested again periodically, also those of tenants whose event was lost."""
    async with running_cache(roles, tenants, refresh=timedelta(milliseconds=50)) as cache:
        await until_known(cache)
        sandbox.revoke(DEMO, "EXPLOIT", "/orders/search", "POST")
        tenants.found_later = [PROJECT1]
        await until_allowed(cache, "EXPLOIT", SEARCH_ORDERS, allowed=False)
        await eventually(lambda: PROJECT1 in tenants.known and not cache.unknown, "found")
        await cache.prepare(PROJECT1)

    assert calls_of(sandbox).count("POST /resources/microservices/rs-order") == 2


async def test_a_stop_does_not_wait_for_rs_admin(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """The process ends in time while rs-admin doesn't answer."""
    sandbox.faults.outages = {Service.ADMIN: Outage(mode=OutageMode.SLOW, seconds=30)}
    async with asyncio.timeout(WAIT_SECONDS), running_cache(roles, tenants):
        await sandbox.calls.wait_for("rs-admin", 1)
