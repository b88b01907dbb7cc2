"""What rs-admin lets roles do: requested, cached, requested again (remote-services.md 5.3, 5.4)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import cast

import httpx
import pytest

from rs_order.domain.ids import Tenant
from rs_order.domain.retry import Backoff
from rs_order.ports import BadResponse, RemoteUnavailable, Resource, RightsUnknown
from rs_order.regards.http import RemoteService
from rs_order.regards.role_cache import RoleCache
from rs_order.regards.role_rights import RegardsRoles, RoleRights
from rs_order.regards.token_issuer import TokenIssuer
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
    """Implements what is asked of ``Tenants``: those that a test says."""

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
def roles(sandbox: Sandbox, client: httpx.AsyncClient, tokens: TokenIssuer) -> RegardsRoles:
    service = RemoteService("rs-admin", sandbox.urls["ADMIN_URL"], client)
    return RegardsRoles(service, tokens, resource_mappings())


@pytest.fixture
def tenants() -> SomeTenants:
    return SomeTenants(DEMO)


@asynccontextmanager
async def keeping(
    roles: RegardsRoles, tenants: SomeTenants, *, refresh: timedelta = HOUR
) -> AsyncIterator[RoleCache]:
    cache = RoleCache(roles, cast("Tenants", tenants), refresh=refresh, backoff=SOON)
    running = asyncio.create_task(cache.run())
    await asyncio.sleep(0)
    yield cache
    await cache.stop()
    await running


def asked(sandbox: Sandbox) -> list[str]:
    return [f"{call.verb} {call.path}" for call in sandbox.calls.recent("rs-admin")]


async def known(cache: RoleCache, tenant: Tenant = DEMO) -> None:
    await eventually(lambda: tenant not in cache.unknown, "the rights are known")


async def until_allowed(
    cache: RoleCache, role: str, resource: Resource, *, allowed: bool = True
) -> None:
    await eventually(lambda: cache.allows(DEMO, role, resource) is allowed, f"{role}: {allowed}")


async def test_what_is_registered(roles: RegardsRoles, sandbox: Sandbox) -> None:
    """Every endpoint, as the service itself, in the shape of rest.md 11.6."""
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
    """Member names as rs-admin spells them."""
    mapping = next(one for one in resource_mappings() if one.full_path == GET_ORDER.template)

    assert mapping.to_wire() == {
        "fullPath": "/user/orders/{orderId}",
        "controllerSimpleName": "OrderController",
        "method": mapping.method,
        "resourceAccess": {"role": "REGISTERED_USER", "description": "Get an order"},
        "authorizedRoles": [{"autority": "ROLE_REGISTERED_USER", "authorizedIpAdresses": []}],
    }


async def test_rights_of_roles(roles: RegardsRoles, sandbox: Sandbox) -> None:
    """The default role and those above it; a role of the project's own has what it was given."""
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
async def test_nonsense_gives_no_rights(
    roles: RegardsRoles, sandbox: Sandbox, mode: OutageMode
) -> None:
    """Taken for rights, it would lock everybody out."""
    sandbox.faults.outages = {Service.ADMIN: Outage(mode=mode)}

    with pytest.raises(BadResponse):
        await roles.rights(DEMO)


async def test_registration_that_nobody_takes(
    client: httpx.AsyncClient, sandbox: Sandbox, tokens: TokenIssuer
) -> None:
    """A 404 is not a success: the endpoints would be missing without a word."""
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
    """Addresses or expressions for whole ones; an expression that can't be used lets nobody in."""
    assert RoleRights(frozenset(), addresses).admits(address) is admitted


async def test_unusable_addresses(roles: RegardsRoles, sandbox: Sandbox) -> None:
    """Blank ones restrict nothing; one that RE2 refuses stays, and so restricts."""
    sandbox.put_role(DEMO, "EXPLOIT", Role(authorized_addresses=[" "]))
    sandbox.put_role(DEMO, "ADMIN", Role(authorized_addresses=["(?=x)"]))
    rights = await roles.rights(DEMO)

    assert rights["EXPLOIT"].admits("10.0.0.1")
    assert not rights["ADMIN"].admits("10.0.0.1")


async def test_rights_are_known_after_the_start(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """The endpoints are registered first; a request that comes at once waits for the answer."""
    async with keeping(roles, tenants) as cache:
        await cache.prepare(DEMO)
        allowed = cache.allows(DEMO, "EXPLOIT", SEARCH_ORDERS)
        refused = cache.allows(DEMO, "REGISTERED_USER", SEARCH_ORDERS)
        unknown_role = cache.allows(DEMO, "NOBODY", GET_ORDER)

    assert (allowed, refused, unknown_role) == (True, False, False)
    assert asked(sandbox)[:2] == ["POST /resources/microservices/rs-order", "GET /roles"]


async def test_no_answer_is_neither_yes_nor_no(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """Until rs-admin answers nothing is decided; it is asked again until it does."""
    sandbox.faults.outages = {Service.ADMIN: Outage(mode=OutageMode.DOWN)}
    async with keeping(roles, tenants) as cache:
        await cache.prepare(DEMO)
        with pytest.raises(RightsUnknown):
            cache.allows(DEMO, "EXPLOIT", SEARCH_ORDERS)
        with pytest.raises(RightsUnknown):
            cache.admits(DEMO, "PROJECT_ADMIN", "10.0.0.1")
        unknown = cache.unknown
        await sandbox.calls.wait_for("rs-admin", 3)
        sandbox.faults.outages = {}
        await known(cache)
        allowed = cache.allows(DEMO, "EXPLOIT", SEARCH_ORDERS)

    assert list(unknown) == [DEMO]
    assert "rs-admin: /resources" in unknown[DEMO]
    assert allowed


async def test_the_last_known_rights_stay_in_force(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """An rs-admin that is away takes nobody's rights; what changed meanwhile is learnt later."""
    async with keeping(roles, tenants) as cache:
        await known(cache)
        sandbox.faults.outages = {Service.ADMIN: Outage(mode=OutageMode.STATUS)}
        sandbox.revoke(DEMO, "EXPLOIT", "/orders/search", "POST")
        before = sandbox.calls.counters["rs-admin"]
        cache.role_changed(DEMO, "EXPLOIT")
        await sandbox.calls.wait_for("rs-admin", before + 2)
        while_away = cache.allows(DEMO, "EXPLOIT", SEARCH_ORDERS)
        sandbox.faults.outages = {}
        await until_allowed(cache, "EXPLOIT", SEARCH_ORDERS, allowed=False)

    assert while_away


async def test_a_change_of_one_role_asks_for_that_role(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """Many changes at once are one question each; the addresses of the role stay."""
    sandbox.put_role(DEMO, "EXPLOIT", Role(authorized_addresses=["10.0.0.1"]))
    async with keeping(roles, tenants) as cache:
        await known(cache)
        sandbox.calls.clear()
        sandbox.revoke(DEMO, "EXPLOIT", "/orders/search", "POST")
        for _ in range(10):
            cache.role_changed(DEMO, "EXPLOIT")
        await until_allowed(cache, "EXPLOIT", SEARCH_ORDERS, allowed=False)
        admitted = [cache.admits(DEMO, "EXPLOIT", address) for address in ("10.0.0.1", "10.0.0.2")]

    assert asked(sandbox) == ["GET /roles/EXPLOIT/resources/rs-order"]
    assert admitted == [True, False]


@pytest.mark.parametrize(
    "hear",
    [lambda cache: cache.role_changed(DEMO, "OPERATOR"), lambda cache: cache.roles_changed(DEMO)],
    ids=["of its rights", "of the role"],
)
async def test_a_new_role(
    roles: RegardsRoles,
    tenants: SomeTenants,
    sandbox: Sandbox,
    hear: Callable[[RoleCache], None],
) -> None:
    """Whichever event tells of it first: its addresses are asked for too."""
    async with keeping(roles, tenants) as cache:
        await known(cache)
        sandbox.put_role(DEMO, "OPERATOR", Role(parent="EXPLOIT", authorized_addresses=["::1"]))
        hear(cache)
        await until_allowed(cache, "OPERATOR", SEARCH_ORDERS)
        admitted = cache.admits(DEMO, "OPERATOR", "10.0.0.1")
        sandbox.remove_role(DEMO, "OPERATOR")
        cache.roles_changed(DEMO)
        await until_allowed(cache, "OPERATOR", SEARCH_ORDERS, allowed=False)

    assert not admitted


async def test_tenants_come_and_go(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """A tenant that comes is registered, one that goes is forgotten; a foreign one has no rights."""
    async with keeping(roles, tenants) as cache:
        await known(cache)
        foreign = cache.allows(PROJECT1, "EXPLOIT", SEARCH_ORDERS)
        from_anywhere = cache.admits(PROJECT1, "EXPLOIT", "10.0.0.1")
        tenants.known = [PROJECT1]
        cache.tenants_changed()
        await cache.prepare(PROJECT1)
        came = cache.allows(PROJECT1, "EXPLOIT", SEARCH_ORDERS)
        went = cache.allows(DEMO, "EXPLOIT", SEARCH_ORDERS)

    assert (foreign, from_anywhere, came, went) == (False, True, True, False)
    assert sandbox.roles.resources(PROJECT1, "EXPLOIT", "rs-order")


async def test_lost_events(roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox) -> None:
    """Everything is asked for again now and then, of tenants too of which we didn't hear."""
    async with keeping(roles, tenants, refresh=timedelta(milliseconds=50)) as cache:
        await known(cache)
        sandbox.revoke(DEMO, "EXPLOIT", "/orders/search", "POST")
        tenants.found_later = [PROJECT1]
        await until_allowed(cache, "EXPLOIT", SEARCH_ORDERS, allowed=False)
        await eventually(lambda: PROJECT1 in tenants.known and not cache.unknown, "found")
        await cache.prepare(PROJECT1)

    assert asked(sandbox).count("POST /resources/microservices/rs-order") == 2


async def test_stopping_while_rs_admin_is_away(
    roles: RegardsRoles, tenants: SomeTenants, sandbox: Sandbox
) -> None:
    """It doesn't hold back the end of the process."""
    sandbox.faults.outages = {Service.ADMIN: Outage(mode=OutageMode.SLOW, seconds=30)}
    async with asyncio.timeout(WAIT_SECONDS), keeping(roles, tenants):
        await sandbox.calls.wait_for("rs-admin", 1)
