"""One client per service in a process, so that all callers read the same cache."""

from rs_order.actions.rights import Actor
from rs_order.app.application import compose_application
from rs_order.app.database import Database
from rs_order.app.platform_clients import open_platform_clients
from rs_order.app.shared_parts import SharedParts
from rs_order.domain.identity import Caller
from rs_order.sandbox.launch import running_sandbox
from rs_order.sandbox.simulated_platform import SandboxOptions
from rs_order.settings import Settings
from rs_order.store.pool import Pool
from rs_order.store.tenants import Tenants
from tests.integration.app_harness import TENANT, AppHarness
from tests.support.clock import ManualClock

ADMIN = Caller(TENANT, "admin@example.org", "PROJECT_ADMIN")


async def test_rs_admin_is_asked_once_who_is_an_administrator(pool: Pool) -> None:
    """An action and a list of orders ask about the same user; the second gets the cached answer."""
    order = await AppHarness(pool).order("a")
    tenants = Tenants(pool)
    async with running_sandbox(SandboxOptions(jwt_key="k" * 64)) as sandbox:
        settings = Settings(jwt_key_hs512="k" * 64, admin_url=sandbox.urls["ADMIN_URL"])
        async with open_platform_clients(settings, tenants, []) as clients:
            database = Database(pool, tenants, ManualClock())
            shared = SharedParts.of(settings, database, clients, lambda _: None)
            application = compose_application(shared)
            await application.actions.pause(Actor(ADMIN, administrator=False), order)
            assert await shared.clients.users.is_admin(TENANT, ADMIN.email)

        assert [call.path for call in sandbox.calls.recent("rs-admin")] == [
            "/users/email/admin@example.org/admin"
        ]
