"""The rights of all projects as this process last heard them from rs-admin.

A cache of what rs-admin knows, and nothing else: it is filled at the start, again when an event says
that something changed, and now and then in case an event was lost. While rs-admin is away, the last
known rights stay in force; a project of which nothing was ever heard has none that could be judged.
"""

import asyncio
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import structlog
from prometheus_client import Counter

from rs_order.adapters.regards.roles import RegardsRoles, RightsByRole
from rs_order.application.policies import RemotePatience
from rs_order.domain.ids import Tenant
from rs_order.ports.roles import GuardedResource, RightsUnknown
from rs_order.ports.store import Tenants

TENANTS_AT_ONCE: Final = 4
"""Projects whose rights are asked for at the same time."""
LONGEST_WAIT_SECONDS: Final = 5.0
"""How long a request waits for rights that are being asked for."""

_failures = Counter("rs_order_roles_failed", "Attempts to learn a project's rights in vain")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Wish:
    """What has to be done for a project; wishes that come meanwhile are added."""

    register: bool = False
    all_roles: bool = False
    roles: set[str] = field(default_factory=set)

    def add(self, other: "_Wish") -> None:
        self.register |= other.register
        self.all_roles |= other.all_roles
        self.roles |= other.roles


class KeptRoles:
    """Implements :class:`rs_order.ports.roles.RoleAccess`; ``run`` keeps it up to date."""

    def __init__(
        self,
        roles: RegardsRoles,
        tenants: Tenants,
        *,
        refresh: timedelta,
        patience: RemotePatience | None = None,
    ) -> None:
        """Know nothing yet.

        Args:
            roles: rs-admin.
            tenants: whose rights to keep.
            refresh: how often everything is asked for again.
            patience: the pauses between attempts; there is no end of them.
        """
        self._roles = roles
        self._tenants = tenants
        self._refresh = refresh
        self._patience = patience or RemotePatience()
        self._rights: dict[Tenant, RightsByRole] = {}
        self._wishes: dict[Tenant, _Wish] = {}
        self._troubles: dict[Tenant, str] = {}
        self._asking: dict[Tenant, asyncio.Event] = {}
        self._tasks: dict[Tenant, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._room = asyncio.Semaphore(TENANTS_AT_ONCE)
        self._stopping = asyncio.Event()

    async def prepare(self, tenant: Tenant) -> None:
        asking = None if tenant in self._rights else self._asking.get(tenant)
        if asking is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                    await asking.wait()

    def allows(self, tenant: Tenant, role: str, resource: GuardedResource) -> bool:
        rights = self._known(tenant).get(role)
        return rights is not None and resource.key in rights.resources

    def admits(self, tenant: Tenant, role: str, address: str) -> bool:
        rights = self._known(tenant).get(role)
        return rights is None or rights.admits(address)

    @property
    def troubles(self) -> dict[Tenant, str]:
        """The projects whose rights were never heard, each with what is in the way."""
        unknown = [tenant for tenant in self._tenants.names() if tenant not in self._rights]
        return {tenant: self._troubles.get(tenant, "not asked yet") for tenant in unknown}

    def tenants_changed(self) -> None:
        """Ask for the rights of projects that came, forget those of projects that went."""
        served = set(self._tenants.names())
        for tenant in served - self._rights.keys() - self._wishes.keys() - self._tasks.keys():
            self.register(tenant)
        for tenant in self._rights.keys() - served:
            del self._rights[tenant]

    def register(self, tenant: Tenant) -> None:
        """Register the endpoints and learn everything: rs-admin begins with this project."""
        self._wish(tenant, _Wish(register=True, all_roles=True))

    def roles_changed(self, tenant: Tenant) -> None:
        self._wish(tenant, _Wish(all_roles=True))

    def role_changed(self, tenant: Tenant, role: str) -> None:
        """What one role may do has changed."""
        self._wish(tenant, _Wish(roles={role}))

    async def run(self) -> None:
        """Work off what is wished for, until ``stop``."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for tenant in self._wishes:
                    self._start(tenant)
                self.tenants_changed()
                while not await self._stopped_within(self._refresh.total_seconds()):
                    await self._ask_everything_again()
                for task in self._tasks.values():
                    task.cancel()
        finally:
            self._group = None

    async def stop(self) -> None:
        self._stopping.set()

    async def _ask_everything_again(self) -> None:
        """Events of this instance may have been lost while the broker was away."""
        try:
            await self._tenants.load()
        except Exception:
            log.exception("tenants-not-loaded")
        for tenant in self._tenants.names():
            self.roles_changed(tenant)

    def _known(self, tenant: Tenant) -> RightsByRole:
        """The rights of a project; none in one that isn't served: whoever comes from there is a stranger.

        Raises:
            RightsUnknown: the project is served, and rs-admin never gave an answer.
        """
        rights = self._rights.get(tenant)
        if rights is None and self._tenants.serves(tenant):
            raise RightsUnknown(tenant)
        return rights or {}

    def _wish(self, tenant: Tenant, wish: _Wish) -> None:
        self._wishes.setdefault(tenant, _Wish()).add(wish)
        self._start(tenant)

    def _start(self, tenant: Tenant) -> None:
        if self._group is not None and tenant not in self._tasks and not self._stopping.is_set():
            self._asking.setdefault(tenant, asyncio.Event())
            # In a context of its own: it outlives whatever message it was wished for by.
            self._tasks[tenant] = self._group.create_task(self._work_off(tenant), context=Context())

    async def _work_off(self, tenant: Tenant) -> None:
        """Until nothing is wished for; failures are tried again after growing pauses."""
        failed = 0
        try:
            while wish := self._wishes.pop(tenant, None):
                if await self._attempted(tenant, wish):
                    failed = 0
                    continue
                pause = self._patience.pause(failed).total_seconds()
                failed += 1
                if await self._stopped_within(pause):
                    return
        finally:
            del self._tasks[tenant]

    async def _attempted(self, tenant: Tenant, wish: _Wish) -> bool:
        """Whether it was fulfilled; if not, it is wished for again."""
        asking = self._asking.setdefault(tenant, asyncio.Event())
        try:
            async with self._room:
                if self._tenants.serves(tenant):
                    await self._fulfil(tenant, wish)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest must go on
            _failures.inc()
            self._troubles[tenant] = str(error)
            self._wishes.setdefault(tenant, _Wish()).add(wish)
            log.warning("roles-not-loaded", tenant=tenant, cause=str(error))
            return False
        finally:
            asking.set()
            del self._asking[tenant]
        self._troubles.pop(tenant, None)
        return True

    async def _fulfil(self, tenant: Tenant, wish: _Wish) -> None:
        known = self._rights.get(tenant)
        registering = wish.register or known is None
        if registering:
            await self._roles.register(tenant)
        if wish.all_roles or known is None or not wish.roles <= known.keys():
            rights = await self._roles.rights(tenant)
        else:
            rights = dict(known)
            for role in wish.roles:
                resources = await self._roles.resources(tenant, role)
                rights[role] = replace(known[role], resources=resources)
        self._rights[tenant] = rights
        log.info("roles-loaded", tenant=tenant, roles=len(rights), registered=registering)

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()
